//! Compiles the model into the rows of the kernel maps. Pure: the time and the rows that the kernel
//! holds are arguments.
//!
//! ```text
//! World ──compile, recompile, partial_compile──► Tables ──plan::diff──► Ops for the data plane
//! ```

mod alias_table;
mod capacity;
mod compile;
mod display;
mod eligibility;
mod endpoint_state;
mod frontends;
mod index_allocator;
mod locality;
mod maglev;
mod node_addresses;
mod partial_compile;
pub mod plan;
mod port_identity;
mod quota;
mod ramp;
mod recompile;
mod retain_unknown;
mod round_robin;
mod service_row;
mod slot_ranges;
mod tiers;
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
    capacity::{Allocatable, Capacity, CapacityError},
    compile::{compile, filter},
    eligibility::{Eligibility, UsableCapacity, active, usable_capacity},
    endpoint_state::{Weight, next_change},
    frontends::{Frontend, Reach, frontends, has_family, out_of_reach, takers},
    node_addresses::{refused_node_addresses, shadowed_node_ports},
    partial_compile::{OverLimit, partial_compile},
    port_identity::{identified, port_identity},
    quota::Quotas,
    recompile::{Earlier, recompile},
    slot_ranges::contiguous_backends,
    world::{Override, Target, World},
};

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
    let name = if key.protocol == protocol::TCP {
        "TCP"
    } else {
        "UDP"
    };
    format!("{}/{name}", socket_address(key.addr, key.port))
}

/// Returns `address:port` for a port in network byte order.
pub fn socket_address(addr: Addr, port: u16) -> String {
    SocketAddr::new(addr.into(), u16::from_be(port)).to_string()
}
