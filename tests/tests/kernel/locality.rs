//! Locality: near endpoints come first.

use mesh_common::counter::Counter;
use mesh_tests::{
    Manifest, Node, Server,
    client::protocol::counts,
    kubernetes::{Object, cluster_ip, list, slice},
    manifest::document,
    node::SETTLE,
    service, wait,
};
use serde_json::{Value, json};

/// The service with one endpoint in each zone; this node is in zone `a`.
fn two_zones(near: &Server, far: &Server, settings: &str) -> Manifest {
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(settings);
    cart.described(near, "zone: a").described(far, "zone: b")
}

fn node_in_zone_a(settings: &str) -> (Node, Server, Server) {
    let node = Node::setup().flags("--zone a").start();
    let (near, far) = (node.server("near"), node.server("far"));
    node.write("cart.yaml", two_zones(&near, &far, settings));
    node.wait_until_served("shop/cart", &[&near, &far]);
    (node, near, far)
}

#[test]
fn a_zone_keeps_its_connects_until_it_is_lost_with_or_without_an_agent() {
    for stop_agent in [false, true] {
        let (mut node, near, far) = node_in_zone_a("locality: {order: [zone]}");
        assert_eq!(
            node.client().tcp("10.96.0.10:80").times(200).answers,
            counts([("near", 200)])
        );
        if stop_agent {
            node.kill_agent();
        }
        drop(near);
        let report = node.client().tcp("10.96.0.10:80").times(200);
        assert_eq!(
            report.errors.values().sum::<u64>(),
            3,
            "the streak that ejects: {report:?}"
        );
        assert_eq!(report.answers, counts([("far", 197)]));
        if stop_agent {
            node.start_agent();
        }
        let counters = node.port("shop/cart").counters;
        assert_eq!(
            (counters[Counter::Failures], counters[Counter::Ejections]),
            (3, 1)
        );
        assert!(counters[Counter::Failovers] >= 190, "{counters:?}");
        drop(far);
    }
}

#[test]
fn all_endpoints_are_equal_without_an_order() {
    let (node, _near, _far) = node_in_zone_a("balance: random");
    let report = node.client().tcp("10.96.0.10:80").times(200);
    assert!(
        report.answers.values().all(|&answers| answers > 50),
        "{report:?}"
    );
}

#[test]
fn a_busy_zone_spills_if_the_service_sets_spill_factor() {
    let (node, _near, _far) = node_in_zone_a("locality: {order: [zone], spillFactor: 2}");
    let mut client = node.client();
    let report = client.open_streams("10.96.0.10:80", 90);
    let [near, far] =
        ["near", "far"].map(|name| report.answers.get(name).copied().unwrap_or_default());
    assert!(
        (58..=62).contains(&near) && near + far == 90,
        "the near zone is at most twice as busy: {report:?}"
    );
}

#[test]
fn a_full_zone_overflows_into_the_next_and_then_refuses() {
    let settings = "locality: {order: [zone]}\n  limits: {maxConnectionsPerEndpoint: 10}";
    let (node, _near, _far) = node_in_zone_a(settings);
    let mut client = node.client();
    assert_eq!(
        client.open_streams("10.96.0.10:80", 10).answers,
        counts([("near", 10)])
    );
    let mut other = node.client();
    assert_eq!(
        other.open_streams("10.96.0.10:80", 10).answers,
        counts([("far", 10)])
    );
    let refused = node.client().tcp("10.96.0.10:80").times(5);
    assert_eq!(refused.errors, counts([("connect ECONNREFUSED", 5)]));
    let counters = node.port("shop/cart").counters;
    assert_eq!(
        (
            counters[Counter::RefusedLimit],
            counters[Counter::Failovers]
        ),
        (5, 10)
    );
}

#[test]
fn sources_merge_and_a_service_may_prefer_the_local_one() {
    let node = Node::setup().prepare();
    let east = node.scratch().join("east");
    std::fs::create_dir_all(&east).expect("the scratch directory is writable");
    let mut node = node;
    node.add_flags(&format!("--services east={}", east.display()));
    node.start_agent();
    let (here, there) = (node.server("here"), node.server("there"));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("locality: {sources: local}");
    let remote = service("shop/cart")
        .address("10.96.9.9")
        .tcp(80)
        .endpoint(&there);
    std::fs::write(east.join("cart.yaml"), document([&remote])).expect("the directory is new");
    node.write("cart.yaml", cart.endpoint(&here));
    node.wait_until_served("shop/cart", &[&here, &there]);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(50).answers,
        counts([("here", 50)])
    );
    drop(here);
    let report = node.client().tcp("10.96.0.10:80").times(50);
    assert_eq!(report.answers, counts([("there", 47)]), "{report:?}");
}

/// Returns an endpoint of a slice, with these hints.
fn hinted(server: &Server, hints: &Value) -> Object {
    let slice = slice("shop/cart", server.name()).serves("http", "TCP", server.address().port());
    let endpoint = json!({"addresses": [server.address().ip()], "conditions": {"ready": true}, "hints": hints});
    slice.set(&["endpoints"], json!([endpoint]))
}

#[test]
fn hints_of_slices_override_the_order_of_the_service() {
    let node = Node::setup().flags("--zone a --node-name n1").start();
    let (near, far) = (node.server("near"), node.server("far"));
    let cart = cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP");
    let zones = |name: &str| json!({"forZones": [{"name": name}]});
    let answers = |near_hints: &Value, far_hints: &Value| {
        let objects = [hinted(&near, near_hints), hinted(&far, far_hints)];
        node.write("cart.json", list([&cart, &objects[0], &objects[1]]));
        node.wait_until_served("shop/cart", &[&near, &far]);
        let tiers = || {
            node.port("shop/cart")
                .endpoints
                .iter()
                .map(|it| it.tier)
                .collect::<Vec<_>>()
        };
        wait::until("the hints to be in effect", SETTLE, || {
            (tiers().iter().all(Option::is_some))
                == (near_hints != &Value::Null && far_hints != &Value::Null)
        });
        node.client().tcp("10.96.0.10:80").times(200).answers
    };
    assert_eq!(answers(&zones("a"), &zones("b")), counts([("near", 200)]));
    let both = answers(&zones("a"), &Value::Null);
    assert!(
        both.values().all(|&answers| answers > 50),
        "an endpoint without hints: {both:?}"
    );
    let node_hint = |name: &str| json!({"forZones": [{"name": "b"}], "forNodes": [{"name": name}]});
    assert_eq!(
        answers(&node_hint("n1"), &node_hint("n2")),
        counts([("near", 200)])
    );
}
