//! Reads the native form: a document with `services:`, complete in itself. Unknown fields are
//! errors.

mod endpoint;

use std::sync::Arc;

use self::endpoint::Listed;
use super::{
    draft::Draft,
    field::{Field, all},
    form::{DEFAULT_NAMESPACE, PortForm, ServiceForm, Target},
    object::WrongObject,
    port::{self, Port},
    setting::{self, List, Plain},
    traffic,
    value::{self, Name},
};
use crate::model::{InternalTraffic, LeftOut, Origin, Service, ServiceName, ServicePort};

/// Reads the rest of a document, without its services.
pub fn read(document: Field<'_>, into: &mut Draft<'_>) {
    document.only(&["services"]);
    // Reports a list that is none.
    _ = document.list("services");
    if document.problems() > 0 {
        into.wrong.push(WrongObject::unknown(document.line()));
    }
}

/// Reads a service.
pub fn read_element(field: Field<'_>, into: &mut Draft<'_>) -> bool {
    let (document, serve) = into.settings();
    into.object(
        field,
        0,
        || WrongObject::service(field, Some(field)),
        |into| {
            let Some((service, enabled)) = service(field, document) else {
                return;
            };
            match serve.opted_out(enabled, "enabled") {
                None => into.services.push(Arc::new(service)),
                Some(reason) => into.left_out.push((
                    service.name,
                    LeftOut {
                        origin: service.origin,
                        reason,
                    },
                )),
            }
        },
    );
    true
}

/// Reads a service, and whether `enabled` is set.
fn service(field: Field<'_>, document: &Origin) -> Option<(Service, Option<bool>)> {
    let mut form: ServiceForm = setting::read(field)?;
    let taken = form.take_settings(field);
    let name = name(form.name, form.namespace, field);
    _ = field.required("address");
    let addresses = form.address.convert(None, |addresses| {
        addresses.model(field.get("address")?).map(Some)
    });
    let external = form.external_ips.convert(Vec::new(), |addresses| {
        all(addresses.into_iter().map(Plain::value)).map(value::external)
    });
    let internal_traffic = form.internal_traffic_policy.optional();
    let given_ports = ports(form.ports, field);
    if let Some(ports) = &given_ports {
        traffic::check_probed(
            field.get("health"),
            ports.iter().map(|port| port.common.protocol),
        );
    }
    let endpoints = form.endpoints.convert(Vec::new(), |_| endpoints(field));
    let ports = serve_ports(&given_ports?, &endpoints?);
    let settings = taken?;
    let affinity = settings
        .affinity
        .map_or(Some(None), |form| form.model().map(Some));
    let service = Service {
        name: name?,
        origin: document.at(field.line()),
        addresses: addresses??,
        external: external?,
        ports: ports?,
        internal_traffic: internal_traffic?.unwrap_or(InternalTraffic::Cluster),
        affinity: affinity?,
        close_stale_tcp: settings.close_stale_tcp,
        traffic: settings.traffic,
        unserved: Vec::new(),
    };
    Some((service, settings.enabled))
}

fn name(name: Plain<Name>, namespace: Plain<Name>, field: Field<'_>) -> Option<ServiceName> {
    let name = name.required(field, "name");
    let namespace = namespace.optional()?;
    Some(ServiceName {
        namespace: namespace.unwrap_or(DEFAULT_NAMESPACE.to_owned()),
        name: name?,
    })
}

fn endpoints(service: Field<'_>) -> Option<Vec<Listed<'_>>> {
    let fields = service.get("endpoints")?.children();
    all(fields.map(|field| Listed::new(field, setting::read(field)?)))
}

/// A port of a service, and the port of its endpoints that serves it.
struct NativePort<'a> {
    common: Port<'a>,
    target: Target,
}

impl NativePort<'_> {
    /// Whether an endpoint may list a port by this name.
    fn is_called(&self, name: &str) -> bool {
        self.common.name == name || matches!(&self.target, Target::Name(target) if target == name)
    }

    /// Returns the port of an endpoint that serves this one: the most specific that is given.
    fn target(&self, endpoint: &Listed<'_>) -> Option<u16> {
        let named = |name: &str| endpoint.ports.get(name).copied();
        let fallback = match &self.target {
            Target::Same => endpoint.port.or(Some(self.common.port)),
            Target::Number(port) => endpoint.port.or(Some(*port)),
            Target::Name(name) => named(name).or(endpoint.port),
        };
        named(&self.common.name).or(fallback)
    }
}

fn ports<'a>(forms: List<PortForm>, service: Field<'a>) -> Option<Vec<NativePort<'a>>> {
    let list = service.required("ports");
    let forms = forms.convert(Vec::new(), Some)?;
    let fields = list?.children();
    let ports: Vec<Option<NativePort<'_>>> = fields
        .zip(forms)
        .map(|(field, form)| {
            let form = form.given()?;
            native_port(field, form)
        })
        .collect();
    if ports.is_empty() {
        list?.report("a service needs at least one port");
    }
    port::check(ports.iter().flatten().map(|port| &port.common));
    ports.into_iter().collect()
}

fn native_port(field: Field<'_>, form: PortForm) -> Option<NativePort<'_>> {
    let port = form.port.required(field, "port");
    Some(NativePort {
        common: Port {
            field,
            name: form.name.optional()?.unwrap_or_default(),
            port: port?,
            protocol: form.protocol.value()?,
            node_port: form.node_port.optional()?.flatten(),
        },
        target: form.target_port.optional()?.unwrap_or(Target::Same),
    })
}

/// Assigns the endpoints to every port.
fn serve_ports(ports: &[NativePort<'_>], endpoints: &[Listed<'_>]) -> Option<Vec<ServicePort>> {
    for endpoint in endpoints {
        endpoint.check_names(|name| ports.iter().any(|port| port.is_called(name)));
    }
    all(ports.iter().map(|port| {
        let endpoints =
            endpoint::distinct(endpoints, |endpoint| port.target(endpoint), &port.common)?;
        Some(ServicePort {
            endpoints,
            ..port.common.model()
        })
    }))
}
