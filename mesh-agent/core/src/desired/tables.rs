//! The rows of the kernel maps.

use std::{collections::BTreeMap, net::SocketAddr};

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot},
    addr::Addr,
};

use crate::{model::Protocol, table::Table};

/// One ordered table per kernel map: printable, comparable, and complete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// SERVICES
    pub services: Table<FrontendKey, ServiceRow>,
    /// ADDRESS_FILTER: the words that are not zero
    pub filter: BTreeMap<u32, u64>,
    /// SLOTS
    pub slots: Table<u32, Slot>,
    /// BACKENDS
    pub backends: Table<u32, BackendRow>,
    /// NAMES: service id → `namespace/name:port/PROTOCOL`
    pub names: Table<u32, String>,
}

/// Returns `address:port/PROTOCOL` of a frontend.
pub fn frontend(key: &FrontendKey) -> String {
    let protocol = Protocol::of_number(key.protocol).unwrap_or(Protocol::Udp);
    format!("{}/{protocol}", socket_address(key.addr, key.port))
}

/// Returns `address:port` for a port in network byte order.
pub fn socket_address(addr: Addr, port: u16) -> String {
    SocketAddr::new(addr.into(), u16::from_be(port)).to_string()
}
