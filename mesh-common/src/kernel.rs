//! The surroundings of a decision, as traits: the maps, the clock, random numbers and the calling
//! socket. The kernel programs implement these traits over real maps, the agent over copies on the
//! host. Rows flow in by reference or copy; a decision changes them only through these methods and
//! atomic words.
//!
//! A decision that has **global functions** declares them in a separate trait, beside the
//! decision. The kernel programs implement that trait by BPF global functions, which the verifier
//! checks once and by themselves, whatever their callers know; on the host the default methods call
//! the decision directly. A part of a decision is a global function for one of two reasons: inline,
//! the verifier would follow every combination of states through it, or its rows need a stack frame
//! of their own.

use core::{mem::MaybeUninit, sync::atomic::AtomicU64};

use crate::{
    abi::{
        AffinityKey, AffinityRow, Backend, FrontendKey, LiveService, MoreFlows, Outcome,
        OutcomeKey, OutcomeRow, Resource, ServiceRow, ShareKey, Slot, SocketFlows, SocketRecord,
        SocketRow,
    },
    addr::Addr,
    counter::Counter,
    sum::Sum,
};

/// The maps, the clock and random numbers.
pub trait Kernel: Sized {
    /// Copies a row of SERVICES, as it was at one moment, into the caller's memory: a returned copy
    /// would be moved, and the kernel's stack has no room for two.
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow>;
    /// Returns a row of SLOTS.
    fn slot(&self, index: u32) -> Option<Slot>;
    /// Returns a row of BACKENDS.
    fn backend(&self, index: u32) -> Option<&Backend>;
    /// Returns a row of LOAD.
    fn live_service(&self, id: u32) -> Option<&LiveService>;
    /// Returns a row of SHARES.
    fn share(&self, key: &ShareKey) -> Option<&AtomicU64>;
    /// Adds a row of SHARES with a count of zero, unless it exists or the map is full.
    fn add_share(&self, key: &ShareKey);
    /// Returns a row of SOCKETS, or null. The row may become another socket's at any moment.
    fn socket(&self, cookie: u64) -> *mut SocketRecord;
    /// Adds a row of SOCKETS. Returns false when it exists, the map is full, or the client is at
    /// its quota.
    fn remember(&self, cookie: u64, row: &SocketRow) -> bool;
    /// Removes a row of SOCKETS that counts for `client`.
    fn forget(&self, cookie: u64, client: u32);

    /// Returns a row of AFFINITY.
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow>;
    /// Adds a row of AFFINITY unless it exists. Returns false when the map is full or the client is
    /// at its quota.
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool;
    /// Replaces the backend of a row of AFFINITY if it is `old`, and sets the time of its last use.
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow);

    /// Returns a row of OUTCOMES.
    fn outcome(&self, key: &OutcomeKey) -> Option<&Outcome>;
    /// Adds or replaces a row of OUTCOMES. Returns false when the map is full or another connect
    /// was faster.
    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool;
    /// Removes a row of OUTCOMES.
    fn drop_outcome(&self, key: &OutcomeKey);
    /// Returns a row of LATENCIES.
    fn latency(&self, row: u32) -> Option<&AtomicU64>;

    /// Returns 32 random bits, not cryptographic.
    fn random(&self) -> u32;
    /// Returns the monotonic clock, nanoseconds.
    fn now(&self) -> u64;
    /// Returns the same clock as of the last timer tick, some milliseconds ago: cheaper.
    fn coarse_now(&self) -> u64;

    /// Returns the coarse clock as it was read once in this tick: cheaper than
    /// [`coarse_now`](Self::coarse_now), and late by another tick at most.
    fn tick_now(&self) -> u64 {
        self.coarse_now()
    }

    /// Takes rows off the quota of a client.
    fn give_back(&self, client: u32, resource: Resource, rows: u32);

    /// Adds one to a counter of a service.
    fn count(&self, service: u32, counter: Counter);
    /// Adds to a sum, wrapping. Ignores a row that does not exist.
    fn add_to(&self, sum: Sum, row: u32, by: u64);
}

/// The calling socket and its client.
pub trait Caller: Kernel {
    /// Returns the attribute of the caller that is hashed or bound: the cookie of the socket's
    /// network namespace, or the id of the task's cgroup.
    fn client(&self, by_cgroup: bool) -> u64;
    /// Returns the [client](crate::client) of the calling task, in its short form.
    fn client_id(&self) -> u32;
    /// Returns the address to which the calling socket is bound; all zero while it is not bound.
    fn source(&self) -> Addr;
    /// Returns whether the caller is excluded: its connects stay untouched.
    fn excluded(&self) -> bool;

    /// Returns the cookie of the calling socket.
    fn cookie(&self) -> u64;

    /// Returns whether the calling socket is connected. A UDP socket can be disconnected without a
    /// hook.
    fn is_connected(&self) -> bool;
    /// Returns the calling socket's first record of flows, made if it has none and `create` is set.
    /// Null when there is no room, or the client is at its quota.
    fn flows(&self, create: bool) -> *mut SocketFlows;
    /// Returns the second record of flows likewise.
    fn more_flows(&self, create: bool) -> *mut MoreFlows;
}
