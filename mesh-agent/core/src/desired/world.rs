//! The input of a compile: services, the node, operator overrides and health verdicts. The owner
//! task fills it, and
//! [`compile`](super::compile()) reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use super::vips::Vips;
use crate::model::{
    Addresses, Admission, CheckPolicy, Endpoint, External, Locality, Service, ServiceName, Services,
};

/// The complete input of a compile.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Services of all sources.
    pub services: Services,
    /// Addresses of the services that ask for `auto`.
    pub vips: Vips,
    /// False while configured services may be missing here.
    pub complete: bool,
    /// Services whose configuration is only partly known. Their rows in the kernel stay as they
    /// are.
    pub uncertain: BTreeSet<ServiceName>,
    /// Name of this node, as endpoints refer to it.
    pub node_name: String,
    /// Addresses at which node ports are served, including loopback.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Which addresses and node ports services may have.
    pub admission: Arc<Admission>,
    /// Location of this node.
    pub locality: Locality,
    /// Bounds of health checks.
    pub check_policy: Arc<CheckPolicy>,
    /// Verdicts of health checks, as given: endpoints whose checks fail, and since when by the
    /// monotonic clock; the latest time where that is not known.
    pub failing: BTreeMap<Target, Duration>,
    /// Operator overrides of endpoints.
    pub overrides: BTreeMap<Target, Override>,
    /// When endpoints became usable, by the monotonic clock. An endpoint that is missing here is
    /// past its slow start.
    pub usable_since: BTreeMap<Target, Duration>,
}

/// An endpoint of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// Service.
    pub service: ServiceName,
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Address and port of an endpoint.
pub(super) type AddressPort = (IpAddr, u16);

impl Target {
    /// Returns the target of a service's endpoint.
    pub fn of(service: &Service, endpoint: &Endpoint) -> Self {
        Self {
            service: service.name.clone(),
            address: endpoint.address,
            port: endpoint.port,
        }
    }

    /// Returns address and port.
    pub(super) fn place(&self) -> AddressPort {
        (self.address, self.port)
    }
}

/// Returns what is known of the endpoints of one service.
pub(super) fn of_service<'a, V: Copy>(
    of_all: &'a BTreeMap<Target, V>,
    service: &'a ServiceName,
) -> impl Iterator<Item = (AddressPort, V)> + 'a {
    let first = Target {
        service: service.clone(),
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: 0,
    };
    let targets = of_all
        .range(first..)
        .take_while(move |(target, _)| target.service == *service);
    targets.map(|(target, &value)| (target.place(), value))
}

/// An operator's override of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Override {
    /// Start of its drain, by the monotonic clock.
    pub draining_since: Option<Duration>,
    /// Weight that replaces the configured one.
    pub weight: Option<u16>,
}

impl World {
    /// Returns the addresses of a service inside the cluster.
    pub fn addresses<'a>(&'a self, service: &'a Service) -> &'a [IpAddr] {
        match &service.addresses {
            Addresses::Cluster(addresses) | Addresses::Fixed(addresses) => addresses,
            Addresses::Auto => self.vips.get(&service.name).map_or(&[], Vec::as_slice),
        }
    }

    /// Returns the external addresses of a service, without the addresses of this node that it may
    /// not have.
    pub fn external<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a External> {
        service
            .external
            .iter()
            .filter(|it| self.refuses(it).is_none())
    }

    /// Returns why a service may not have this external address, if it is an address of this node
    /// and not allowed.
    pub fn refuses(&self, external: &External) -> Option<String> {
        let is_own = self.node_addresses.contains(&external.address);
        if is_own {
            self.admission.refuses_of_node(external.address)
        } else {
            None
        }
    }
}
