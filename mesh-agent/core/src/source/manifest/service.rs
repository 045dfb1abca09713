//! Reads a `v1` `Service`.

use std::net::IpAddr;

use super::{
    annotation::{self, Annotations},
    frontend::{self, LeftAlone},
    traffic as spread,
};
use crate::{
    model::{
        Addresses, Affinity, AffinityClient, FrontendKind, InternalTraffic, Origin, Service,
        ServiceName, ServicePort, Unserved,
    },
    source::{
        Serve,
        document::Value,
        field::{Field, all},
        form::{AffinityForm, Timeout},
        kubernetes_objects::{Declared, Manifests},
        port::{self, Port},
        setting::read_as,
        traffic,
        value::{Address, Name, PortNumber, Word},
    },
};

/// Labels by which a service asks to be left alone or served by another proxy.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name>
const LEFT_ALONE: [&str; 2] = [
    "service.kubernetes.io/headless",
    "service.kubernetes.io/service-proxy-name",
];

/// Returns the namespace and a name of an object.
pub fn name(
    object: Field<'_>,
    read: impl Fn(Field<'_>) -> Option<Field<'_>>,
) -> Option<ServiceName> {
    let metadata = object.required("metadata")?.mapping()?;
    let name = read(metadata).and_then(read_as::<Name>);
    let namespace = metadata
        .get("namespace")
        .map_or(Some("default".to_owned()), read_as::<Name>);
    Some(ServiceName {
        namespace: namespace?,
        name: name?,
    })
}

/// Reads a service, or notes why it is left alone.
pub fn read(object: Field<'_>, origin: Origin, serve: Serve, into: &mut Manifests) {
    let name = name(object, |metadata| metadata.required("name"));
    let annotations = annotation::read(object, &origin, into);
    let Some(spec) = object.required("spec").and_then(Field::mapping) else {
        return;
    };
    if let Some(reason) = left_alone(object, spec) {
        return into.leave(name, origin, reason);
    }
    let addresses = all(frontend::cluster_addresses(spec).map(read_as::<Address>)).map(distinct);
    let ports = ports(spec, &origin, into);
    let ingress = frontend::ingress(object, spec);
    let external = ingress
        .as_ref()
        .and_then(|ingress| frontend::external(spec, ingress));
    let internal_traffic = spec.get("internalTrafficPolicy").map_or(
        Some(InternalTraffic::Cluster),
        read_as::<Word<InternalTraffic>>,
    );
    let affinity = affinity(spec, annotations.as_ref());
    let order = spread::distribution(spec, &origin, into);
    check_probed(object, ports.as_deref());
    let all_ready = spec
        .get("publishNotReadyAddresses")
        .and_then(Field::boolean)
        .unwrap_or_default();
    let (Some(name), Some(addresses), Some(ports), Some(ingress)) =
        (name, addresses, ports, ingress)
    else {
        return;
    };
    let (Some(external), Some(internal_traffic)) = (external, internal_traffic) else {
        return;
    };
    let (Some(affinity), Some(order), Some(annotations)) = (affinity, order, annotations) else {
        return;
    };
    if let Some(reason) = serve.opted_out(annotations.enabled, annotation::ENABLED) {
        return into.leave(Some(name), origin, reason);
    }
    if ports.is_empty() {
        return into.leave(Some(name), origin, "it has no TCP or UDP port");
    }
    let (external, left_alone) = frontend::outside(external, ingress, &addresses);
    let unserved = unserved(spec, &addresses, &ports, &left_alone);
    note_left_alone(&name, &origin, &left_alone, into);
    let service = Service {
        name,
        origin,
        addresses: Addresses::Cluster(addresses),
        external,
        ports,
        internal_traffic,
        affinity,
        close_stale_tcp: annotations.close_stale_tcp,
        traffic: annotations.traffic_or_order(order),
        unserved,
    };
    into.services.push(Declared { service, all_ready });
}

fn left_alone(object: Field<'_>, spec: Field<'_>) -> Option<String> {
    let is = |name, text| {
        spec.get(name)
            .is_some_and(|it| matches!(it.value(), Value::Text(it) if it == text))
    };
    let labels = object
        .get("metadata")
        .and_then(|metadata| metadata.get("labels"));
    let label = LEFT_ALONE
        .into_iter()
        .find(|label| labels.is_some_and(|labels| labels.get(label).is_some()));
    match () {
        () if is("type", "ExternalName") => Some("ExternalName is an alias in DNS".to_owned()),
        () if is("clusterIP", "None") => Some("it is headless (clusterIP None)".to_owned()),
        () if label.is_some() => label.map(|label| format!("it has the label {label}")),
        () if frontend::cluster_addresses(spec).next().is_none() => {
            Some("it has no clusterIP".to_owned())
        }
        () => None,
    }
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

/// Reads the TCP and UDP ports, and notes ports of other protocols.
fn ports(spec: Field<'_>, origin: &Origin, into: &mut Manifests) -> Option<Vec<ServicePort>> {
    for port in spec.list("ports").filter(|port| is_sctp(*port)) {
        let origin = origin.at(port.line());
        into.note(origin, "a port of protocol SCTP is left alone");
    }
    let known = spec.list("ports").filter(|port| !is_sctp(*port));
    let ports: Vec<Option<Port<'_>>> = known.map(Port::read).collect();
    port::check(ports.iter().flatten());
    let has_node_ports = frontend::has_type(spec, &["NodePort", "LoadBalancer"]);
    let model = |port: Option<Port<'_>>| {
        let port = port?.model();
        Some(ServicePort {
            node_port: port.node_port.filter(|_| has_node_ports),
            ..port
        })
    };
    all(ports.into_iter().map(model))
}

fn check_probed(object: Field<'_>, ports: Option<&[ServicePort]>) {
    let health = annotation::of(object).and_then(|annotations| annotations.get(annotation::HEALTH));
    if let Some(ports) = ports {
        traffic::check_probed(health, ports.iter().map(|port| port.protocol));
    }
}

/// Whether a port is of SCTP, for which no connect is translated.
pub fn is_sctp(port: Field<'_>) -> bool {
    port.get("protocol")
        .is_some_and(|protocol| matches!(protocol.value(), Value::Text(text) if text == "SCTP"))
}

/// Reads session affinity; `Some(None)` if there is none.
fn affinity(spec: Field<'_>, annotations: Option<&Annotations>) -> Option<Option<Affinity>> {
    let is_on = match spec
        .get("sessionAffinity")
        .map(|field| (field, field.value()))
    {
        None => false,
        Some((_, Value::Text(text))) if text == "None" => false,
        Some((_, Value::Text(text))) if text == "ClientIP" => true,
        Some((field, _)) => return field.expected("ClientIP or None"),
    };
    let config = spec
        .get("sessionAffinityConfig")
        .and_then(|config| config.get("clientIP"));
    let given = config
        .and_then(|config| config.get("timeoutSeconds"))
        .filter(|_| is_on);
    let timeout = given.map_or(Some(AffinityForm::TIMEOUT), read_as::<Timeout>)?;
    Some(
        is_on.then_some(Affinity {
            client: annotations?
                .affinity_client
                .unwrap_or(AffinityClient::NetworkNamespace),
            timeout,
        }),
    )
}

/// Returns the ports and addresses for which no connect is translated, for `service get`.
fn unserved(
    spec: Field<'_>,
    addresses: &[IpAddr],
    ports: &[ServicePort],
    left_alone: &[LeftAlone],
) -> Vec<Unserved> {
    let sctp_ports = spec.list("ports").filter(|port| is_sctp(*port));
    let sctp = sctp_ports
        .filter_map(|port| read_as::<PortNumber>(port.get("port")?))
        .flat_map(|port| {
            addresses.iter().map(move |address| Unserved {
                address: address.to_string(),
                port,
                protocol: "SCTP".to_owned(),
                kind: FrontendKind::ClusterIp,
                reason: "SCTP is not served".to_owned(),
            })
        });
    let outside = left_alone.iter().flat_map(
        |LeftAlone {
             address,
             kind,
             reason,
         }| {
            ports.iter().map(move |port| Unserved {
                address: address.clone(),
                port: port.port,
                protocol: port.protocol.to_string(),
                kind: *kind,
                reason: (*reason).to_owned(),
            })
        },
    );
    sctp.chain(outside).collect()
}

fn note_left_alone(
    name: &ServiceName,
    origin: &Origin,
    left_alone: &[LeftAlone],
    into: &mut Manifests,
) {
    for LeftAlone {
        address,
        kind,
        reason,
    } in left_alone
    {
        let what = if *kind == FrontendKind::LoadBalancer {
            "load balancer"
        } else {
            "external address"
        };
        into.note(
            origin.clone(),
            format!("{what} {address} of service {name} is left alone: {reason}"),
        );
    }
}
