//! Which service holds which front end, as known from elsewhere: from the kernel's rows when an agent starts, or from a
//! running agent. What holds a front end keeps it, whichever file is read first.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::claims::Frontend;
use crate::model::{Protocol, ServiceName};

/// Address, port and protocol of a front end.
pub type Place = (IpAddr, u16, Protocol);

/// Front ends and the services that hold them. Empty where nothing is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holders(HashMap<Place, ServiceName>);

impl Holders {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is held by services of which this is not true.
    pub(super) fn of_others(&self, is_known: impl Fn(&ServiceName) -> bool) -> Self {
        let others = self.0.iter().filter(|(_, service)| !is_known(service));
        Self(others.map(|(place, service)| (*place, service.clone())).collect())
    }

    /// What is held here or there.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The service that holds a front end outside or inside the cluster. Node ports are held at every address of a node, loopback among them.
    pub(super) fn of(&self, frontend: Frontend) -> Option<&ServiceName> {
        match frontend {
            Frontend::At(address, port, protocol) => self.0.get(&(address, port, protocol)),
            Frontend::AtNode(port, protocol) => {
                let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                loopback.into_iter().find_map(|address| self.0.get(&(address, port, protocol)))
            }
        }
    }
}

impl FromIterator<(Frontend, ServiceName)> for Holders {
    fn from_iter<T: IntoIterator<Item = (Frontend, ServiceName)>>(held: T) -> Self {
        held.into_iter().map(|(frontend, service)| (place(frontend), service)).collect()
    }
}

/// Where a front end is found again.
fn place(frontend: Frontend) -> Place {
    match frontend {
        Frontend::At(address, port, protocol) => (address, port, protocol),
        Frontend::AtNode(port, protocol) => (Ipv4Addr::LOCALHOST.into(), port, protocol),
    }
}

impl FromIterator<(Place, ServiceName)> for Holders {
    fn from_iter<T: IntoIterator<Item = (Place, ServiceName)>>(held: T) -> Self {
        Self(held.into_iter().collect())
    }
}
