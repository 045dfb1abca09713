//! What a decision needs from the world it runs in: the kernel's maps and the calling socket, or
//! copies on the host.

use core::{mem::MaybeUninit, sync::atomic::AtomicU64};

use crate::{
    abi::{
        AffinityKey, AffinityRow, Backend, FrontendKey, LiveService, MoreFlows, Outcome,
        OutcomeKey, OutcomeRow, Resource, ServiceRow, ShareKey, Slot, SocketFlows, SocketRecord,
        SocketRow,
    },
    addr::Addr,
    counter::Counter,
};

/// The maps, the clock and chance.
pub trait Kernel: Sized {
    /// Copies a row of SERVICES, as it was at one moment, to a place that the caller has for it: a
    /// copy that is returned would be moved about, for which the kernel's stack has no room.
    fn service<'a>(
        &self,
        key: &FrontendKey,
        into: &'a mut MaybeUninit<ServiceRow>,
    ) -> Option<&'a ServiceRow>;
    /// Row of SLOTS.
    fn slot(&self, index: u32) -> Option<Slot>;
    /// Row of BACKENDS.
    fn backend(&self, index: u32) -> Option<&Backend>;
    /// Row of LOAD.
    fn live_service(&self, id: u32) -> Option<&LiveService>;
    /// Row of SHARES.
    fn share(&self, key: &ShareKey) -> Option<&AtomicU64>;
    /// Adds a row of SHARES that counts nothing, unless there is one or the map cannot take it.
    fn add_share(&self, key: &ShareKey);
    /// Row of SOCKETS, or null. It may become another socket's while it is looked at.
    fn socket(&self, cookie: u64) -> *mut SocketRecord;
    /// Makes a row of SOCKETS. False when there is one already, no room, or the client has as many
    /// as it may have.
    fn remember(&self, cookie: u64, row: &SocketRow) -> bool;
    /// Removes a row of SOCKETS that counts for `client`.
    fn forget(&self, cookie: u64, client: u32);

    /// Row of AFFINITY.
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow>;
    /// Adds a row unless there is one by now; false when the map cannot take it, or the client has
    /// as many as it may have.
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool;
    /// Replaces the backend of a row if it still is `old`, and says that it was used.
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow);

    /// Row of OUTCOMES.
    fn outcome(&self, key: &OutcomeKey) -> Option<&Outcome>;
    /// Adds or replaces a row of OUTCOMES; false when the map cannot take it.
    fn put_outcome(&self, key: &OutcomeKey, row: &OutcomeRow) -> bool;
    /// Removes a row of OUTCOMES.
    fn drop_outcome(&self, key: &OutcomeKey);
    /// Row of LATENCIES.
    fn latency(&self, row: u32) -> Option<&AtomicU64>;

    /// 32 random bits; need not be cryptographic.
    fn random(&self) -> u32;
    /// Monotonic clock, nanoseconds.
    fn now(&self) -> u64;
    /// The same clock at the last tick of a timer, some milliseconds ago: cheaper.
    fn coarse_now(&self) -> u64;

    /// A client has some rows less.
    fn give_back(&self, client: u32, resource: Resource, rows: u32);

    /// Adds one to a counter of a service.
    fn count(&self, service: u32, counter: Counter);
}

/// The socket on whose behalf a decision is made, and whose it is.
pub trait Caller: Kernel {
    /// Who is asking: the cookie of the socket's network namespace, or the id of the task's cgroup.
    fn client(&self, by_cgroup: bool) -> u64;
    /// The [client](crate::client) that the calling task belongs to, in its short form.
    fn client_id(&self) -> u32;
    /// The address the calling socket is bound to; all zero while it is bound to none.
    fn source(&self) -> Addr;
    /// Whether whoever is asking is not to be served.
    fn excluded(&self) -> bool;

    /// Cookie of the calling socket.
    fn cookie(&self) -> u64;

    /// Whether the calling socket is connected. A UDP socket can be disconnected without a hook.
    fn is_connected(&self) -> bool;
    /// Where the calling socket's datagrams go; made when it has none and `create` says so. Null
    /// when there is no room, or the client has as many as it may have.
    fn flows(&self, create: bool) -> *mut SocketFlows;
    /// The same for those that its first record has no room for.
    fn more_flows(&self, create: bool) -> *mut MoreFlows;
}
