//! Annotations of a valid Service. A line of the input is `NAME=TEXT`; a name without a slash gets the
//! prefix of the agent.

use serde_json::{Map, Value, json};

use crate::file;

/// Checks a Service with these annotations, and its endpoints.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let annotations: Map<String, Value> = text
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(name, text)| (full(name), Value::from(text.replace("\\n", "\n"))))
        .collect();
    let is_plain = annotations.is_empty();
    let update = file::accepted("a.json", document(&annotations).to_string().as_bytes());
    if is_plain {
        assert_eq!((update.services.len(), update.errors_total), (1, 0));
    }
}

fn full(name: &str) -> String {
    match name.contains('/') {
        true => name.to_owned(),
        false => format!("mesh-agent.io/{name}"),
    }
}

fn document(annotations: &Map<String, Value>) -> Value {
    let metadata = json!({"name": "cart", "namespace": "shop", "annotations": annotations});
    let ports = json!([
        {"name": "http", "port": 80, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "UDP"}
    ]);
    let endpoint = |last: u8, zone: &str| json!({"addresses": [format!("10.0.0.{last}")], "zone": zone, "nodeName": format!("node-{zone}")});
    let labels = json!({"kubernetes.io/service-name": "cart"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"clusterIP": "10.96.0.10", "selector": {"app": "cart"}, "ports": ports}
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "cart-1", "namespace": "shop", "labels": labels},
            "ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
            "endpoints": [endpoint(1, "a"), endpoint(2, "a"), endpoint(3, "b")]
        }
    ]})
}
