//! The kernel's side of the agent: tables written, counters read. One trait, and behind it the real maps
//! ([`kernel`]), a copy in memory that decides connects on the host ([`memory`]) and, in tests, one that fails on demand.

pub mod kernel;
pub mod memory;
pub mod pin;

use std::collections::BTreeMap;

use mesh_common::abi::{BackendLoad, ServiceCounters};

use crate::desired::{Tables, plan::Op};

/// Where tables go and counters come from.
pub trait Dataplane: Send {
    /// Reads back every row the agent has written.
    fn dump(&self) -> Result<Tables, Error>;
    /// Carries out operations in order and stops at the first that fails; `done` of the error says how many took effect.
    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError>;
    /// How many rows each table can hold.
    fn capacity(&self) -> Capacity;
    /// What the kernel has counted so far for the rows in `tables`.
    fn counters(&self, tables: &Tables) -> Result<Counters, Error>;
}

/// Rows a data plane can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Frontends, and service ids.
    pub services: u32,
    /// Slots.
    pub slots: u32,
    /// Backends.
    pub backends: u32,
}

/// Counters read at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Service id → counters, summed over CPUs.
    pub services: BTreeMap<u32, ServiceCounters>,
    /// Backend index → counters.
    pub backends: BTreeMap<u32, BackendLoad>,
}

/// A map could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("map {map}: cannot {action}: {reason}")]
pub struct Error {
    /// Map name.
    pub map: &'static str,
    /// What was tried, like `write row 7`.
    pub action: String,
    /// The kernel's words.
    pub reason: String,
}

/// An operation failed; those before it took effect.
#[derive(Debug, thiserror::Error)]
#[error("{error} (after {done} operations)")]
pub struct ApplyError {
    /// Operations that took effect.
    pub done: usize,
    /// Why the next one did not.
    pub error: Error,
}
