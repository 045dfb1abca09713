//! Bounds of the addresses and node ports that services may have. Without bounds, the author of a
//! service could take over the cloud's metadata address, localhost or any address of the Internet
//! for all programs of the node (CVE-2020-8554).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    frontend::{Addresses, FrontendKind},
    service::Service,
};

/// Default range of node ports, as in Kubernetes.
pub const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// Bounds of addresses and node ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// Networks of cluster addresses. Without a network of a family, any address of that family is
    /// allowed.
    pub service_cidrs: Vec<IpNet>,
    /// Networks of external and load balancer addresses.
    pub external_cidrs: Vec<IpNet>,
    /// Pools of `address: auto`.
    pub vip_pools: Vec<IpNet>,
    /// Node ports.
    pub node_ports: RangeInclusive<u16>,
}

impl Default for Admission {
    /// Bounds without settings: they refuse addresses that no service may have by default.
    fn default() -> Self {
        let any = vec![Ipv4Net::default().into(), Ipv6Net::default().into()];
        Self {
            service_cidrs: vec![],
            external_cidrs: any,
            vip_pools: vec![],
            node_ports: NODE_PORTS,
        }
    }
}

impl Admission {
    /// Whether the settings reserve this address for services.
    pub fn is_service_address(&self, address: IpAddr) -> bool {
        contain(&self.service_cidrs, address) || contain(&self.vip_pools, address)
    }

    /// Returns why a service may not have this cluster address, if it may not.
    pub fn refuses_inside(&self, address: IpAddr) -> Option<String> {
        if let Some(what) = reserved(address)
            .find_map(|(range, what)| foreign(&self.service_cidrs, range, address, what))
        {
            return Some(format!(
                "{address} is {what}; serviceCidr (--service-cidr) allows it where it names {}",
                host(address)
            ));
        }
        let networks: Vec<&IpNet> = self
            .service_cidrs
            .iter()
            .filter(|net| is_of_family(net, address))
            .collect();
        let is_within = networks.is_empty()
            || contain(&self.service_cidrs, address)
            || contain(&self.vip_pools, address);
        (!is_within).then(|| {
            let known: Vec<String> = networks.iter().map(ToString::to_string).collect();
            format!(
                "{address} is outside of {}, which serviceCidr (--service-cidr) can widen",
                known.join(" and ")
            )
        })
    }

    /// Returns why a service may not have this external address, if it may not. A configured
    /// network allows addresses of a protected range only if it lies within that range: 0.0.0.0/0
    /// allows neither localhost nor the cluster's own addresses.
    pub fn refuses_outside(&self, address: IpAddr) -> Option<String> {
        let networks = self
            .service_cidrs
            .iter()
            .chain(&self.vip_pools)
            .filter(|net| net.contains(&address));
        let inside = networks.map(|net| (*net, "an address inside the cluster"));
        let what = reserved(address)
            .chain(inside)
            .find_map(|(range, what)| foreign(&self.external_cidrs, range, address, what));
        if let Some(what) = what {
            return Some(format!("{address} is {what}; {}", allowed_by(address)));
        }
        let is_within = contain(&self.external_cidrs, address);
        (!is_within).then(|| {
            format!(
                "{address} is in no network of externalCidr (--external-cidr); add {} to it",
                host(address)
            )
        })
    }

    /// Returns why a service may not have this address of the node, if it may not.
    pub fn refuses_of_node(&self, address: IpAddr) -> Option<String> {
        let what = foreign(
            &self.external_cidrs,
            host(address),
            address,
            "an address of this node",
        )?;
        Some(format!("{address} is {what}; {}", allowed_by(address)))
    }

    /// Returns why a service may not have this node port, if it may not.
    pub fn refuses_node_port(&self, port: u16) -> Option<String> {
        let (first, last) = (self.node_ports.start(), self.node_ports.end());
        (!self.node_ports.contains(&port))
            .then(|| format!("{port} is outside of {first}-{last}, which nodePortRange (--node-port-range) can widen"))
    }
}

