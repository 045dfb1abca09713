//! The shop: the services of `deploy/example`, with a real server for each endpoint.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
};

use anyhow::Context;

use super::server::Server;

/// Service addresses of the example, as in a URL. TCP services have port 80.
pub const CATALOG: &str = "10.96.0.10";
pub const CATALOG_V6: &str = "[fd00:96::10]";
pub const CHECKOUT: &str = "10.96.0.20";
pub const PAYMENTS: &str = "10.96.0.40";
/// Address and port of the UDP service.
pub const STOCK: (&str, u16) = ("10.96.0.30", 9000);

/// Weights of the endpoints of `checkout`.
pub const CHECKOUT_WEIGHTS: [(&str, u64); 3] =
    [("checkout-1", 1), ("checkout-2", 2), ("checkout-3", 7)];

/// The endpoint that is stopped during the demo: its name, and text that its line in `catalog.yaml` contains.
pub const VICTIM: (&str, &str) = ("catalog-2", "127.0.1.2]");

/// All endpoints: name, address, protocol.
const ENDPOINTS: [(&str, &str, Answer); 10] = [
    ("catalog-1", "127.0.1.1:18080", Server::http),
    ("catalog-2", "127.0.1.2:18080", Server::http),
    ("catalog-3", "127.0.1.3:18080", Server::http),
    ("catalog-4", "[::1]:18081", Server::http),
    ("catalog-5", "[::1]:18082", Server::http),
    ("checkout-1", "127.0.1.11:18080", Server::http),
    ("checkout-2", "127.0.1.12:18080", Server::http),
    ("checkout-3", "127.0.1.13:18080", Server::http),
    ("stock-1", "127.0.1.21:19000", Server::udp),
    ("stock-2", "127.0.1.22:19000", Server::udp),
];

type Answer = fn(SocketAddr, &'static str) -> std::io::Result<Server>;

/// The servers of all endpoints.
pub struct Shop(BTreeMap<&'static str, Server>);

impl Shop {
    /// Starts all servers. Leaves out IPv6 on a machine without it.
    pub fn open() -> anyhow::Result<Self> {
        let endpoints = ENDPOINTS
            .iter()
            .filter(|(_, address, _)| has_ipv6() || !address.starts_with('['));
        endpoints.map(open).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Stops one server, so that connects to its address are refused.
    pub fn close(&mut self, name: &str) {
        self.0.remove(name);
    }
}

fn open(
    (name, address, answer): &(&'static str, &str, Answer),
) -> anyhow::Result<(&'static str, Server)> {
    let parsed = address
        .parse()
        .with_context(|| format!("endpoint {name}: {address}"))?;
    let server = answer(parsed, name)
        .with_context(|| format!("{name} cannot listen on {address}: is another demo up?"))?;
    Ok((name, server))
}

/// Returns whether this machine has IPv6 on loopback.
pub fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// Returns the endpoint addresses of each service, by its name.
pub fn endpoints() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut services = BTreeMap::<_, Vec<_>>::new();
    for (name, address, _) in ENDPOINTS {
        let service = name.split('-').next().unwrap_or(name);
        services.entry(service).or_default().push(address);
    }
    services
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace;

    fn example(file: &str) -> String {
        fs::read_to_string(workspace::example().join(file)).unwrap()
    }

    #[test]
    fn every_endpoint_is_in_the_example() {
        for (name, address, _) in ENDPOINTS {
            let service = name.split('-').next().unwrap();
            let address: SocketAddr = address.parse().unwrap();
            let text = example(&format!("{service}.yaml"));
            assert!(
                text.contains(&address.ip().to_string()),
                "{name}: {address}"
            );
            assert!(
                text.contains(&format!("port: {}", address.port())),
                "{name}: {address}"
            );
        }
    }

    #[test]
    fn every_service_address_is_in_the_example() {
        let files: String = ["catalog.yaml", "checkout.yaml", "stock.yaml"]
            .map(example)
            .concat();
        for service in [CATALOG, CATALOG_V6, CHECKOUT, PAYMENTS] {
            assert!(
                files.contains(service.trim_matches(['[', ']'])),
                "{service}"
            );
        }
        assert!(files.contains(STOCK.0));
    }

    #[test]
    fn victim_has_one_line_of_its_own() {
        let text = example("catalog.yaml");
        assert_eq!(
            text.lines().filter(|line| line.contains(VICTIM.1)).count(),
            1
        );
    }
}
