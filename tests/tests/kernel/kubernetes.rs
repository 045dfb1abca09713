//! Objects as `kubectl get -o yaml` prints them.

use mesh_tests::{Node, Server, client::protocol::counts};

fn service() -> &'static str {
    r#"apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  type: ClusterIP
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  selector: {app: cart}
  ports:
  - {name: http, port: 80, protocol: TCP, targetPort: http}
"#
}

fn slice(server: &Server, conditions: &str) -> String {
    let (address, port) = (server.address().ip(), server.address().port());
    format!(
        r#"apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: cart-{}
  namespace: shop
  labels: {{kubernetes.io/service-name: cart}}
addressType: IPv4
endpoints:
- addresses: ["{address}"]
  conditions: {{{conditions}}}
ports:
- {{name: http, port: {port}, protocol: TCP}}
"#,
        server.name()
    )
}

#[test]
fn a_service_and_its_slices_are_served() {
    let node = Node::start();
    let [a, b, c] = ["a", "b", "c"].map(|name| node.server(name));
    let slices = [
        slice(&a, "ready: true"),
        slice(&b, ""),
        slice(&c, "ready: false"),
    ];
    node.write(
        "cart.yaml",
        [service(), &slices.join("---\n")].join("---\n"),
    );
    // No condition means ready.
    node.wait_until_served("shop/cart", &[&a, &b]);
    let report = node.client().tcp("10.96.0.10:80").times(1_000);
    assert_eq!((&report.errors, report.answers_of(&c)), (&counts([]), 0));
    assert!(
        report.answers_of(&a) > 0 && report.answers_of(&b) > 0,
        "{:?}",
        report.answers
    );
}