/// Returns the name of this kind of frontend in messages.
const fn called(kind: FrontendKind) -> &'static str {
    match kind {
        FrontendKind::ClusterIp => "cluster address",
        FrontendKind::Address => "address",
        FrontendKind::ExternalIp => "external address",
        FrontendKind::LoadBalancer => "load balancer address",
        FrontendKind::NodePort => "node port",
    }
}

/// Returns the field of a service, native or Kubernetes, that claims frontends of this kind.
pub fn field(service: &Service, kind: FrontendKind) -> &'static str {
    let is_native = !matches!(service.addresses, Addresses::Cluster(_));
    match kind {
        FrontendKind::ClusterIp => "spec.clusterIPs",
        FrontendKind::Address => "address",
        FrontendKind::LoadBalancer => "status.loadBalancer.ingress",
        FrontendKind::ExternalIp if is_native => "externalIPs",
        FrontendKind::ExternalIp => "spec.externalIPs",
        FrontendKind::NodePort if is_native => "ports",
        FrontendKind::NodePort => "spec.ports",
    }
}

/// Returns the message that a frontend is refused.
pub fn refusal(kind: FrontendKind, service: &Service, reason: &str) -> String {
    format!(
        "{} of service {} is refused: {reason}",
        called(kind),
        service.name
    )
}

fn allowed_by(address: IpAddr) -> String {
    format!(
        "externalCidr (--external-cidr) allows it where it names {}",
        host(address)
    )
}

/// Returns the protected ranges that contain the address. Unspecified, multicast and broadcast
/// addresses are rejected when parsed.
fn reserved(address: IpAddr) -> impl Iterator<Item = (IpNet, &'static str)> {
    let ranges = RESERVED.iter().copied();
    ranges.filter(move |(range, _)| range.contains(&address))
}

/// Protected ranges.
const RESERVED: [(IpNet, &str); 5] = [
    (v4(127, 0, 8), "a loopback address"),
    (v6(0, 1, 128), "a loopback address"),
    (v4(169, 254, 16), "link-local, like the metadata of clouds"),
    (v6(0xfe80, 0, 10), "link-local"),
    (v4(0, 0, 8), "of this host (0.0.0.0/8)"),
];

const fn v4(a: u8, b: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length))
}

const fn v6(first: u16, last: u16, length: u8) -> IpNet {
    let address = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last);
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

/// Returns what an address of a protected range is, unless a network within that range allows it.
fn foreign(
    allowed: &[IpNet],
    range: IpNet,
    address: IpAddr,
    what: &'static str,
) -> Option<&'static str> {
    let is_allowed = allowed
        .iter()
        .any(|net| range.contains(net) && net.contains(&address));
    (!is_allowed).then_some(what)
}

fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|net| net.contains(&address))
}

fn is_of_family(network: &IpNet, address: IpAddr) -> bool {
    network.addr().is_ipv4() == address.is_ipv4()
}

