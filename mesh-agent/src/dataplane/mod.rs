//! The kernel's side of the agent: tables written, counters read. One trait, and behind it the real
//! maps ([`kernel`]) and a copy in memory that decides connects on the host ([`memory`]).

mod backends;
mod batch;
pub mod clients;
mod evidence;
pub mod exclude;
#[cfg(test)]
mod frames;
pub mod kernel;
#[cfg(feature = "kernel-log")]
pub mod kernel_log;
mod layout;
pub mod link;
mod link_repair;
#[cfg(test)]
mod loops;
mod maps;
pub mod memory;
#[cfg(test)]
mod no_log;
pub mod others;
pub mod pin;
pub mod privileges;
pub mod sockets;
mod sys;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh_common::abi::{
    AffinityKey, AffinityRow, BackendLoad, ServiceCounters, ServiceLoad, ShareKey,
};

pub use self::evidence::Evidence;
use crate::desired::{Capacity, Tables, plan::Op};

/// Where tables go.
pub trait Dataplane: Send {
    /// Reads back every row that matters: slots only where a service row points at them.
    fn dump(&self) -> Result<Tables, Error>;
    /// Carries out operations in order and stops at the first that fails.
    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError>;
    /// Service ids that connections count for, whether they have a name or not.
    fn busy(&self) -> Result<BTreeSet<u32>, Error>;
    /// Of these backends, those that sockets hold now.
    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error>;
    /// How many rows each table can hold.
    fn capacity(&self) -> Capacity;
}

/// Where counters come from: beside [`Dataplane`], so that reading never waits for writing.
pub trait Meter: Send + Sync {
    /// What the kernel has counted for the services and backends in `tables`.
    fn read(&self, tables: &Tables) -> Result<Counters, Error>;
    /// What clients know of backends that failed them, by the backend's index. Cheaper than all
    /// counters, and read every second.
    fn evidence(&self, tables: &Tables) -> Result<BTreeMap<u32, Evidence>, Error>;
    /// Who is bound to which backend by session affinity.
    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, Error>;
}

/// A meter that many readers share.
pub type SharedMeter = Arc<dyn Meter>;

/// Counters read at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Service id → counters, summed over CPUs.
    pub services: BTreeMap<u32, ServiceCounters>,
    /// Service id → connections under way.
    pub loads: BTreeMap<u32, ServiceLoad>,
    /// Service and client → connections under way, where a service bounds the share of a client.
    pub shares: BTreeMap<ShareKey, u64>,
    /// Backend index → load, health and counters.
    pub backends: BTreeMap<u32, BackendLoad>,
    /// Backend index → what clients know of it, where it failed some.
    pub evidence: BTreeMap<u32, Evidence>,
}

/// A map could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("map {map}: cannot {action}: {source}")]
pub struct Error {
    /// Map name.
    pub map: &'static str,
    /// What was tried, like `write 64 rows`.
    pub action: String,
    /// The kernel's words.
    pub source: std::io::Error,
}

/// An operation failed; those before it took effect.
#[derive(Debug, thiserror::Error)]
#[error("{error} ({done} of {all} operations done)")]
pub struct ApplyError {
    /// Operations that took effect.
    pub done: usize,
    /// Operations asked for.
    pub all: usize,
    /// Why the next one did not.
    pub error: Error,
}
