//! Addresses of hosts.

use std::net::IpAddr;

use schemars::{Schema, json_schema};

use crate::{
    model::{External, FrontendKind, probe_address},
    source::{
        document::Value,
        field::{Field, all, expected},
        setting::{Kind, Wrong, read_as},
    },
};

/// The form of an address, for messages.
const ADDRESS: &str = "an IPv4 or IPv6 address";

/// An address of a host. An IPv4-mapped IPv6 address is the IPv4 address.
pub struct Address;

impl Kind for Address {
    type Value = IpAddr;

    fn read(value: &Value<'_>) -> Result<IpAddr, Wrong> {
        let parsed = value.text().and_then(|text| text.parse::<IpAddr>().ok());
        let Some(address) = parsed.map(|address| address.to_canonical()) else {
            return Err(Wrong::expected(ADDRESS));
        };
        match unusable(address) {
            None => Ok(address),
            Some(kind) => Err(Wrong::Because(format!(
                "{address} is {kind}, no host can be reached at it"
            ))),
        }
    }

    fn schema() -> Schema {
        let message = expected(ADDRESS);
        let format = |name| json_schema!({"format": name, "errorMessage": message});
        json_schema!({"type": "string", "anyOf": [format("ipv4"), format("ipv6")]})
    }
}

/// An endpoint address. Link-local addresses are refused, because a connect must name the
/// interface of one.
pub struct EndpointAddress;

impl Kind for EndpointAddress {
    type Value = IpAddr;

    fn read(value: &Value<'_>) -> Result<IpAddr, Wrong> {
        let address = Address::read(value)?;
        match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(Wrong::Because(format!(
                "{address} is a link-local address, which a connect reaches only with the name of an interface (a scope): list \
                 another address of that host"
            ))),
            _ => Ok(address),
        }
    }

    fn schema() -> Schema {
        Address::schema()
    }
}

/// Reads the list `externalIPs` of a mapping.
pub fn external_ips(mapping: Field<'_>) -> Option<Vec<External>> {
    all(mapping.list("externalIPs").map(read_as::<Address>)).map(external)
}

/// Converts external addresses, each once.
pub fn external(addresses: Vec<IpAddr>) -> Vec<External> {
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
    seen
}

fn unusable(address: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    match () {
        () if address.is_unspecified() => Some("the unspecified address"),
        () if address.is_multicast() => Some("a multicast address"),
        () if broadcast => Some("the broadcast address"),
        () if probe_address::is_probe(address) => {
            Some("an address at which the agent probes its own programs")
        }
        () => None,
    }
}
