//! One service with about as many endpoints as all maps have rows: its quota is served, and changes
//! of other services take effect meanwhile.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use mesh_tests::{Node, Server, client::protocol::counts, service, wait};
use serde_json::json;

const ENDPOINTS: u32 = 262_000;
/// A quarter of the rows for endpoints.
const SERVED: usize = 65_536;
/// Endpoints of an EndpointSlice, as the controller of Kubernetes fills it.
const IN_SLICE: u32 = 1000;
const LARGE: &str = "10.96.0.66";
/// A debug build is several times as slow.
const READ: Duration = Duration::from_secs(if cfg!(debug_assertions) { 90 } else { 20 });
const CHANGED: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 3 });
/// Memory that the agent may take to read and serve it: about 1,200 bytes for each endpoint at most.
/// An optimised build needs more than a debug build, because it reads faster than it frees.
const MEMORY_KIB: u64 = 300 << 10;

fn address(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// The service in one object.
fn in_one() -> String {
    let mut text = format!(
        "services:\n- name: large\n  namespace: rude\n  address: {LARGE}\n  ports: [{{port: 80}}]\n  endpoints:\n"
    );
    for number in 1..=ENDPOINTS {
        writeln!(text, "  - {{address: {}, port: 80}}", address(number))
            .expect("a string takes all");
    }
    text
}

/// The service in many objects.
fn in_slices() -> String {
    let mut items = vec![json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "large", "namespace": "rude"},
        "spec": {"clusterIP": LARGE, "ports": [{"port": 80}]},
    })];
    items.extend((0..ENDPOINTS / IN_SLICE).map(|slice| {
        let first = slice * IN_SLICE + 1;
        let endpoints: Vec<_> = (first..first + IN_SLICE)
            .map(|number| json!({"addresses": [address(number)], "conditions": {"ready": true}}))
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("large-{slice}"),
                "namespace": "rude",
                "labels": {"kubernetes.io/service-name": "large"},
            },
            "addressType": "IPv4",
            "ports": [{"port": 80}],
            "endpoints": endpoints,
        })
    }));
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn a_service_of_262_000_endpoints_in_one_object_is_served_in_part_and_delays_no_other() {
    expect_served_in_part(&in_one());
}

#[test]
fn a_service_of_262_000_endpoints_in_slices_is_served_in_part_and_delays_no_other() {
    expect_served_in_part(&in_slices());
}

fn expect_served_in_part(large: &str) {
    let mut node = Node::setup().alone().start();
    let servers = ["a", "b"].map(|name| node.server(name));
    change(&node, &servers[0]);
    let before = node.agent_memory_kib();

    let begin = Instant::now();
    node.write("large.yaml", large);
    let beside = change(&node, &servers[1]);
    wait::until("its quota to be said", READ, || {
        node.status().errors.first().is_some_and(|error| {
            let said = format!(
                "{SERVED} of {ENDPOINTS} endpoints of service rude/large are served: one service may have {SERVED}"
            );
            error.reason.starts_with(&said)
        })
    });
    wait::until("what fits to be applied", READ, || {
        node.find_service("rude/large")
            .is_some_and(|service| service.ports[0].endpoints.len() == SERVED)
    });
    let (served, after) = (begin.elapsed(), change(&node, &servers[0]));
    let memory = node.agent_peak_memory_kib() - before;
    println!(
        "served after {served:.1?} with {} MiB more; changes of another service took {beside:.2?} and {after:.2?}",
        memory >> 10
    );
    assert!(beside < CHANGED && after < CHANGED, "{beside:?}, {after:?}");
    assert!(memory < MEMORY_KIB, "{memory} KiB more");
    let status = node.status();
    assert!(status.ready, "{:?}", status.problems);
    assert_eq!(status.errors.len(), 1, "{:?}", status.errors);

    // The rows stay, and the agent reads them and the files again.
    node.kill_agent();
    node.start_agent();
    change(&node, &servers[1]);
}

/// Moves another service to this server, and returns how long that takes.
fn change(node: &Node, server: &Server) -> Duration {
    let begin = Instant::now();
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(server),
    );
    node.wait_until_served_within("shop/cart", &[server], READ);
    let took = begin.elapsed();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(20).answers,
        counts([(server.name(), 20)])
    );
    took
}
