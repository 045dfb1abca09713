//! What a decision needs from the world it runs in: the kernel's maps and the calling socket, or copies on the host.

use crate::{
    abi::{
        AffinityKey, AffinityRow, BackendRow, FrontendKey, ServiceRow, Slot, SocketFlows, SocketRecord, TrackedSocket,
    },
    counter::Counter,
};

/// The maps, and the socket on whose behalf a decision is made.
pub trait Kernel {
    /// Row of SERVICES, as it was at one moment.
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow>;
    /// Row of SLOTS.
    fn slot(&self, index: u32) -> Option<Slot>;
    /// Row of BACKENDS.
    fn backend(&self, index: u32) -> Option<&BackendRow>;

    /// 32 random bits; need not be cryptographic.
    fn random(&self) -> u32;
    /// Monotonic clock, nanoseconds.
    fn now(&self) -> u64;
    /// Who is asking: the cookie of the socket's network namespace, or the id of the task's cgroup.
    fn client(&self, by_cgroup: bool) -> u64;
    /// Whether whoever is asking is not to be served.
    fn excluded(&self) -> bool;

    /// Adds one to a counter of a service.
    fn count(&self, service: u32, counter: Counter);
    /// Adds one connect to a backend.
    fn count_backend(&self, index: u32);

    /// Remembers how the calling socket's connect was answered; false when there is no room.
    fn record(&self, record: &SocketRecord) -> bool;
    /// How the calling socket's connect was answered.
    fn recorded(&self) -> Option<&SocketRecord>;
    /// Forgets how the calling socket's connect was answered, if it was, and that it is to be closed.
    fn forget(&self);
    /// Remembers that the calling socket is to be closed when its backend leaves; false when there is no room.
    fn track(&self, socket: &TrackedSocket) -> bool;

    /// Row of AFFINITY.
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityRow>;
    /// Adds a row unless there is one by now; false when the map cannot take it.
    fn add_affinity(&self, key: &AffinityKey, row: &AffinityRow) -> bool;
    /// Replaces the backend of a row if it still is `old`, and says that it was used.
    fn move_affinity(&self, key: &AffinityKey, old: u64, row: &AffinityRow);

    /// Where the calling socket's datagrams go; made when it has none and `create` says so. Null when there is no room.
    fn flows(&self, create: bool) -> *mut SocketFlows;
}