fn host(address: IpAddr) -> IpNet {
    address.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Returns which of these addresses may be external ones.
    fn outside<'a>(admission: &Admission, addresses: &[&'a str]) -> Vec<&'a str> {
        let is_free = |text: &&&str| admission.refuses_outside(text.parse().unwrap()).is_none();
        addresses.iter().filter(is_free).copied().collect()
    }

    const FOREIGN: [&str; 8] = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "0.0.0.1",
        "10.96.0.10",
    ];

    #[test]
    fn only_networks_that_are_named_are_external() {
        let mut admission = Admission {
            external_cidrs: vec![],
            ..Admission::default()
        };
        assert_eq!(
            outside(&admission, &["8.8.8.8", "192.0.2.1", "2001:db8::1"]),
            [""; 0]
        );
        let reason =
            "8.8.8.8 is in no network of externalCidr (--external-cidr); add 8.8.8.8/32 to it";
        assert_eq!(
            admission
                .refuses_outside("8.8.8.8".parse().unwrap())
                .unwrap(),
            reason
        );
        admission.external_cidrs = networks(&["192.0.2.0/24"]);
        assert_eq!(
            outside(&admission, &["8.8.8.8", "192.0.2.1", "2001:db8::1"]),
            ["192.0.2.1"]
        );
    }

    #[test]
    fn a_wide_network_does_not_allow_what_belongs_to_no_service() {
        let any = Admission {
            service_cidrs: networks(&["10.96.0.0/12"]),
            ..Admission::default()
        };
        assert_eq!(outside(&any, &FOREIGN), [""; 0]);
        assert_eq!(
            outside(&any, &["8.8.8.8", "2001:db8::1"]),
            ["8.8.8.8", "2001:db8::1"]
        );
        let reason = "169.254.169.254 is link-local, like the metadata of clouds; externalCidr (--external-cidr) allows it \
                      where it names 169.254.169.254/32";
        assert_eq!(
            any.refuses_outside("169.254.169.254".parse().unwrap())
                .unwrap(),
            reason
        );
    }

    #[test]
    fn a_network_within_a_protected_range_allows_it() {
        let named = networks(&[
            "127.9.0.0/16",
            "::1/128",
            "169.254.169.254/32",
            "10.96.0.8/29",
        ]);
        let admission = Admission {
            external_cidrs: named,
            service_cidrs: networks(&["10.96.0.0/12"]),
            ..Admission::default()
        };
        assert_eq!(
            outside(&admission, &FOREIGN),
            ["127.9.9.9", "::1", "169.254.169.254", "10.96.0.10"]
        );
    }

    #[test]
    fn addresses_from_the_pool_are_not_external() {
        let admission = Admission {
            vip_pools: networks(&["240.96.0.0/16"]),
            ..Admission::default()
        };
        assert_eq!(
            outside(&admission, &["240.96.0.1", "240.97.0.1"]),
            ["240.97.0.1"]
        );
    }

    #[test]
    fn an_address_of_the_node_is_allowed_only_by_its_own_name() {
        let refuses = |named: &[&str]| {
            let admission = Admission {
                external_cidrs: networks(named),
                ..Admission::default()
            };
            admission.refuses_of_node("192.0.2.1".parse().unwrap())
        };
        let reason = "192.0.2.1 is an address of this node; externalCidr (--external-cidr) allows it where it names 192.0.2.1/32";
        assert_eq!(refuses(&["192.0.2.0/24"]).unwrap(), reason);
        assert_eq!(refuses(&["192.0.2.1/32"]), None);
    }

    #[test]
    fn cluster_addresses_are_within_the_service_networks_of_their_family() {
        let refuses = |admission: &Admission, text: &str| {
            admission
                .refuses_inside(text.parse().unwrap())
                .unwrap_or_default()
        };
        let mut admission = Admission::default();
        assert_eq!(refuses(&admission, "10.96.0.10"), "");
        assert_eq!(
            refuses(&admission, "127.0.0.1"),
            "127.0.0.1 is a loopback address; serviceCidr (--service-cidr) allows it where it names 127.0.0.1/32"
        );
        admission.service_cidrs = networks(&["10.96.0.0/16", "127.1.0.0/16"]);
        let outside = "10.97.0.1 is outside of 10.96.0.0/16 and 127.1.0.0/16, which serviceCidr (--service-cidr) can widen";
        assert_eq!(refuses(&admission, "10.97.0.1"), outside);
        for allowed in ["10.96.0.10", "127.1.0.1", "fd00::1"] {
            assert_eq!(refuses(&admission, allowed), "");
        }
        assert!(
            refuses(&admission, "169.254.169.254").starts_with("169.254.169.254 is link-local")
        );
    }

    #[test]
    fn node_ports_have_a_range() {
        let refuses = |port| {
            Admission::default()
                .refuses_node_port(port)
                .unwrap_or_default()
        };
        let reason =
            "29999 is outside of 30000-32767, which nodePortRange (--node-port-range) can widen";
        assert_eq!(
            [refuses(29_999), refuses(30_000), refuses(32_767)],
            [reason, "", ""]
        );
        assert!(!refuses(22).is_empty());
    }
}
