//! Lists the frontends of a service port on this node and the endpoints that each leads to.
//!
//! `externalTrafficPolicy` is ignored: it is about packets that arrive at a node from outside, and
//! a connect call never does. Kubernetes, too, uses all endpoints for connections of its own nodes
//! and pods to external addresses.

use std::net::IpAddr;

use mesh_common::abi::FrontendKey;

use super::World;
use crate::model::{
    Addresses, Condition, Endpoint, FrontendKind, InternalTraffic, Service, ServicePort,
};

/// An address and port at which clients reach a service port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frontend<'a> {
    /// Address.
    pub address: IpAddr,
    /// Port. A node port differs from the service's port.
    pub port: u16,
    /// What makes it a frontend.
    pub kind: FrontendKind,
    /// Which endpoints it leads to.
    pub reach: Reach<'a>,
}

impl Frontend<'_> {
    /// Returns its key in SERVICES.
    pub fn key(&self, port: &ServicePort) -> FrontendKey {
        FrontendKey {
            addr: self.address.into(),
            port: self.port.to_be(),
            protocol: port.protocol.number(),
            pad: 0,
        }
    }
}

/// Scope of the endpoints that a frontend leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach<'a> {
    /// Endpoints on all nodes.
    Everywhere,
    /// Endpoints on this node.
    Node(&'a str),
}

impl Reach<'_> {
    /// Whether the endpoint is in scope.
    pub fn has(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Node(node) => endpoint.is_on(node),
        }
    }
}

/// Returns all frontends of a service port, without duplicates.
pub fn frontends<'a>(world: &'a World, service: &Service, port: &ServicePort) -> Vec<Frontend<'a>> {
    let inside = world.addresses(service);
    let kind = match service.addresses {
        Addresses::Cluster(_) => FrontendKind::ClusterIp,
        Addresses::Fixed(_) | Addresses::Auto => FrontendKind::Address,
    };
    let inside_reach = inside_reach(world, service);
    let mut all: Vec<Frontend<'a>> = Vec::with_capacity(inside.len());
    let mut add = |address, port, kind: FrontendKind| {
        let reach = if kind.is_internal() {
            inside_reach
        } else {
            Reach::Everywhere
        };
        if !all
            .iter()
            .any(|known| (known.address, known.port) == (address, port))
        {
            all.push(Frontend {
                address,
                port,
                kind,
                reach,
            });
        }
    };
    inside
        .iter()
        .for_each(|&address| add(address, port.port, kind));
    world
        .external(service)
        .for_each(|external| add(external.address, port.port, external.kind));
    if let Some(node_port) = port.node_port {
        // A service of one address family has node ports in that family only, as in Kubernetes.
        let has_family = |address: &&IpAddr| {
            inside
                .iter()
                .any(|inside| inside.is_ipv4() == address.is_ipv4())
        };
        let node = world.node_addresses.iter().filter(has_family);
        node.for_each(|&address| add(address, node_port, FrontendKind::NodePort));
    }
    all
}

fn inside_reach<'a>(world: &'a World, service: &Service) -> Reach<'a> {
    match service.internal_traffic {
        InternalTraffic::Cluster => Reach::Everywhere,
        InternalTraffic::Local => Reach::Node(&world.node_name),
    }
}

/// Returns the distinct scopes of a service port's frontends.
pub(super) fn reaches<'a>(
    world: &'a World,
    service: &Service,
    port: &ServicePort,
) -> impl Iterator<Item = Reach<'a>> + use<'a> {
    let inside = inside_reach(world, service);
    let has_outside = port.node_port.is_some() || world.external(service).next().is_some();
    let outside = (has_outside && inside != Reach::Everywhere).then_some(Reach::Everywhere);
    outside.into_iter().chain([inside])
}

/// Whether a service has an address in this family. Without one, its endpoints of the family cannot
/// be reached.
pub fn has_family(world: &World, service: &Service, is_v4: bool) -> bool {
    let outside = service.external.iter().map(|external| &external.address);
    world
        .addresses(service)
        .iter()
        .chain(outside)
        .any(|address| address.is_ipv4() == is_v4)
}

/// Returns why no frontend of a service port can lead to this endpoint, whatever its state, or
/// nothing if one can.
pub fn out_of_reach(
    world: &World,
    service: &Service,
    port: &ServicePort,
    endpoint: &Endpoint,
) -> Option<OutOfReach> {
    match endpoint.address.is_ipv4() {
        is_v4 if has_family(world, service, is_v4) => {}
        true => return Some(OutOfReach::NoIpv4Address),
        false => return Some(OutOfReach::NoIpv6Address),
    }
    let is_reached = reaches(world, service, port).any(|reach| reach.has(endpoint));
    (!is_reached).then_some(OutOfReach::OtherNode)
}

/// Why no frontend leads to an endpoint, whatever its state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OutOfReach {
    /// The service has no IPv4 address.
    NoIpv4Address,
    /// The service has no IPv6 address.
    NoIpv6Address,
    /// The service is for endpoints on the client's node, and it is on another one.
    OtherNode,
}

impl OutOfReach {
    /// Returns the words of the reason.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoIpv4Address => "no IPv4 service address",
            Self::NoIpv6Address => "no IPv6 service address",
            Self::OtherNode => "not on this node",
        }
    }
}

/// Returns the condition in which endpoints take new connections, among those that `may` by their
/// weight: ready, or terminating if none is ready (KEP-1669).
pub(super) fn serving<'a>(
    mut endpoints: impl Iterator<Item = &'a Endpoint>,
    may: impl Fn(&Endpoint) -> bool,
) -> Condition {
    Condition::serving(endpoints.any(|it| it.condition == Condition::Ready && may(it)))
}

/// Returns the positions of the endpoints that are configured to take the new connections of a
/// frontend: the ready endpoints of its family in its scope, or the serving terminating ones if
/// none is ready (KEP-1669).
pub fn takers<'a>(
    port: &'a ServicePort,
    is_v4: bool,
    reach: Reach<'a>,
) -> impl Iterator<Item = usize> + use<'a> {
    let within =
        move |endpoint: &Endpoint| endpoint.address.is_ipv4() == is_v4 && reach.has(endpoint);
    let serving = serving(port.endpoints.iter(), |it| within(it) && it.weight > 0);
    let endpoints = port.endpoints.iter().enumerate();
    endpoints
        .filter(move |(_, endpoint)| within(endpoint) && endpoint.takes(serving))
        .map(|(position, _)| position)
}
