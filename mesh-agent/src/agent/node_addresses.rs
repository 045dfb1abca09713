//! Reads the addresses of this node, at which node ports are reached.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};

/// The interface that holds every service address in the IPVS mode of kube-proxy; none is the
/// node's own.
const IPVS: &str = "kube-ipvs0";

/// Returns the addresses of all interfaces, and loopback, which every network namespace has.
pub(super) fn read() -> nix::Result<BTreeSet<IpAddr>> {
    let interfaces = getifaddrs()?.filter(|interface| interface.interface_name != IPVS);
    let found = interfaces
        .filter_map(|interface| address(&interface.address?))
        .filter(is_reachable);
    Ok(found
        .chain([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
        .collect())
}

fn address(socket: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = socket.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| Some(socket.as_sockaddr_in6()?.ip().into()))
}

/// Returns whether the address alone identifies a node; a link-local one needs an interface.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_loopback_and_no_link_local() {
        let addresses = read().unwrap();
        assert!(
            addresses.contains(&"127.0.0.1".parse().unwrap())
                && addresses.contains(&"::1".parse().unwrap())
        );
        assert!(addresses.iter().all(is_reachable), "{addresses:?}");
        assert!(!is_reachable(&"fe80::1".parse().unwrap()));
    }
}
