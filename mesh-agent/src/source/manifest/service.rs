//! `v1` `Service`.

use std::net::IpAddr;

use super::{Declared, Manifests};
use crate::{
    model::{Addresses, Origin, Service, ServiceName},
    source::{
        document::Value,
        field::{Field, all},
        port::{self, Port},
        value,
    },
};

/// Labels by which a service asks that nobody, or another proxy, serves it.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name>
const LEFT_ALONE: [&str; 2] = ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"];

/// The namespace and one name of an object.
pub fn name(object: Field<'_>, read: impl Fn(Field<'_>) -> Option<Field<'_>>) -> Option<ServiceName> {
    let metadata = object.required("metadata")?.mapping()?;
    let name = read(metadata).and_then(value::name);
    let namespace = metadata.get("namespace").map_or(Some("default".to_owned()), value::name);
    Some(ServiceName { namespace: namespace?, name: name? })
}

/// Reads a service, or notes why it is left alone.
pub fn read(object: Field<'_>, origin: Origin, into: &mut Manifests) {
    let name = name(object, |metadata| metadata.required("name"));
    let Some(spec) = object.required("spec").and_then(Field::mapping) else { return };
    if let Some(reason) = left_alone(object, spec) {
        let Some(name) = name else { return };
        into.note(origin, format!("service {name} is left alone: {reason}"));
        return into.untouched.push(name);
    }
    let addresses = all(cluster_addresses(spec).map(value::address));
    let ports = ports(spec, &origin, into);
    let all_ready = spec.get("publishNotReadyAddresses").and_then(Field::boolean).unwrap_or_default();
    let (Some(name), Some(addresses), Some(ports)) = (name, addresses, ports) else { return };
    if ports.is_empty() {
        into.note(origin, format!("service {name} is left alone: it has no TCP or UDP port"));
        return into.untouched.push(name);
    }
    let ports = ports.iter().map(Port::model).collect();
    let service = Service {
        name,
        origin,
        addresses: Addresses::Fixed(distinct(addresses)),
        ports,
        affinity: None,
        close_stale_tcp: false,
    };
    into.services.push(Declared { service, all_ready });
}

fn left_alone(object: Field<'_>, spec: Field<'_>) -> Option<String> {
    let is = |name, text| spec.get(name).is_some_and(|it| matches!(it.value(), Value::Text(it) if it == text));
    let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
    let label = LEFT_ALONE.into_iter().find(|label| labels.is_some_and(|labels| labels.get(label).is_some()));
    match () {
        () if is("type", "ExternalName") => Some("ExternalName is an alias in DNS".to_owned()),
        () if is("clusterIP", "None") => Some("it is headless (clusterIP None)".to_owned()),
        () if label.is_some() => label.map(|label| format!("it has the label {label}")),
        () if cluster_addresses(spec).next().is_none() => Some("it has no clusterIP".to_owned()),
        () => None,
    }
}

/// `clusterIPs` where it is given, else `clusterIP`; both are empty until Kubernetes gives the service an address.
fn cluster_addresses(spec: Field<'_>) -> impl Iterator<Item = Field<'_>> {
    let single = if spec.get("clusterIPs").is_some() { None } else { spec.get("clusterIP") };
    let given = |field: &Field<'_>| !matches!(field.value(), Value::Text(text) if text.is_empty() || text == "None");
    spec.list("clusterIPs").chain(single).filter(given)
}

fn distinct(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    seen
}

/// All ports but those of other protocols, which are noted.
fn ports<'a>(spec: Field<'a>, origin: &Origin, into: &mut Manifests) -> Option<Vec<Port<'a>>> {
    let (sctp, known): (Vec<_>, Vec<_>) = spec.list("ports").partition(|port| is_sctp(*port));
    for port in sctp {
        let origin = Origin { line: port.line(), ..origin.clone() };
        into.note(origin, "a port of protocol SCTP is left alone");
    }
    let ports: Vec<Option<Port<'a>>> = known.into_iter().map(Port::read).collect();
    port::check(ports.iter().flatten());
    ports.into_iter().collect()
}

/// Kubernetes knows a third protocol, which no connect call here can be translated for.
pub fn is_sctp(port: Field<'_>) -> bool {
    port.get("protocol").is_some_and(|protocol| matches!(protocol.value(), Value::Text(text) if text == "SCTP"))
}
