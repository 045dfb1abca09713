//! Addresses and frontends of services.

use std::{fmt, net::IpAddr};

/// Addresses of a service inside the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// ClusterIPs of Kubernetes: at least one, no duplicates.
    Cluster(Vec<IpAddr>),
    /// As configured in a native file: at least one, no duplicates.
    Fixed(Vec<IpAddr>),
    /// An address from each configured pool, kept while the service exists.
    Auto,
}

impl Addresses {
    /// Returns the addresses that are configured. Addresses of `Auto` are known to the pool
    /// allocator.
    pub fn given(&self) -> &[IpAddr] {
        match self {
            Self::Cluster(addresses) | Self::Fixed(addresses) => addresses,
            Self::Auto => &[],
        }
    }
}

/// An external address of a service, which the network routes to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct External {
    /// Address.
    pub address: IpAddr,
    /// [`ExternalIp`](FrontendKind::ExternalIp) or [`LoadBalancer`](FrontendKind::LoadBalancer).
    pub kind: FrontendKind,
}

/// Kind of frontend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FrontendKind {
    /// An address of Kubernetes inside the cluster.
    ClusterIp,
    /// An address of a native file, or one from the pool.
    Address,
    /// One of `externalIPs`.
    ExternalIp,
    /// An ingress address of a load balancer.
    LoadBalancer,
    /// An address of this node, with its own port.
    NodePort,
}

impl FrontendKind {
    /// Whether `internalTrafficPolicy` applies to it.
    pub const fn is_internal(self) -> bool {
        match self {
            Self::ClusterIp | Self::Address => true,
            Self::ExternalIp | Self::LoadBalancer | Self::NodePort => false,
        }
    }
}

impl fmt::Display for FrontendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "ClusterIP",
            Self::Address => "address",
            Self::ExternalIp => "ExternalIP",
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
        })
    }
}

/// A configured frontend that is not served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unserved {
    /// An address, or the name of a load balancer.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Protocol as written, which may be `SCTP`.
    pub protocol: String,
    /// Kind of frontend.
    pub kind: FrontendKind,
    /// Why it is not served.
    pub reason: String,
}

/// `internalTrafficPolicy`: scope of the endpoints of cluster addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InternalTraffic {
    /// Endpoints on all nodes.
    #[default]
    Cluster,
    /// Endpoints on the client's node only, even if there are none.
    Local,
}
