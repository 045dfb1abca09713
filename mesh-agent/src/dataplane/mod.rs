//! Writes tables to the kernel maps ([`kernel`]) and reads counters from them. The trait and the maps
//! in memory that decide connects on the host ([`memory`]) are in `mesh_core`.

mod backends;
mod carry;
mod pinned_map;
pub mod clients;
pub mod exclude;
mod features;
#[cfg(test)]
mod frames;
mod generation;
mod hooks;
pub mod inspect;
pub mod kernel;
#[cfg(feature = "kernel-log")]
pub mod kernel_log;
mod layout;
pub mod link;
mod link_repair;
#[cfg(test)]
mod back_edges;
#[cfg(test)]
mod call_paths;
mod maps;
#[cfg(test)]
mod no_log;
pub mod other_agents;
pub mod pin;
pub mod privileges;
mod probe_rows;
pub mod probe_services;
pub mod sockets;
mod switch;
mod sys;
mod tables;
mod verify;

pub use mesh_core::dataplane::{
    ApplyError, Counters, Counts, Dataplane, Error, Evidence, Meter, SharedMeter, expired, memory,
};
