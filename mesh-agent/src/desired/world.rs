//! Everything that decides what the tables should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use super::vips::Vips;
use crate::model::{Addresses, Admission, CheckPolicy, External, Locality, Service, ServiceName, Services};

/// Everything that decides what the tables should be.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Services of all sources.
    pub services: Services,
    /// Addresses of the services that ask for `auto`.
    pub vips: Vips,
    /// False while services may be missing here that exist.
    pub complete: bool,
    /// Services that the kernel knows, and of which not all is known here: their rows stay as they are.
    pub uncertain: BTreeSet<ServiceName>,
    /// Name of this node, as endpoints have it.
    pub node_name: String,
    /// Addresses at which node ports are reached, loopback among them.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Which addresses and node ports services may have.
    pub admission: Arc<Admission>,
    /// Where this node is.
    pub locality: Locality,
    /// What health checks may do.
    pub check_policy: Arc<CheckPolicy>,
    /// Endpoints that health checks found not to work.
    pub unhealthy: BTreeSet<Target>,
    /// Those of them that have not worked for so long that they leave the slots.
    pub long_unhealthy: BTreeSet<Target>,
    /// What operators said of endpoints.
    pub overrides: BTreeMap<Target, Override>,
    /// When endpoints became usable, by the monotonic clock; those that are not here are long past their slow start.
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

/// What an operator said of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Override {
    /// Since when it is to take no new connections, by the monotonic clock.
    pub draining_since: Option<Duration>,
    /// Its weight, instead of the configured one.
    pub weight: Option<u16>,
}

impl World {
    /// The addresses of a service inside the cluster.
    pub fn addresses<'a>(&'a self, service: &'a Service) -> &'a [IpAddr] {
        match &service.addresses {
            Addresses::Cluster(addresses) | Addresses::Fixed(addresses) => addresses,
            Addresses::Auto => self.vips.get(&service.name).map_or(&[], Vec::as_slice),
        }
    }

    /// The addresses of a service outside of the cluster, but for those of this node that it may not have.
    pub fn external<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a External> {
        service.external.iter().filter(|it| self.refuses(it).is_none())
    }

    /// Why a service may not have an external address, where that is one of this node.
    pub fn refuses(&self, external: &External) -> Option<String> {
        let is_own = self.node_addresses.contains(&external.address);
        if is_own { self.admission.refuses_of_node(external.address) } else { None }
    }
}
