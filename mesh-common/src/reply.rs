//! The way back: the address that a program sees for its peer. Takes a socket's row and the real
//! peer, returns the service address.

use crate::{abi::SocketRecord, addr::Addr};

/// Returns the service address to show for `peer`, or none when the peer is not the socket's
/// backend.
///
/// A row may outlive its connection, which `connect(AF_UNSPEC)` ends without a hook. Comparing the
/// peer makes an old row harmless. `port` is in network byte order, as is the returned port.
#[inline(always)]
pub fn reverse(record: &SocketRecord, peer: Addr, port: u16) -> Option<(Addr, u16)> {
    if record.backend == peer && record.backend_port == port {
        Some((record.frontend, record.frontend_port))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use core::{net::Ipv4Addr, sync::atomic::AtomicU64};

    use super::*;

    #[test]
    fn only_the_recorded_backend_is_reversed() {
        let (vip, endpoint) = (
            Addr::from(Ipv4Addr::new(10, 96, 0, 1)),
            Addr::from(Ipv4Addr::new(10, 0, 0, 1)),
        );
        let record = SocketRecord {
            frontend: vip,
            frontend_port: 80,
            backend: endpoint,
            backend_port: 8080,
            service: 0,
            backend_index: 0,
            generation: 0,
            client: 0,
            netns: 0,
            state: AtomicU64::new(0),
            started: 0,
        };
        assert_eq!(reverse(&record, endpoint, 8080), Some((vip, 80)));
        assert_eq!(reverse(&record, endpoint, 8081), None);
        assert_eq!(reverse(&record, vip, 8080), None);
    }
}
