//! Default number of rows of the maps that settings size, and sizes of rows. Other numbers are in
//! [`maps`](super::maps).

/// Frontends: one per address, port and protocol.
pub const SERVICES: u32 = 65_536;
/// Twice the backends, because a service's old and new slots stand side by side while it
/// switches.
pub const SLOTS: u32 = 524_288;
/// Endpoints of all services together.
pub const BACKENDS: u32 = 262_144;
/// Open sockets with a backend. Connects beyond that are balanced, but not recorded.
pub const SOCKETS: u32 = 131_072;
/// Services to which one UDP socket can send with a stable endpoint for each.
pub const FLOWS_PER_SOCKET: usize = 64;
/// Flows in the first record of a socket; the others are in its second.
pub const FLOWS_AT_FIRST: usize = 2;
