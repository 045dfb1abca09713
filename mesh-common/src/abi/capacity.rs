//! Default numbers of rows of the maps that settings size, and numbers of entries within rows.
//! Other maps have their numbers in [`maps`](super::maps).

/// Frontends: one per address, port and protocol.
pub const SERVICES: u32 = 65_536;
/// Twice the backends, because a service's old and new slots stand side by side while it
/// switches.
pub const SLOTS: u32 = 524_288;
/// Endpoints of all services together.
pub const BACKENDS: u32 = 262_144;
/// Open sockets with a backend. Connects beyond that are balanced, but not recorded.
pub const SOCKETS: u32 = 131_072;
/// Rows of OUTCOMES that one client may have, a power of two. A client that fails at more backends
/// forgets some of them.
pub const OUTCOMES_PER_CLIENT: u32 = 4096;
/// Services to which one UDP socket can send with a stable endpoint for each.
pub const FLOWS_PER_SOCKET: usize = 64;
/// Flows in the first record of a socket; the others are in its second.
pub const FLOWS_AT_FIRST: usize = 2;

/// What decides the number of rows of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// The setting `--max-services`.
    Services,
    /// Follows from `--max-backends`.
    Slots,
    /// The setting `--max-backends`.
    Backends,
    /// The setting `--max-sockets`.
    Sockets,
    /// The same number on every node.
    Fixed(u32),
    /// The kernel keeps each row with its socket.
    PerSocket,
}

/// Capacity of the maps, in rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capacity {
    /// Frontends, and service ids.
    pub services: u32,
    /// Slots.
    pub slots: u32,
    /// Backends.
    pub backends: u32,
    /// Open sockets.
    pub sockets: u32,
    /// Open sockets of one [client](crate::client).
    pub sockets_per_client: u32,
}

impl Capacity {
    /// Capacity without settings.
    pub const DEFAULT: Self = Self {
        services: SERVICES,
        slots: SLOTS,
        backends: BACKENDS,
        sockets: SOCKETS,
        sockets_per_client: SOCKETS / 4,
    };

    /// Returns the number of rows of a map; zero for socket storage.
    pub const fn of(&self, rows: Rows) -> u32 {
        match rows {
            Rows::Services => self.services,
            Rows::Slots => self.slots,
            Rows::Backends => self.backends,
            Rows::Sockets => self.sockets,
            Rows::Fixed(rows) => rows,
            Rows::PerSocket => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::maps;

    /// COOKIE_FILTER has two classes of cookies in each row.
    #[test]
    fn a_client_at_its_quota_costs_at_most_half_of_the_other_sockets_a_lookup() {
        assert!(Capacity::DEFAULT.sockets_per_client <= maps::COOKIE_FILTER.capacity());
    }
}
