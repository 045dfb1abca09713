//! Compiles the model into the rows of the kernel maps. Pure: the time and the rows that the kernel
//! holds are arguments.
//!
//! ```text
//! World ──compile──► Tables ──plan::diff──► Ops for the data plane
//! ```

mod alias_table;
mod allocatable;
mod capacity;
mod changes;
mod compile;
mod compiler;
mod display;
mod eligibility;
mod endpoint_state;
mod frontends;
mod index_allocator;
mod ineligible;
mod locality;
mod maglev;
mod node_addresses;
mod partial_compile;
pub mod plan;
mod port_identity;
mod quota;
mod ramp;
mod retain_unknown;
mod round_robin;
mod service_row;
mod slot_ranges;
mod tables;
mod tiers;
mod unhealthy;
pub mod vips;
mod world;

#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
#[cfg(test)]
mod tests;

pub use self::{
    allocatable::Allocatable,
    capacity::Capacity,
    changes::{Base, Earlier},
    compile::{compile, filter},
    eligibility::{Eligibility, active},
    endpoint_state::{Weight, next_change},
    frontends::{Frontend, OutOfReach, Reach, frontends, has_family, out_of_reach, takers},
    ineligible::Ineligible,
    node_addresses::{refused_node_addresses, shadowed_node_ports},
    partial_compile::{OverLimit, Partial},
    port_identity::{identified, port_identity},
    quota::Quotas,
    service_row::balance,
    slot_ranges::{SlotTier, contiguous_backends, tiers as slot_tiers},
    tables::{Tables, frontend, socket_address},
    unhealthy::unhealthy,
    world::{Override, Target, World},
};
