//! The seam to the kernel maps: what writes tables and reads counters. Its implementation here is
//! maps in memory that decide connects on the host ([`memory`]); the one for the kernel is in the
//! daemon.

mod counts;
mod evidence;
mod expired;
pub mod memory;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh_common::abi::{
    AffinityKey, AffinityRow, BackendLoad, ServiceCounters, ServiceLoad, ShareKey,
};

pub use self::{counts::Counts, evidence::Evidence, expired::expired};
use crate::desired::{Capacity, Tables, plan::Op};

/// A destination of tables.
pub trait Dataplane: Send {
    /// Reads back all rows in use: slots only if a service row refers to them.
    fn dump(&self) -> Result<Tables, Error>;
    /// Carries out operations in order. Stops at the first that fails.
    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError>;
    /// Returns the service ids that connections count for, whether the ids have a name or not.
    fn busy(&self) -> Result<BTreeSet<u32>, Error>;
    /// Returns which of these backends sockets hold now.
    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error>;
    /// Returns the capacity of each table, in rows.
    fn capacity(&self) -> Capacity;
}

/// A source of counters. Separate from [`Dataplane`], so that reads never wait for writes.
pub trait Meter: Send + Sync {
    /// Returns what the kernel counted for the services and backends in `tables`.
    fn read(&self, tables: &Tables) -> Result<Counters, Error>;
    /// Returns what clients recorded about backends whose connects failed, by backend index.
    /// Cheaper than all counters, because it is read every second.
    fn evidence(&self, tables: &Tables) -> Result<BTreeMap<u32, Evidence>, Error>;
    /// Returns the session affinity of clients.
    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, Error>;
}

/// A meter that several readers share.
pub type SharedMeter = Arc<dyn Meter>;

/// Counters read at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Service id → counters, summed over CPUs.
    pub services: BTreeMap<u32, ServiceCounters>,
    /// Service id → open connections.
    pub loads: BTreeMap<u32, ServiceLoad>,
    /// Service and client → open connections, if the service limits the share of a client.
    pub shares: BTreeMap<ShareKey, u64>,
    /// Backend index → load, health and counters.
    pub backends: BTreeMap<u32, BackendLoad>,
    /// Backend index → what clients recorded about it, if connects failed.
    pub evidence: BTreeMap<u32, Evidence>,
}

/// A map could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("map {map}: cannot {action}: {source}")]
pub struct Error {
    /// Map name.
    pub map: &'static str,
    /// Attempted action, like `write 64 rows`.
    pub action: String,
    /// Error of the kernel.
    pub source: std::io::Error,
}

/// An operation failed. Those before it took effect.
#[derive(Debug, thiserror::Error)]
#[error("{error} ({done} of {all} operations done)")]
pub struct ApplyError {
    /// Operations that took effect.
    pub done: usize,
    /// Requested operations.
    pub all: usize,
    /// Error of the next operation.
    pub error: Error,
}
