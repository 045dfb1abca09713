//! Default number of rows of each map. The agent may create some maps with others.

/// Frontends: one per address, port and protocol.
pub const SERVICES: u32 = 65_536;
/// Twice the backends, because a service's old and new slots stand side by side while it
/// switches.
pub const SLOTS: u32 = 524_288;
/// Endpoints of all services together.
pub const BACKENDS: u32 = 262_144;
/// Open sockets with a backend. Connects beyond that are balanced, but not recorded.
pub const SOCKETS: u32 = 131_072;
/// Pairs of classes of socket cookies, a power of two.
pub const COOKIE_FILTER: u32 = 32_768;
/// Words of 64 bits, a power of two; see [`filter`](crate::filter).
pub const ADDRESS_FILTER: u32 = 1024;
/// Clients with session affinity. Further clients have none.
pub const AFFINITY: u32 = 65_536;
/// Cgroups and network namespaces whose connects stay untouched.
pub const EXCLUDED: u32 = 1024;
/// Cgroups that contain clients. Below a group that has no row, all cgroups count as one client.
pub const GROUPS: u32 = 1024;
/// Pairs of a client and a backend that failed it. A new pair evicts the least recently used one.
pub const OUTCOMES: u32 = 65_536;
/// Rows of OUTCOMES that one client may have, a power of two. A client that fails at more backends
/// forgets some of them.
pub const OUTCOMES_PER_CLIENT: u32 = 4096;
/// Pairs of a client and a backend of a latency-aware service, a power of two; see
/// [`latency`](crate::latency).
pub const LATENCIES: u32 = 131_072;
/// Classes of clients, a power of two; see [`quota`](crate::quota).
pub const QUOTAS: u32 = 65_536;
/// Pairs of a client and a service that limits each client. For further pairs only the service's
/// own limit applies.
pub const SHARES: u32 = 65_536;
/// Cgroups whose client is cached, a power of two.
pub const CLIENTS: u32 = 1024;
/// Services to which one UDP socket can send with a stable endpoint for each.
pub const FLOWS_PER_SOCKET: usize = 64;
/// Flows in the first record of a socket; the others are in its second.
pub const FLOWS_AT_FIRST: usize = 2;
