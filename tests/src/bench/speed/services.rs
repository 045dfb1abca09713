//! The services, which are the same for every contender: consecutive addresses, and their endpoints.
//!
//! All of 10.0.0.0/8 is local in a contender's namespace, so every endpoint answers, and connects to
//! a service address that is not translated are refused.

use std::{net::Ipv4Addr, ops::Range};

use super::load::drive::Targets;
use crate::{Manifest, manifest::document, service};

/// Endpoints of each service.
pub const ENDPOINTS: u32 = 10;

/// Port of service addresses.
pub const SERVICE_PORT: u16 = 80;

/// Port of endpoints, which echo a byte or speak HTTP.
pub const ENDPOINT_PORT: u16 = 8080;

/// Returns the address of a service.
pub fn vip(service: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 96, 0, 1)) + service)
}

/// Returns the address of an endpoint.
pub fn endpoint(service: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 1)) + service * ENDPOINTS + number)
}

/// Returns one service as the only target.
pub fn one(service: u32) -> Targets {
    Targets {
        first: vip(service),
        count: 1,
        port: SERVICE_PORT,
    }
}

/// Returns this number of services as targets, of which each connect takes a random one.
pub fn any(services: u32) -> Targets {
    Targets {
        first: vip(0),
        count: services,
        port: SERVICE_PORT,
    }
}

/// Returns an address that is not a service: an endpoint of the first service.
pub fn direct(port: u16) -> Targets {
    Targets {
        first: endpoint(0, 0),
        count: ENDPOINTS,
        port,
    }
}

/// How services are written to files for the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writing {
    /// A field of every service, like `balance: random`.
    pub with: Option<&'static str>,
    /// Port of the endpoints.
    pub port: u16,
    /// Number of services that also have a UDP port, from the first on.
    pub udp: u32,
}

impl Writing {
    /// TCP only, default settings, endpoints that echo.
    pub const PLAIN: Self = Self {
        with: None,
        port: ENDPOINT_PORT,
        udp: 0,
    };

    /// Returns a file with these services.
    pub fn file(self, services: Range<u32>) -> String {
        document(
            &services
                .map(|number| self.manifest(number))
                .collect::<Vec<_>>(),
        )
    }

    fn manifest(self, number: u32) -> Manifest {
        let mut manifest = service(&format!("bench/s{number}"))
            .address(&vip(number).to_string())
            .tcp(SERVICE_PORT);
        if number < self.udp {
            manifest = manifest.udp(SERVICE_PORT);
        }
        if let Some(field) = self.with {
            manifest = manifest.with(field);
        }
        let at = |endpoint_number| (endpoint(number, endpoint_number), self.port).into();
        (0..ENDPOINTS).fold(manifest, |manifest, it| manifest.at(at(it)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_address_is_used_twice() {
        let vips: BTreeSet<_> = (0..100_000).map(vip).collect();
        let endpoints: BTreeSet<_> = (0..100_000)
            .flat_map(|one| (0..ENDPOINTS).map(move |it| endpoint(one, it)))
            .collect();
        assert_eq!((vips.len(), endpoints.len()), (100_000, 1_000_000));
        assert!(vips.is_disjoint(&endpoints));
        assert!(
            vips.iter()
                .chain(&endpoints)
                .all(|address| address.octets()[0] == 10)
        );
    }

    #[test]
    fn a_file_has_the_services_of_its_range() {
        let text = Writing {
            udp: 4,
            ..Writing::PLAIN
        }
        .file(3..5);
        assert_eq!(text.matches("- name: s").count(), 2);
        assert_eq!(text.matches("protocol: UDP").count(), 1);
        assert!(text.contains(&format!(
            "  - {{address: \"{}\", port: 8080}}\n",
            endpoint(4, 9)
        )));
    }
}
