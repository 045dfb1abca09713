//! The addresses of this node: where node ports are reached.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};

/// Holds every service address while kube-proxy is in its IPVS mode; none of them is the node's.
const IPVS: &str = "kube-ipvs0";

/// All addresses of all interfaces, and loopback, which every network namespace has.
pub(super) fn addresses() -> nix::Result<BTreeSet<IpAddr>> {
    let found = getifaddrs()?.filter(|interface| interface.interface_name != IPVS);
    let found = found
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

/// A link-local address names a node only together with an interface.
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
    fn loopback_is_among_the_addresses_and_link_local_is_not() {
        let addresses = addresses().unwrap();
        assert!(
            addresses.contains(&"127.0.0.1".parse().unwrap())
                && addresses.contains(&"::1".parse().unwrap())
        );
        assert!(addresses.iter().all(is_reachable), "{addresses:?}");
        assert!(!is_reachable(&"fe80::1".parse().unwrap()));
    }
}
