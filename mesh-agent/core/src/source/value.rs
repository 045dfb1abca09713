//! Reads fields as single values of the model.

use std::{
    fmt::Display, net::IpAddr, ops::RangeInclusive, str::FromStr, sync::Arc, time::Duration,
};

use super::{
    document::Value,
    field::{Field, all},
};
use crate::model::{AffinityClient, External, FrontendKind, InternalTraffic, Protocol};

/// Default affinity timeout in seconds, as in Kubernetes.
pub const AFFINITY_TIMEOUT: u64 = 10_800;

/// Longest name of a service, a namespace or a port, as in Kubernetes.
const MAX_NAME: usize = 63;

/// Reads a DNS label, the form of names of services, namespaces and service ports in Kubernetes.
pub fn name(field: Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() > MAX_NAME {
        return field.error(format!(
            "{} characters long, at most {MAX_NAME} fit",
            text.chars().count()
        ));
    }
    if !is_name(text) {
        return field
            .expected("lower-case letters, digits and `-`, with a letter or digit at both ends");
    }
    Some(text.to_owned())
}

/// Whether a text is a DNS label.
pub fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut chars = text.chars();
    text.len() <= MAX_NAME
        && text.chars().all(inside)
        && edge(chars.clone().next_back())
        && edge(chars.next())
}

/// Reads a whole number within these bounds.
pub fn number<T: FromStr + PartialOrd + Display>(
    field: Field<'_>,
    bounds: RangeInclusive<T>,
) -> Option<T> {
    let number = match field.value() {
        Value::Number(text) => text.parse().ok().filter(|number| bounds.contains(number)),
        _ => None,
    };
    number.or_else(|| {
        field.expected(&format!(
            "a whole number from {} to {}",
            bounds.start(),
            bounds.end()
        ))
    })
}

/// Reads a decimal number in units of 1/10^`digits`; nothing if it is negative or has more digits.
pub fn decimal(field: Field<'_>, digits: usize) -> Option<u32> {
    let Value::Number(text) = field.value() else {
        return None;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let scaled = || format!("{whole}{fraction:0<digits$}").parse().ok();
    if fraction.len() <= digits {
        scaled()
    } else {
        None
    }
}

/// Reads a port number.
pub fn port(field: Field<'_>) -> Option<u16> {
    let number = match field.value() {
        Value::Number(text) => text.parse().ok().filter(|port| *port != 0),
        _ => None,
    };
    number.or_else(|| field.expected("a port from 1 to 65535"))
}

/// Reads a node port, if any. Zero asks Kubernetes to allocate one.
pub fn node_port(field: Option<Field<'_>>) -> Option<Option<u16>> {
    match field {
        Some(field) if *field.value() == Value::Number("0".into()) => Some(None),
        Some(field) => port(field).map(Some),
        None => Some(None),
    }
}

/// Reads TCP or UDP; an absent field means TCP.
pub fn protocol(field: Option<Field<'_>>) -> Option<Protocol> {
    let Some(field) = field else {
        return Some(Protocol::Tcp);
    };
    match field.value() {
        Value::Text(text) if text == "TCP" => Some(Protocol::Tcp),
        Value::Text(text) if text == "UDP" => Some(Protocol::Udp),
        _ => field.expected("TCP or UDP"),
    }
}

/// Reads an address of a host. An IPv4-mapped IPv6 address is the IPv4 address.
pub fn address(field: Field<'_>) -> Option<IpAddr> {
    let parsed = match field.value() {
        Value::Text(text) => text
            .parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical()),
        _ => None,
    };
    let Some(address) = parsed else {
        return field.expected("an IPv4 or IPv6 address");
    };
    match unusable(address) {
        None => Some(address),
        Some(kind) => field.error(format!("{address} is {kind}, no host can be reached at it")),
    }
}

/// Reads an endpoint address. Link-local addresses are refused, because a connect must name the
/// interface of one.
pub fn endpoint_address(field: Field<'_>) -> Option<IpAddr> {
    let address = address(field)?;
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => field.error(format!(
            "{address} is a link-local address, which a connect reaches only with the name of an interface (a scope): list \
             another address of that host"
        )),
        _ => Some(address),
    }
}

/// Reads the list `externalIPs`, each address once.
pub fn external_ips(mapping: Field<'_>) -> Option<Vec<External>> {
    let addresses = all(mapping.list("externalIPs").map(address))?;
    let mut seen = Vec::with_capacity(addresses.len());
    for address in addresses {
        let external = External {
            address,
            kind: FrontendKind::ExternalIp,
        };
        if !seen.contains(&external) {
            seen.push(external);
        }
    }
    Some(seen)
}

/// `internalTrafficPolicy`
pub fn traffic(field: Field<'_>) -> Option<InternalTraffic> {
    match field.value() {
        Value::Text(text) if text == "Cluster" => Some(InternalTraffic::Cluster),
        Value::Text(text) if text == "Local" => Some(InternalTraffic::Local),
        _ => field.expected("Cluster or Local"),
    }
}

/// Reads which clients session affinity tells apart.
pub fn affinity_client(field: Field<'_>) -> Option<AffinityClient> {
    match field.value() {
        Value::Text(text) if text == "namespace" => Some(AffinityClient::NetworkNamespace),
        Value::Text(text) if text == "cgroup" => Some(AffinityClient::Cgroup),
        _ => field.expected("namespace or cgroup"),
    }
}

/// Reads seconds in the range that Kubernetes allows.
pub fn affinity_timeout(field: Field<'_>) -> Option<u64> {
    let number = match field.value() {
        Value::Number(text) => text
            .parse()
            .ok()
            .filter(|seconds| (1..=86_400).contains(seconds)),
        _ => None,
    };
    number.or_else(|| field.expected("seconds from 1 to 86400"))
}

/// Reads the name of a node; `Some(None)` if it is absent.
pub fn node(field: Option<Field<'_>>) -> Option<Option<Arc<str>>> {
    field.map_or(Some(None), |field| Some(Some(field.text()?.into())))
}

/// Reads the name of a cloud, region or zone; `Some(None)` if it is absent.
pub fn place(field: Option<Field<'_>>) -> Option<Option<Arc<str>>> {
    match field.map(|field| (field, field.value())) {
        Some((field, Value::Text(text))) if text.is_empty() => field.expected("a name"),
        _ => node(field),
    }
}

fn unusable(address: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    match () {
        () if address.is_unspecified() => Some("the unspecified address"),
        () if address.is_multicast() => Some("a multicast address"),
        () if broadcast => Some("the broadcast address"),
        () => None,
    }
}

/// Reads how many seconds connections to a removed endpoint may go on: a number, or text in an
/// annotation.
pub fn drain(field: Field<'_>) -> Option<Duration> {
    let seconds: Option<u16> = match field.value() {
        Value::Number(text) | Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .or_else(|| field.expected("seconds from 0 to 65535"))
}

/// Returns the drain time of stale connections. A drain time implies that they are closed.
pub fn close_stale_tcp(close: Option<bool>, drain: Option<Duration>) -> Option<Duration> {
    match close {
        Some(true) => Some(drain.unwrap_or_default()),
        Some(false) => None,
        None => drain,
    }
}
