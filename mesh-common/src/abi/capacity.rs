//! Default number of rows of each map. The agent may create some maps with others.

/// Frontends: one per address, port and protocol.
pub const SERVICES: u32 = 65_536;
/// Twice the backends, because a service's old and new slots stand side by side while it
/// switches.
pub const SLOTS: u32 = 524_288;
/// Endpoints of all services together.
pub const BACKENDS: u32 = 262_144;
/// Open sockets that were answered with a backend. One more is balanced as well, but forgotten
/// at once.
pub const SOCKETS: u32 = 131_072;
/// A power of two.
pub const COOKIE_FILTER: u32 = 65_536;
/// Words of 64 bits, a power of two; see [`filter`](crate::filter).
pub const ADDRESS_FILTER: u32 = 1024;
/// Clients with session affinity. One more is balanced like any other.
pub const AFFINITY: u32 = 65_536;
/// Cgroups and network namespaces that are not served.
pub const EXCLUDED: u32 = 1024;
/// Cgroups that hold clients. One more makes clients coarser.
pub const GROUPS: u32 = 1024;
/// Clients and backends that failed them; the one that was looked at the longest ago makes
/// room.
pub const OUTCOMES: u32 = 65_536;
/// Clients and backends of latency-aware services, a power of two; see
/// [`latency`](crate::latency).
pub const LATENCIES: u32 = 131_072;
/// Clients that are told apart when rows are counted, a power of two.
pub const QUOTAS: u32 = 65_536;
/// Clients of services that bound a client's share. One more is bounded by the service's own
/// limit alone.
pub const SHARES: u32 = 65_536;
/// Cgroups whose client each CPU remembers, a power of two.
pub const CLIENTS: u32 = 64;
/// Services that one UDP socket can send to with a stable endpoint for each.
pub const FLOWS_PER_SOCKET: usize = 64;
/// Those of them that a socket's first record has room for.
pub const FLOWS_AT_FIRST: usize = 2;
