//! The native form: a document with `services:`, complete in itself. Every field is checked, unknown ones are errors.

mod endpoint;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use self::endpoint::Listed;
use super::{
    document::Value,
    field::{Field, all},
    port::{self, Port},
    value,
};
use crate::model::{Addresses, Origin, Service, ServiceName, ServicePort};

/// Namespace of a service that does not say one.
const DEFAULT_NAMESPACE: &str = "default";

/// The services of a document, without those that have problems.
pub fn services(document: Field<'_>, file: &Arc<PathBuf>) -> Vec<Arc<Service>> {
    document.only(&["services"]);
    document.list("services").filter_map(|field| service(field, file)).map(Arc::new).collect()
}

fn service(field: Field<'_>, file: &Arc<PathBuf>) -> Option<Service> {
    let field = field.mapping()?;
    field.only(&["name", "namespace", "address", "ports", "endpoints"]);
    let name = name(field);
    let addresses = field.required("address").and_then(addresses);
    let ports = ports(field);
    let endpoints = all(field.list("endpoints").map(endpoint::read));
    let ports = serve(&ports?, &endpoints?);
    let origin = Origin { file: Arc::clone(file), line: field.line() };
    Some(Service { name: name?, origin, addresses: addresses?, ports: ports?, affinity: None, close_stale_tcp: false })
}

fn name(field: Field<'_>) -> Option<ServiceName> {
    let name = field.required("name").and_then(value::name);
    let namespace = field.get("namespace").map_or(Some(DEFAULT_NAMESPACE.to_owned()), value::name);
    Some(ServiceName { namespace: namespace?, name: name? })
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
    if addresses.is_empty() { field.error("lists no address") } else { Some(addresses) }
}

/// A port of a service, and the port of its endpoints that serves it.
struct NativePort<'a> {
    common: Port<'a>,
    target: Target,
}

/// What `targetPort` says.
enum Target {
    /// The service's own port.
    Same,
    /// This port on every endpoint.
    Number(u16),
    /// What each endpoint lists by this name.
    Name(String),
}

impl NativePort<'_> {
    /// Whether an endpoint may list a port by this name.
    fn is_called(&self, name: &str) -> bool {
        self.common.name == name || matches!(&self.target, Target::Name(target) if target == name)
    }

    /// The port of an endpoint that serves this one: the most particular that is given.
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
    field.only(&["name", "port", "targetPort", "protocol"]);
    let target = field.get("targetPort").map_or(Some(Target::Same), target);
    Some(NativePort { common: common?, target: target? })
}

fn target(field: Field<'_>) -> Option<Target> {
    match field.value() {
        Value::Number(_) => value::port(field).map(Target::Number),
        Value::Text(_) => value::name(field).map(Target::Name),
        _ => field.expected("a port from 1 to 65535 or the name of a port"),
    }
}

/// Gives every port its endpoints.
fn serve(ports: &[NativePort<'_>], endpoints: &[Listed<'_>]) -> Option<Vec<ServicePort>> {
    for endpoint in endpoints {
        endpoint.check_names(|name| ports.iter().any(|port| port.is_called(name)));
    }
    all(ports.iter().map(|port| {
        let endpoints = endpoint::distinct(endpoints, |endpoint| port.target(endpoint), &port.common)?;
        Some(ServicePort { endpoints, ..port.common.model() })
    }))
}
