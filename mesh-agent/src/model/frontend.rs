//! Where a service is asked for.

use std::{fmt, net::IpAddr};

/// The addresses a service has inside the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// ClusterIPs of Kubernetes: at least one, no duplicates.
    Cluster(Vec<IpAddr>),
    /// As configured in a native file: at least one, no duplicates.
    Fixed(Vec<IpAddr>),
    /// One from the configured pool, kept as long as the service lives.
    Auto,
}

impl Addresses {
    /// Those that are written down; the allocator of the pool knows the others.
    pub fn given(&self) -> &[IpAddr] {
        match self {
            Self::Cluster(addresses) | Self::Fixed(addresses) => addresses,
            Self::Auto => &[],
        }
    }
}

/// A further address of a service, which others route to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct External {
    /// Where programs ask for it.
    pub address: IpAddr,
    /// [`ExternalIp`](FrontendKind::ExternalIp) or [`LoadBalancer`](FrontendKind::LoadBalancer).
    pub kind: FrontendKind,
}

/// What makes an address and port a front end of a service.
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
    /// An address of this node, with a port of its own.
    NodePort,
}

impl FrontendKind {
    /// Whether `internalTrafficPolicy` speaks of it.
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

/// A front end that is configured but left alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unserved {
    /// An address, or the name of a load balancer.
    pub address: String,
    /// Port.
    pub port: u16,
    /// As it is written: `SCTP` is one, too.
    pub protocol: String,
    /// What it is.
    pub kind: FrontendKind,
    /// Why nothing is done at it.
    pub reason: String,
}

/// `internalTrafficPolicy`: which endpoints the addresses inside the cluster lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InternalTraffic {
    /// Those of all nodes.
    #[default]
    Cluster,
    /// Those of the client's node; where it has none, none.
    Local,
}
