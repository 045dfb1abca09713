//! Addresses in the requests and answers of the namespace helper.

use mesh_common::addr::Addr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address as text.
pub(super) mod address {
    use std::net::IpAddr;

    use super::*;

    pub fn serialize<S: Serializer>(address: &Addr, out: S) -> Result<S::Ok, S::Error> {
        IpAddr::from(*address).serialize(out)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(text: D) -> Result<Addr, D::Error> {
        IpAddr::deserialize(text).map(Addr::from)
    }
}

/// Sockets by cookie, with the address and port (network byte order) that they are connected to.
pub(super) mod peers {
    use std::{collections::HashMap, net::IpAddr};

    use super::*;

    type Peers = HashMap<u64, Option<(Addr, u16)>>;
    type Row = (u64, Option<(IpAddr, u16)>);

    pub fn serialize<S: Serializer>(peers: &Peers, out: S) -> Result<S::Ok, S::Error> {
        let row = |(&cookie, peer): (&u64, &Option<(Addr, u16)>)| -> Row {
            (cookie, peer.map(|(address, port)| (address.into(), port)))
        };
        out.collect_seq(peers.iter().map(row))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(text: D) -> Result<Peers, D::Error> {
        let rows = Vec::<Row>::deserialize(text)?;
        let peer =
            |(cookie, peer): Row| (cookie, peer.map(|(address, port)| (address.into(), port)));
        Ok(rows.into_iter().map(peer).collect())
    }
}
