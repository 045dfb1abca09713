//! Reads the native form: a document with `services:`, complete in itself. Unknown fields are
//! errors.

mod endpoint;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use self::endpoint::Listed;
use super::{
    document::Value,
    draft::Draft,
    field::{Field, all},
    object::WrongObject,
    port::{self, Port},
    traffic, value,
};
use crate::model::{
    Addresses, Affinity, AffinityClient, InternalTraffic, LeftOut, Origin, Service, ServiceName,
    ServicePort,
};

/// Namespace of a service without one.
const DEFAULT_NAMESPACE: &str = "default";

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
    let (file, serve) = into.settings();
    into.object(
        field,
        0,
        || WrongObject::service(field, Some(field)),
        |into| {
            let Some((service, enabled)) = service(field, file) else {
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

/// Fields of a service that this module reads.
const FIELDS: [&str; 11] = [
    "name",
    "namespace",
    "enabled",
    "address",
    "externalIPs",
    "ports",
    "endpoints",
    "internalTrafficPolicy",
    "affinity",
    "closeStaleTcp",
    "drainSeconds",
];

/// Reads a service, and whether `enabled` is set.
fn service(field: Field<'_>, file: &Arc<PathBuf>) -> Option<(Service, Option<bool>)> {
    let field = field.mapping()?;
    field.only(&[&FIELDS[..], &traffic::FIELDS].concat());
    let boolean = |name| {
        field
            .get(name)
            .map_or(Some(None), |field| field.boolean().map(Some))
    };
    let (enabled, close_stale_tcp) = (boolean("enabled"), boolean("closeStaleTcp"));
    let drain = field
        .get("drainSeconds")
        .map_or(Some(None), |field| value::drain(field).map(Some));
    let name = name(field);
    let addresses = field.required("address").and_then(addresses);
    let external = value::external_ips(field);
    let internal_traffic = field
        .get("internalTrafficPolicy")
        .map_or(Some(InternalTraffic::Cluster), value::traffic);
    let affinity = field
        .get("affinity")
        .map_or(Some(None), |field| affinity(field).map(Some));
    let traffic = traffic::read(field);
    let ports = ports(field);
    if let Some(ports) = &ports {
        traffic::check_probed(
            field.get("health"),
            ports.iter().map(|port| port.common.protocol),
        );
    }
    let endpoints = all(field.list("endpoints").map(endpoint::read));
    let ports = serve_ports(&ports?, &endpoints?);
    let service = Service {
        name: name?,
        origin: Origin {
            file: Arc::clone(file),
            line: field.line(),
        },
        addresses: addresses?,
        external: external?,
        ports: ports?,
        internal_traffic: internal_traffic?,
        affinity: affinity?,
        close_stale_tcp: value::close_stale_tcp(close_stale_tcp?, drain?),
        traffic: traffic?,
        unserved: Vec::new(),
    };
    Some((service, enabled?))
}

fn affinity(field: Field<'_>) -> Option<Affinity> {
    let field = field.mapping()?;
    field.only(&["client", "timeoutSeconds"]);
    let client = field.get("client").map_or(
        Some(AffinityClient::NetworkNamespace),
        value::affinity_client,
    );
    let timeout = field
        .get("timeoutSeconds")
        .map_or(Some(value::AFFINITY_TIMEOUT), value::affinity_timeout);
    Some(Affinity {
        client: client?,
        timeout: Duration::from_secs(timeout?),
    })
}

fn name(field: Field<'_>) -> Option<ServiceName> {
    let name = field.required("name").and_then(value::name);
    let namespace = field
        .get("namespace")
        .map_or(Some(DEFAULT_NAMESPACE.to_owned()), value::name);
    Some(ServiceName {
        namespace: namespace?,
        name: name?,
    })
}

fn addresses(field: Field<'_>) -> Option<Addresses> {
    match field.value() {
        Value::Text(text) if text == "auto" => Some(Addresses::Auto),
        Value::Text(_) => Some(Addresses::Fixed(vec![value::address(field)?])),
        Value::List => several(field).map(Addresses::Fixed),
        _ => field.expected("an address, a list of addresses, or `auto`"),
    }
}

fn several(field: Field<'_>) -> Option<Vec<IpAddr>> {
    let addresses = all(field.children().map(value::address))?;
    for (position, field) in field.children().enumerate() {
        if addresses[..position].contains(&addresses[position]) {
            field.report(format!("{} listed twice", addresses[position]));
        }
    }
    if addresses.is_empty() {
        field.error("lists no address")
    } else {
        Some(addresses)
    }
}

/// A port of a service, and the port of its endpoints that serves it.
struct NativePort<'a> {
    common: Port<'a>,
    target: Target,
}

/// Value of `targetPort`.
enum Target {
    /// The service's own port.
    Same,
    /// The same port on every endpoint.
    Number(u16),
    /// The port that each endpoint lists by this name.
    Name(String),
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

fn ports(service: Field<'_>) -> Option<Vec<NativePort<'_>>> {
    let list = service.required("ports")?;
    let ports: Vec<Option<NativePort<'_>>> = service.list("ports").map(native_port).collect();
    if *list.value() == Value::List && ports.is_empty() {
        list.report("a service needs at least one port");
    }
    port::check(ports.iter().flatten().map(|port| &port.common));
    ports.into_iter().collect()
}

fn native_port(field: Field<'_>) -> Option<NativePort<'_>> {
    let common = Port::read(field);
    field.only(&["name", "port", "targetPort", "protocol", "nodePort"]);
    let target = field.get("targetPort").map_or(Some(Target::Same), target);
    Some(NativePort {
        common: common?,
        target: target?,
    })
}

fn target(field: Field<'_>) -> Option<Target> {
    match field.value() {
        Value::Number(_) => value::port(field).map(Target::Number),
        Value::Text(_) => value::name(field).map(Target::Name),
        _ => field.expected("a port from 1 to 65535 or the name of a port"),
    }
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
