//! An endpoint of a service port.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{
    traffic::{Hints, Locality},
    words::Words as _,
};

/// An address and port that serves a service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Never unspecified.
    pub address: IpAddr,
    /// Never zero.
    pub port: u16,
    /// Weight relative to the other endpoints; an endpoint of weight zero takes no connections.
    pub weight: u32,
    /// Whether it may take connections.
    pub condition: Condition,
    /// Name of its node, if known.
    pub node: Option<Arc<str>>,
    /// Further nodes: several EndpointSlices may list the endpoint, each with another node.
    pub other_nodes: Option<Arc<Vec<Arc<str>>>>,
    /// Location.
    pub locality: Locality,
    /// Nodes and zones whose connects should go here, if its EndpointSlice has hints.
    pub hints: Option<Arc<Hints>>,
    /// Capacity in connections, for display; one by default.
    pub capacity: u32,
    /// Source; absent for the local one.
    pub source: Option<Arc<str>>,
}

impl Endpoint {
    /// Creates a ready endpoint of weight one.
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self {
            address,
            port,
            weight: 1,
            condition: Condition::Ready,
            node: None,
            other_nodes: None,
            locality: Locality::default(),
            hints: None,
            capacity: 1,
            source: None,
        }
    }

    /// Whether it runs on this node.
    pub fn is_on(&self, node: &str) -> bool {
        self.node
            .iter()
            .chain(self.other_nodes.iter().flat_map(|nodes| nodes.iter()))
            .any(|name| **name == *node)
    }

    /// Whether it takes new connections while endpoints in condition `serving` do.
    pub fn takes(&self, serving: Condition) -> bool {
        self.condition == serving && self.weight > 0
    }
}

/// Endpoint conditions of `discovery.k8s.io/v1`, reduced to their meaning for new connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// Takes new connections.
    Ready,
    /// Shutting down but still serving: takes new connections only if no endpoint is ready.
    Terminating,
    /// Takes no new connections.
    NotReady,
}

impl Condition {
    /// Returns the condition of the endpoints that take new connections: ready, or terminating if
    /// none is ready.
    /// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/1669-proxy-terminating-endpoints>
    pub const fn serving(any_ready: bool) -> Self {
        if any_ready {
            Self::Ready
        } else {
            Self::Terminating
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
