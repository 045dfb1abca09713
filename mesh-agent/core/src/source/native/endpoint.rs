//! Reads the endpoints of a native service.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    model::{Condition, Endpoint, Locality},
    source::{
        document::Value,
        field::{Field, all},
        port::Port,
        value,
    },
};

/// Largest weight. The sum of 65,536 such weights fits into 32 bits.
const MAX_WEIGHT: u32 = 65_535;

/// Largest capacity. The capacity of a service times a weight fits into 64 bits.
const MAX_CAPACITY: u32 = 1_000_000;

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

/// Reads an element of `endpoints`.
pub fn read(field: Field<'_>) -> Option<Listed<'_>> {
    let field = field.mapping()?;
    field.only(&[
        "address", "port", "ports", "weight", "state", "node", "cloud", "region", "zone",
        "capacity",
    ]);
    let address = field.required("address").and_then(value::endpoint_address);
    let port = field
        .get("port")
        .map_or(Some(None), |port| value::port(port).map(Some));
    let ports = field.get("ports").map_or(Some(BTreeMap::new()), ports);
    let weight = field.get("weight").map_or(Some(1), weight);
    let condition = field.get("state").map_or(Some(Condition::Ready), condition);
    let node = value::node(field.get("node"));
    let locality = locality(field);
    let capacity = field.or("capacity", 1, |field| {
        value::number(field, 1..=MAX_CAPACITY)
    });
    Some(Listed {
        field,
        address: address?,
        port: port?,
        ports: ports?,
        weight: weight?,
        condition: condition?,
        node: node?,
        locality: locality?,
        capacity: capacity?,
    })
}

fn locality(field: Field<'_>) -> Option<Locality> {
    let [cloud, region, zone] =
        ["cloud", "region", "zone"].map(|name| value::place(field.get(name)));
    Some(Locality {
        cloud: cloud?,
        region: region?,
        zone: zone?,
    })
}

fn ports(field: Field<'_>) -> Option<BTreeMap<&str, u16>> {
    let ports = all(field
        .mapping()?
        .children()
        .map(|port| Some((port.name()?, value::port(port)?))))?;
    Some(ports.into_iter().collect())
}

fn weight(field: Field<'_>) -> Option<u32> {
    let number = match field.value() {
        Value::Number(text) => text.parse().ok().filter(|weight| *weight <= MAX_WEIGHT),
        _ => None,
    };
    number
        .or_else(|| field.expected("a weight from 0 to 65535 (only the ratio of weights matters)"))
}

fn condition(field: Field<'_>) -> Option<Condition> {
    match field.value() {
        Value::Text(text) if text == "ready" => Some(Condition::Ready),
        Value::Text(text) if text == "terminating" => Some(Condition::Terminating),
        Value::Text(text) if text == "notReady" => Some(Condition::NotReady),
        _ => field.expected("ready, terminating or notReady"),
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
