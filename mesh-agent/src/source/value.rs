//! Fields to values of the model that are valid by themselves.

use std::net::IpAddr;

use super::{document::Value, field::Field};
use crate::model::Protocol;

/// Longest name of a service, a namespace or a port, as in Kubernetes.
const MAX_NAME: usize = 63;

/// A name as DNS has it: what Kubernetes asks of services, namespaces and service ports.
pub fn name(field: Field<'_>) -> Option<String> {
    let text = field.text()?;
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > MAX_NAME {
        return field.error(format!("{} characters long, at most {MAX_NAME} fit", text.chars().count()));
    }
    if !edge(text.chars().next()) || !edge(text.chars().next_back()) || !text.chars().all(inside) {
        return field.expected("lower-case letters, digits and `-`, with a letter or digit at both ends");
    }
    Some(text.to_owned())
}

/// A port number.
pub fn port(field: Field<'_>) -> Option<u16> {
    let number = match field.value() {
        Value::Number(text) => text.parse().ok().filter(|port| *port != 0),
        _ => None,
    };
    number.or_else(|| field.expected("a port from 1 to 65535"))
}

/// TCP or UDP; an absent field means TCP.
pub fn protocol(field: Option<Field<'_>>) -> Option<Protocol> {
    let Some(field) = field else { return Some(Protocol::Tcp) };
    match field.value() {
        Value::Text(text) if text == "TCP" => Some(Protocol::Tcp),
        Value::Text(text) if text == "UDP" => Some(Protocol::Udp),
        _ => field.expected("TCP or UDP"),
    }
}

/// An address that one host can have. An IPv4 address mapped into IPv6 is the IPv4 address.
pub fn address(field: Field<'_>) -> Option<IpAddr> {
    let parsed = match field.value() {
        Value::Text(text) => text.parse().ok().map(|address: IpAddr| address.to_canonical()),
        _ => None,
    };
    let Some(address) = parsed else { return field.expected("an IPv4 or IPv6 address") };
    match unusable(address) {
        None => Some(address),
        Some(kind) => field.error(format!("{address} is {kind}, no host can be reached at it")),
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
