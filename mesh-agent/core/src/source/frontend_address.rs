//! Addresses of frontends, as services ask for them and as the kernel has them.

use std::{fmt, net::IpAddr};

use crate::model::{Protocol, Service};

/// Address, port and protocol of a frontend.
pub type L4Address = (IpAddr, u16, Protocol);

/// Address and port of a frontend.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrontendAddress {
    /// One address.
    At(IpAddr, u16, Protocol),
    /// Every address of the node; the addresses are not known here.
    AtNode(u16, Protocol),
}

impl fmt::Display for FrontendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address, port, protocol) => write!(f, "{address} port {port}/{protocol}"),
            Self::AtNode(port, protocol) => write!(f, "node port {port}/{protocol}"),
        }
    }
}

/// Returns the frontends of a service at this address.
pub fn at(service: &Service, address: IpAddr) -> impl Iterator<Item = FrontendAddress> {
    service
        .ports
        .iter()
        .map(move |port| FrontendAddress::At(address, port.port, port.protocol))
}
