//! Service files that are made up, and short forms of what is read from them, for tests.

use std::net::SocketAddr;

use crate::model::{Addresses, Service, ServicePort, Update};

/// Formats a service, one line per port: `shop/cart 10.96.0.1 http 80/TCP: 10.0.0.1:8080 x1 ready`.
pub fn lines(service: &Service) -> Vec<String> {
    let addresses = match &service.addresses {
        Addresses::Cluster(addresses) | Addresses::Fixed(addresses) => addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
        Addresses::Auto => "auto".to_owned(),
    };
    let line = |port: &ServicePort| {
        let endpoints = port.endpoints.iter().map(|it| {
            let address = SocketAddr::new(it.address, it.port);
            format!(" {address} x{} {}", it.weight, it.condition)
        });
        let endpoints: Vec<String> = endpoints.collect();
        let label = port.label();
        format!(
            "{} {addresses} {label} {}/{}:{}",
            service.name,
            port.port,
            port.protocol,
            endpoints.join(",")
        )
    };
    service.ports.iter().map(line).collect()
}

/// Returns the lines of all services.
pub fn served(update: &Update) -> Vec<String> {
    update
        .services
        .values()
        .flat_map(|service| lines(service))
        .collect()
}

/// Returns the names of all services.
pub fn names(update: &Update) -> Vec<String> {
    update
        .services
        .keys()
        .map(|name| name.name.clone())
        .collect()
}

/// A native service with one endpoint.
pub fn service(name: &str, address: &str) -> String {
    format!(
        "- {{name: {name}, address: {address}, ports: [{{port: 80}}], endpoints: [{{address: 10.0.0.1}}]}}\n"
    )
}

/// A file with one native service.
pub fn one(name: &str, address: &str) -> String {
    format!("services:\n{}", service(name, address))
}

/// The same as JSON.
pub fn one_json(name: &str, address: &str) -> String {
    let ports = r#"[{"port": 80}]"#;
    let endpoints = r#"[{"address": "10.0.0.1"}]"#;
    format!(
        r#"{{"services": [{{"name": "{name}", "address": "{address}", "ports": {ports}, "endpoints": {endpoints}}}]}}"#
    )
}
