//! The endpoints of a native service.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    model::{Condition, Endpoint, Locality},
    source::{
        field::{Field, all},
        form::EndpointForm,
        port::Port,
    },
};

/// An endpoint as listed, before its ports are matched with those of the service.
pub struct Listed<'a> {
    field: Field<'a>,
    address: IpAddr,
    weight: u32,
    condition: Condition,
    node: Option<Arc<str>>,
    locality: Locality,
    capacity: u32,
    /// Port for service ports that `ports` does not name.
    pub port: Option<u16>,
    /// Ports by the name of the service's port or of its target.
    pub ports: BTreeMap<&'a str, u16>,
}

impl<'a> Listed<'a> {
    /// Reads an element of `endpoints`.
    pub fn new(field: Field<'a>, form: EndpointForm) -> Option<Self> {
        let address = form.address.required(field, "address");
        let ports = form.ports.convert(BTreeMap::new(), |ports| {
            let fields = field.get("ports")?.children();
            let named = fields
                .zip(ports.0)
                .map(|(field, port)| Some((field.name()?, port.value()?)));
            Some(all(named)?.into_iter().collect())
        });
        Some(Self {
            field,
            address: address?,
            weight: form.weight.value()?,
            condition: form.state.value()?,
            node: form.node.optional()?,
            locality: Locality {
                cloud: form.cloud.optional()?,
                region: form.region.optional()?,
                zone: form.zone.optional()?,
            },
            capacity: form.capacity.value()?,
            port: form.port.optional()?,
            ports: ports?,
        })
    }
}

impl Listed<'_> {
    /// Converts to the model, with one of its ports.
    fn at(&self, port: u16) -> Endpoint {
        Endpoint {
            weight: self.weight,
            condition: self.condition,
            node: self.node.clone(),
            locality: self.locality.clone(),
            capacity: self.capacity,
            ..Endpoint::new(self.address, port)
        }
    }

    /// Reports port names that the service does not have.
    pub fn check_names(&self, known: impl Fn(&str) -> bool) {
        let ports = self
            .field
            .get("ports")
            .into_iter()
            .flat_map(Field::children);
        for port in ports.filter(|port| port.name().is_some_and(|name| !known(name))) {
            port.report("no port of this service has this name, nor this `targetPort`");
        }
    }
}

/// The endpoints of one port of the service, given which of their ports serves it.
pub fn distinct<'a>(
    endpoints: &[Listed<'a>],
    target: impl Fn(&Listed<'a>) -> Option<u16>,
    service: &Port<'_>,
) -> Option<Vec<Endpoint>> {
    let mut lines = HashMap::with_capacity(endpoints.len());
    all(endpoints.iter().map(|listed| {
        let &Listed { field, address, .. } = listed;
        let Some(port) = target(listed) else {
            return field.error(format!(
                "says no port for port {}/{} of the service",
                service.port, service.protocol
            ));
        };
        match lines.insert((address, port), field.line()) {
            None => Some(listed.at(port)),
            Some(first) => field.error(format!(
                "{} listed twice, first on line {first}",
                socket(address, port)
            )),
        }
    }))
}

fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
