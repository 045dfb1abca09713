//! Addresses at which the agent probes its own programs. No service can have them, and no host has
//! them: both are set aside by IANA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The dummy address of RFC 7600, which is never a destination.
pub const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// An address of the prefix whose packets are discarded, RFC 6666.
pub const V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// Returns whether the agent probes its programs at this address.
pub fn is_probe(address: IpAddr) -> bool {
    address == IpAddr::V4(V4) || address == IpAddr::V6(V6)
}
