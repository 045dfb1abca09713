//! Builds services in the native form.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
};

use crate::Server;

/// Builds a service; `shop/cart` is namespace and name.
pub fn service(name: &str) -> Manifest {
    let (namespace, name) = name
        .split_once('/')
        .expect("a service is written namespace/name");
    Manifest {
        namespace: namespace.into(),
        name: name.into(),
        ..Manifest::default()
    }
}

/// A service. It is displayed as a `services:` document.
#[derive(Clone, Default)]
pub struct Manifest {
    namespace: String,
    name: String,
    addresses: Vec<String>,
    ports: Vec<(u16, &'static str)>,
    endpoints: Vec<Endpoint>,
    settings: Vec<String>,
}

#[derive(Clone)]
struct Endpoint {
    address: SocketAddr,
    settings: String,
}

impl Manifest {
    /// A service address, or `auto`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// A TCP port.
    #[must_use]
    pub fn tcp(mut self, port: u16) -> Self {
        self.ports.push((port, "TCP"));
        self
    }

    /// A UDP port.
    #[must_use]
    pub fn udp(mut self, port: u16) -> Self {
        self.ports.push((port, "UDP"));
        self
    }

    /// A server as endpoint of all ports.
    #[must_use]
    pub fn endpoint(self, server: &Server) -> Self {
        self.at(server.address())
    }

    /// Several servers as endpoints.
    #[must_use]
    pub fn endpoints<'a>(self, servers: impl IntoIterator<Item = &'a Server>) -> Self {
        servers.into_iter().fold(self, Self::endpoint)
    }

    /// A server with a weight.
    #[must_use]
    pub fn weighted(mut self, server: &Server, weight: u32) -> Self {
        self.endpoints.push(Endpoint {
            address: server.address(),
            settings: format!(", weight: {weight}"),
        });
        self
    }

    /// A server on a node of this name.
    #[must_use]
    pub fn on_node(mut self, server: &Server, node: &str) -> Self {
        self.endpoints.push(Endpoint {
            address: server.address(),
            settings: format!(", node: {node}"),
        });
        self
    }

    /// A server in a state, like `terminating`.
    #[must_use]
    pub fn in_state(mut self, server: &Server, state: &str) -> Self {
        self.endpoints.push(Endpoint {
            address: server.address(),
            settings: format!(", state: {state}"),
        });
        self
    }

    /// A server with further fields, like `zone: a`.
    #[must_use]
    pub fn described(mut self, server: &Server, fields: &str) -> Self {
        self.endpoints.push(Endpoint {
            address: server.address(),
            settings: format!(", {fields}"),
        });
        self
    }

    /// Another field of the service, like `closeStaleTcp: true`.
    #[must_use]
    pub fn with(mut self, field: &str) -> Self {
        self.settings.push(field.into());
        self
    }

    /// Session affinity by network namespace with this timeout.
    #[must_use]
    pub fn sticky(self, seconds: u32) -> Self {
        self.with(&format!(
            "affinity: {{client: namespace, timeoutSeconds: {seconds}}}"
        ))
    }

    /// An endpoint at any address, with or without a server.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.endpoints.push(Endpoint {
            address,
            settings: String::new(),
        });
        self
    }

    /// An endpoint at any address, with further fields, like `zone: a`.
    #[must_use]
    pub fn at_described(mut self, address: SocketAddr, fields: &str) -> Self {
        self.endpoints.push(Endpoint {
            address,
            settings: format!(", {fields}"),
        });
        self
    }

    // Ports come last and in flow form: a document cut off anywhere before its last byte is not a
    // valid one.
    fn item(&self) -> String {
        let Self {
            namespace,
            name,
            addresses,
            ports,
            endpoints,
            settings,
        } = self;
        let addresses = match addresses.as_slice() {
            [address] => format!("{address:?}"),
            several => format!("{several:?}"),
        };
        let lines: String = endpoints
            .iter()
            .map(|endpoint| format!("  - {}\n", endpoint.flow()))
            .collect();
        let endpoints = if lines.is_empty() {
            " []\n".into()
        } else {
            format!("\n{lines}")
        };
        let settings: String = settings
            .iter()
            .map(|field| format!("  {field}\n"))
            .collect();
        let ports: Vec<_> = ports.iter().map(flow_port).collect();
        format!(
            "- name: {name}\n  namespace: {namespace}\n  address: {addresses}\n{settings}  endpoints:{endpoints}  ports: [{}]\n",
            ports.join(", ")
        )
    }
}

impl Endpoint {
    fn flow(&self) -> String {
        let (address, port) = (self.address.ip(), self.address.port());
        let settings = &self.settings;
        format!("{{address: \"{address}\", port: {port}{settings}}}")
    }
}

fn flow_port((port, protocol): &(u16, &str)) -> String {
    format!(
        "{{name: {}-{port}, port: {port}, protocol: {protocol}}}",
        protocol.to_lowercase()
    )
}

impl Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "services:\n{}", self.item())
    }
}

impl From<Manifest> for String {
    fn from(manifest: Manifest) -> Self {
        manifest.to_string()
    }
}

impl From<&Manifest> for String {
    fn from(manifest: &Manifest) -> Self {
        manifest.to_string()
    }
}

/// One document of many services.
pub fn document<'a>(services: impl IntoIterator<Item = &'a Manifest>) -> String {
    services
        .into_iter()
        .fold("services:\n".to_owned(), |document, service| {
            document + &service.item()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_in_the_native_form() {
        let cart = service("shop/cart")
            .address("10.96.0.10")
            .address("fd00:96::10")
            .tcp(80)
            .udp(53)
            .at("127.0.1.1:8080".parse().unwrap())
            .at("[::1]:8081".parse().unwrap());
        assert_eq!(
            cart.to_string(),
            r#"services:
- name: cart
  namespace: shop
  address: ["10.96.0.10", "fd00:96::10"]
  endpoints:
  - {address: "127.0.1.1", port: 8080}
  - {address: "::1", port: 8081}
  ports: [{name: tcp-80, port: 80, protocol: TCP}, {name: udp-53, port: 53, protocol: UDP}]
"#
        );
    }

    #[test]
    fn settings_are_fields_of_the_service() {
        let cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .sticky(3)
            .with("closeStaleTcp: true");
        assert_eq!(
            cart.to_string(),
            r#"services:
- name: cart
  namespace: shop
  address: "10.96.0.10"
  affinity: {client: namespace, timeoutSeconds: 3}
  closeStaleTcp: true
  endpoints: []
  ports: [{name: tcp-80, port: 80, protocol: TCP}]
"#
        );
    }

    #[test]
    fn a_service_without_endpoints_says_so() {
        let cart = service("shop/cart").address("auto").tcp(80);
        assert_eq!(
            document([&cart]),
            r#"services:
- name: cart
  namespace: shop
  address: "auto"
  endpoints: []
  ports: [{name: tcp-80, port: 80, protocol: TCP}]
"#
        );
    }
}
