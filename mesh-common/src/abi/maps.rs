//! Map names, as in the object file, the pin directory and `bpftool map`.

/// Frontend → service row.
pub const SERVICES: &str = "SERVICES";
/// Slot index → backend index.
pub const SLOTS: &str = "SLOTS";
/// Backend index → address, configuration and live state of the backend.
pub const BACKENDS: &str = "BACKENDS";
/// Service id → connections of the service as a whole.
pub const LOAD: &str = "LOAD";
/// Service id → its counters, per CPU.
pub const COUNTERS: &str = "COUNTERS";
/// Service id → its name. Only the agent reads it, so that a service keeps its id over a restart.
pub const NAMES: &str = "NAMES";
/// Socket cookie → how its connect was answered.
pub const SOCKETS: &str = "SOCKETS";
/// UDP socket → where its datagrams go, one entry for each service.
pub const FLOWS: &str = "FLOWS";
/// UDP socket → the entries for which its row of FLOWS has no room.
pub const MORE_FLOWS: &str = "MORE_FLOWS";
/// Pair of classes of socket cookies → for each, the number of rows in SOCKETS, 32 bits: sockets
/// without a row need no hash lookup.
pub const COOKIE_FILTER: &str = "COOKIE_FILTER";
/// Class of addresses → whether it has a frontend; see [`filter`](crate::filter).
pub const ADDRESS_FILTER: &str = "ADDRESS_FILTER";
/// Client and service → backend, for services with session affinity.
pub const AFFINITY: &str = "AFFINITY";
/// Cgroups and network namespaces whose connects stay untouched.
pub const EXCLUDED: &str = "EXCLUDED";
/// Cgroups that contain clients and are not clients; see [`client`](crate::client).
pub const GROUPS: &str = "GROUPS";
/// Client and backend → outcomes of the client's connects.
pub const OUTCOMES: &str = "OUTCOMES";
/// Client and backend → latencies of the client's connections.
pub const LATENCIES: &str = "LATENCIES";
/// Class of clients → number of their rows in tables that all clients share.
pub const QUOTAS: &str = "QUOTAS";
/// Service and client → the client's connections to the service, where the service limits them for
/// each client.
pub const SHARES: &str = "SHARES";
/// Cgroup → its client: a cache.
pub const CLIENTS: &str = "CLIENTS";
/// State of the random numbers of each CPU. Only the kernel programs use it.
pub const RANDOM: &str = "RANDOM";
