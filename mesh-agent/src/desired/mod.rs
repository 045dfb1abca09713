//! Compiles the model into the rows of the kernel maps. Pure: the time and the rows that the kernel holds are arguments.
//!
//! ```text
//! World ──compile, recompile, fit──► Tables ──plan::diff──► Ops for the data plane
//! ```

mod carry;
mod compile;
mod display;
mod fit;
mod free;
mod frontends;
mod known;
mod locality;
mod maglev;
pub mod plan;
mod quota;
mod ramp;
mod recompile;
mod room;
mod slots;
mod standing;
mod taken;
mod tiers;
mod traffic;
mod turns;
pub mod vips;
mod world;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr};

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot, protocol},
    addr::Addr,
};

use crate::table::Table;

pub use self::{
    carry::in_a_row,
    compile::{compile, filter, identified, port_identity},
    fit::{Misfit, fit},
    frontends::{Frontend, Reach, active, frontends, has_family, out_of_reach, takers},
    known::{Weight, next_change},
    quota::Quotas,
    recompile::{Earlier, recompile},
    room::{CapacityError, Room},
    standing::{Standing, UsableCapacity, usable_capacity},
    taken::{refused, taken},
    world::{Override, Target, World},
};

/// One ordered table per kernel map: printable, comparable, and complete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// SERVICES
    pub services: Table<FrontendKey, ServiceRow>,
    /// FILTER: the words that are not zero
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
    let name = if key.protocol == protocol::TCP { "TCP" } else { "UDP" };
    format!("{}/{name}", socket_address(key.addr, key.port))
}

/// Returns `address:port` for a port in network byte order.
pub fn socket_address(addr: Addr, port: u16) -> String {
    SocketAddr::new(addr.into(), u16::from_be(port)).to_string()
}
