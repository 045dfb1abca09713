//! Reads `EndpointSlice` and the older `Endpoints`.

use std::{net::IpAddr, sync::Arc};

use super::service;
use crate::{
    model::{Condition, Hints, Origin, Protocol},
    source::{
        document::Value,
        field::{Field, all},
        kubernetes_objects::{Manifests, Slice, SliceEndpoint, SliceKind, SlicePort},
        setting::read_as,
        value::{EndpointAddress, PortNumber, Text, Word},
    },
};

/// Label that names the service of a slice.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Reads an `EndpointSlice`.
pub fn read_slice(object: Field<'_>, origin: Origin, into: &mut Manifests) {
    let label = |metadata: Field<'_>| {
        metadata
            .get("labels")
            .and_then(|labels| labels.get(SERVICE_NAME))
            .is_some()
    };
    if object
        .get("metadata")
        .is_some_and(|metadata| !label(metadata))
    {
        return into.note(
            origin,
            format!("an EndpointSlice without the label {SERVICE_NAME} belongs to no service"),
        );
    }
    if object
        .get("addressType")
        .is_some_and(|it| matches!(it.value(), Value::Text(text) if text == "FQDN"))
    {
        return into.note(
            origin,
            "an EndpointSlice of host names (addressType FQDN) is not used",
        );
    }
    let service = service::name(object, |metadata| metadata.get("labels")?.get(SERVICE_NAME));
    let ports = ports(object);
    let endpoints = all(object.list("endpoints").map(read_endpoint));
    if let (Some(service), Some(ports), Some(endpoints)) = (service, ports, endpoints) {
        let name = object
            .get("metadata")
            .and_then(|it| it.get("name")?.value().text().map(str::to_owned));
        into.slices.push(Slice {
            service,
            name,
            origin,
            kind: SliceKind::EndpointSlice,
            ports,
            endpoints,
        });
    }
}

fn read_endpoint(endpoint: Field<'_>) -> Option<SliceEndpoint> {
    let (address, condition) = (first_address(endpoint), condition(endpoint));
    let node = text(endpoint.get("nodeName"));
    let zone = text(
        endpoint
            .get("zone")
            .filter(|zone| zone.value().text() != Some("")),
    );
    let given = endpoint.get("hints").map_or(Some(Hints::default()), hints);
    let has_any = |hints: &Hints| !(hints.nodes.is_empty() && hints.zones.is_empty());
    let hints = given.map(|hints| has_any(&hints).then(|| Arc::new(hints)));
    Some(SliceEndpoint {
        address: address?,
        condition,
        node: node?,
        zone: zone?,
        hints: hints?,
    })
}

/// Reads a text, if there is one.
fn text(field: Option<Field<'_>>) -> Option<Option<Arc<str>>> {
    field.map_or(Some(None), |field| read_as::<Text>(field).map(Some))
}

/// Reads the nodes and zones whose connects should go to the endpoint.
fn hints(field: Field<'_>) -> Option<Hints> {
    let names = |list| {
        all(field
            .list(list)
            .map(|it| it.required("name").and_then(Field::text).map(Arc::from)))
    };
    let (nodes, zones) = (names("forNodes"), names("forZones"));
    Some(Hints {
        nodes: nodes?,
        zones: zones?,
    })
}

/// Reads an `Endpoints`, one slice for each subset.
pub fn read_endpoints(object: Field<'_>, origin: &Origin, into: &mut Manifests) {
    let service = service::name(object, |metadata| metadata.required("name"));
    for subset in object.list("subsets") {
        let addresses = |list: &str, condition: Condition| {
            all(subset.list(list).map(|it| {
                let (address, node) = (
                    it.required("ip").and_then(read_as::<EndpointAddress>),
                    text(it.get("nodeName")),
                );
                Some(SliceEndpoint {
                    address: address?,
                    condition,
                    node: node?,
                    zone: None,
                    hints: None,
                })
            }))
        };
        let (ready, rest) = (
            addresses("addresses", Condition::Ready),
            addresses("notReadyAddresses", Condition::NotReady),
        );
        let ports = ports(subset);
        if let (Some(service), Some(ports), Some(ready), Some(rest)) =
            (service.clone(), ports, ready, rest)
        {
            let (kind, endpoints) = (SliceKind::Endpoints, [ready, rest].concat());
            let name = Some(service.name.clone());
            into.slices.push(Slice {
                service,
                name,
                origin: origin.clone(),
                kind,
                ports,
                endpoints,
            });
        }
    }
}

/// Returns the first address of an endpoint. All addresses are the same endpoint, and consumers use
/// the first.
fn first_address(endpoint: Field<'_>) -> Option<IpAddr> {
    let list = endpoint.required("addresses")?;
    let first = endpoint.list("addresses").next();
    first
        .or_else(|| list.expected("a list of at least one address"))
        .and_then(read_as::<EndpointAddress>)
}

/// Reads the ports. An entry without a number means any port, and is skipped.
fn ports(object: Field<'_>) -> Option<Vec<SlicePort>> {
    let numbered = object
        .list("ports")
        .filter(|port| port.get("port").is_some() && !service::is_sctp(*port));
    all(numbered.map(|field| {
        let name = field.get("name").map_or(Some(""), Field::text);
        let port = field.required("port").and_then(read_as::<PortNumber>);
        let protocol = field.or("protocol", Protocol::Tcp, read_as::<Word<Protocol>>);
        Some(SlicePort {
            name: name?.to_owned(),
            protocol: protocol?,
            port: port?,
        })
    }))
}

/// Reads the conditions. An absent `ready` means true; an absent `serving` or `terminating` means
/// false. <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>
fn condition(endpoint: Field<'_>) -> Condition {
    let says = |name: &str| endpoint.get("conditions")?.get(name)?.boolean();
    match (says("ready"), says("serving"), says("terminating")) {
        (None | Some(true), _, _) => Condition::Ready,
        (Some(false), Some(true), Some(true)) => Condition::Terminating,
        (Some(false), _, _) => Condition::NotReady,
    }
}
