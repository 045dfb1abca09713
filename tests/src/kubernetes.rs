//! Builds Kubernetes objects in JSON: `node.write("cart.json", list([&service, &slice]))`.

use serde_json::{Value, json};

use crate::Server;

/// A Service or an `EndpointSlice` that is being built.
#[derive(Clone, PartialEq, Debug)]
pub struct Object(Value);

/// A Service of type `ClusterIP`; `shop/cart` is namespace and name.
pub fn cluster_ip(name: &str, addresses: &[&str]) -> Object {
    let (namespace, name) = split(name);
    Object(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": addresses.first(),
            "clusterIPs": addresses,
            "ports": [],
        },
    }))
}

/// The slice called `suffix` of a Service: IPv4, ready endpoints.
pub fn slice(service: &str, suffix: &str) -> Object {
    let (namespace, name) = split(service);
    Object(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{suffix}"),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [],
        "ports": [],
    }))
}

/// A slice of one server and one port, with conditions like `{"ready": false}`.
pub fn slice_of(service: &str, port: &str, server: &Server, conditions: &Value) -> Object {
    slice(service, server.name())
        .serves(port, "TCP", server.address().port())
        .endpoint(server, conditions)
}

/// One document of several objects.
pub fn list<'a>(objects: impl IntoIterator<Item = &'a Object>) -> String {
    let items: Vec<_> = objects.into_iter().map(|Object(value)| value).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

impl Object {
    /// Returns the JSON.
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// Sets a field below `spec`.
    #[must_use]
    pub fn spec(self, field: &str, value: Value) -> Self {
        self.set(&["spec", field], value)
    }

    /// Sets a field anywhere.
    #[must_use]
    pub fn set(mut self, path: &[&str], value: Value) -> Self {
        *path
            .iter()
            .fold(&mut self.0, |place, field| &mut place[*field]) = value;
        self
    }

    /// A label.
    #[must_use]
    pub fn label(self, name: &str, value: &str) -> Self {
        self.set(&["metadata", "labels", name], value.into())
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(self, name: &str, value: &str) -> Self {
        self.set(&["metadata", "annotations", name], value.into())
    }

    /// A port of a Service.
    #[must_use]
    pub fn port(self, name: &str, port: u16, protocol: &str) -> Self {
        self.with_port(
            json!({"name": name, "port": port, "protocol": protocol, "targetPort": name}),
        )
    }

    /// A port of a Service with a node port.
    #[must_use]
    pub fn node_port(self, name: &str, port: u16, protocol: &str, node_port: u16) -> Self {
        self.with_port(
            json!({"name": name, "port": port, "protocol": protocol, "targetPort": name, "nodePort": node_port}),
        )
    }

    fn with_port(mut self, port: Value) -> Self {
        push(&mut self.0["spec"]["ports"], port);
        self
    }

    /// A port of a slice.
    #[must_use]
    pub fn serves(mut self, name: &str, protocol: &str, port: u16) -> Self {
        push(
            &mut self.0["ports"],
            json!({"name": name, "protocol": protocol, "port": port}),
        );
        self
    }

    /// An endpoint of a slice.
    #[must_use]
    pub fn endpoint(mut self, server: &Server, conditions: &Value) -> Self {
        let address = server.address().ip().to_string();
        push(
            &mut self.0["endpoints"],
            json!({"addresses": [address], "conditions": conditions}),
        );
        self
    }

    /// An endpoint of a slice on a node of this name.
    #[must_use]
    pub fn endpoint_on(mut self, server: &Server, node: &str) -> Self {
        let address = server.address().ip().to_string();
        push(
            &mut self.0["endpoints"],
            json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": node}),
        );
        self
    }
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("made as a list").push(item);
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('/')
        .expect("a service is written namespace/name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_like_those_of_a_cluster() {
        let cart = cluster_ip("shop/cart", &["10.96.0.10"])
            .port("http", 80, "TCP")
            .label("app", "cart")
            .spec("publishNotReadyAddresses", true.into());
        let expected = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.96.0.10",
                "clusterIPs": ["10.96.0.10"],
                "publishNotReadyAddresses": true,
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            },
        });
        assert_eq!(cart.0, expected);
    }
}
