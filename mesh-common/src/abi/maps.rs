//! Map names, as in the object file, the pin directory and `bpftool map`.

/// Frontend → service row.
pub const SERVICES: &str = "SERVICES";
/// Slot index → backend index.
pub const SLOTS: &str = "SLOTS";
/// Backend index → address, and what the kernel knows of it.
pub const BACKENDS: &str = "BACKENDS";
/// Service id → what the kernel knows of the service as a whole.
pub const LOAD: &str = "LOAD";
/// Service id → what the kernel counts for it, per CPU.
pub const COUNTERS: &str = "COUNTERS";
/// Service id → its name; read by the agent only, so that ids outlive it.
pub const NAMES: &str = "NAMES";
/// Socket cookie → how its connect was answered.
pub const SOCKETS: &str = "SOCKETS";
/// UDP socket → where its datagrams go, one entry for each service it sends to.
pub const FLOWS: &str = "FLOWS";
/// UDP socket that sends to more services than its entry of FLOWS has room for → the others.
pub const MORE_FLOWS: &str = "MORE_FLOWS";
/// Which sockets may be in SOCKETS.
pub const COOKIE_FILTER: &str = "COOKIE_FILTER";
/// Which addresses may be frontends.
pub const ADDRESS_FILTER: &str = "ADDRESS_FILTER";
/// Client and service → backend, for services with session affinity.
pub const AFFINITY: &str = "AFFINITY";
/// Cgroups and network namespaces that are not served.
pub const EXCLUDED: &str = "EXCLUDED";
/// Cgroups that hold clients and are none; see [`client`](crate::client).
pub const GROUPS: &str = "GROUPS";
/// Client and backend → how the client's connects ended.
pub const OUTCOMES: &str = "OUTCOMES";
/// Client and backend → how long the client's connections take.
pub const LATENCIES: &str = "LATENCIES";
/// Client → what it has of the tables that all clients share.
pub const QUOTAS: &str = "QUOTAS";
/// Service and client → how many of the service's connections the client has, where the service
/// bounds that.
pub const SHARES: &str = "SHARES";
/// Which client a cgroup belongs to, as far as a CPU has met it lately.
pub const CLIENTS: &str = "CLIENTS";
