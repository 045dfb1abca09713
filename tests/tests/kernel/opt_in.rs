//! Opt-in and opt-out: which services are served, and which cgroups and namespaces are excluded.

use std::fs;

use mesh_common::counter::Counter;
use mesh_core::api::types::Status;
use mesh_tests::{
    Client, Node, Pod, Server,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice_of},
    manifest::document,
    node::{PATIENCE, SETTLE},
    service, wait,
};
use serde_json::json;

/// A Kubernetes service and its slice, with or without the annotation.
fn kubernetes(name: &str, address: &str, server: &Server, enabled: Option<&str>) -> String {
    let service = cluster_ip(name, &[address]).port("http", 80, "TCP");
    let service = match enabled {
        Some(enabled) => service.annotation("mesh-agent.io/enabled", enabled),
        None => service,
    };
    list([
        &service,
        &slice_of(name, "http", server, &json!({"ready": true})),
    ])
}

fn expect_served(client: &mut Client, to: &str) {
    wait::until(to, SETTLE, || client.tcp(to).once().total_answers() == 1);
}

fn expect_left_alone(client: &mut Client, to: &str) {
    assert_eq!(
        client.tcp(to).times(10).errors,
        counts([("connect ENETUNREACH", 10)]),
        "{to}"
    );
}

#[test]
fn all_services_are_served_except_those_that_opt_out() {
    let node = Node::start();
    let a = node.server("a");
    let native = |name: &str, address: &str| service(name).address(address).tcp(80).endpoint(&a);
    let mut client = node.client();
    node.write(
        "out.json",
        kubernetes("shop/out", "10.96.0.10", &a, Some("false")),
    );
    node.write(
        "native.yaml",
        document([&native("shop/native-out", "10.96.0.11").with("enabled: false")]),
    );
    node.write(
        "plain.json",
        kubernetes("shop/plain", "10.96.0.20", &a, None),
    );
    node.write("z.yaml", native("shop/native", "10.96.0.21"));
    for served in ["10.96.0.20:80", "10.96.0.21:80"] {
        expect_served(&mut client, served);
    }
    for out in ["10.96.0.10:80", "10.96.0.11:80"] {
        expect_left_alone(&mut client, out);
    }
}

#[test]
fn with_serve_annotated_only_annotated_services_are_served() {
    let node = Node::setup().flags("--serve annotated").start();
    let a = node.server("a");
    let native = |name: &str, address: &str| service(name).address(address).tcp(80).endpoint(&a);
    let mut client = node.client();
    node.write(
        "plain.json",
        kubernetes("shop/plain", "10.96.0.10", &a, None),
    );
    node.write(
        "out.json",
        kubernetes("shop/out", "10.96.0.11", &a, Some("false")),
    );
    node.write(
        "in.json",
        kubernetes("shop/in", "10.96.0.20", &a, Some("true")),
    );
    node.write(
        "native.yaml",
        native("shop/native", "10.96.0.21").with("enabled: true"),
    );
    for served in ["10.96.0.20:80", "10.96.0.21:80"] {
        expect_served(&mut client, served);
    }
    for out in ["10.96.0.10:80", "10.96.0.11:80"] {
        expect_left_alone(&mut client, out);
    }
    // The annotation is added and removed.
    node.write(
        "plain.json",
        kubernetes("shop/plain", "10.96.0.10", &a, Some("true")),
    );
    expect_served(&mut client, "10.96.0.10:80");
    node.write(
        "plain.json",
        kubernetes("shop/plain", "10.96.0.10", &a, None),
    );
    wait::until("the service to be left alone", SETTLE, || {
        client.tcp("10.96.0.10:80").once().total_answers() == 0
    });
}

/// Starts the agent with a flag that excludes the first of two pods. Expects that pod to be left
/// alone, and the other pod and the node to be served.
fn expect_first_pod_left_alone(flag: impl FnOnce(&Pod) -> String) {
    let mut node = Node::setup().prepare();
    let [out, inside] = [1, 2].map(|number| Pod::start(&node, number));
    node.add_flags(&flag(&out));
    node.start_agent();
    let a = inside.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .udp(53)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    for mut client in [node.client(), inside.client()] {
        assert_eq!(
            client.tcp("10.96.0.10:80").times(100).answers,
            counts([("a", 100)])
        );
        assert_eq!(
            client.udp("10.96.0.10:53").times(100).answers,
            counts([("a", 100)])
        );
        let socket = client.udp_socket("0.0.0.0:0");
        assert_eq!(client.name_at(socket, "10.96.0.10:53"), Ok("a".into()));
    }
    let mut client = out.client();
    // Several connects, because the kernel limits how often it reports an unreachable host.
    let report = client.tcp("10.96.0.10:80").times(3);
    assert_eq!(
        (report.total_answers(), report.peers.len()),
        (0, 0),
        "{report:?}"
    );
    assert_eq!(client.udp("10.96.0.10:53").once().total_answers(), 0);
    let socket = client.udp_socket("0.0.0.0:0");
    assert!(client.name_at(socket, "10.96.0.10:53").is_err());
    // The pod still reaches every address that it reaches without the mesh.
    let direct = client.tcp(&a.address().to_string()).times(10);
    assert_eq!(direct.peers, [(a.address(), 10)].into());
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::Connects],
        200
    );
}

#[test]
fn an_excluded_cgroup_is_left_alone() {
    expect_first_pod_left_alone(|pod| {
        format!("--exclude-cgroup {}", pod.place().cgroup.path().display())
    });
}

#[test]
fn an_excluded_network_namespace_is_left_alone() {
    expect_first_pod_left_alone(|pod| {
        format!("--exclude-netns {}", pod.place().netns.path().display())
    });
}

#[test]
fn cgroups_below_an_excluded_one_are_left_alone() {
    let mut node = Node::setup().prepare();
    let parent = node.place().child();
    let child = parent.child();
    node.add_flags(&format!(
        "--exclude-cgroup {}",
        parent.cgroup.path().display()
    ));
    node.start_agent();
    let _server = node.serve_cart();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").once().answers,
        counts([("a", 1)])
    );
    expect_left_alone(&mut Client::start(&child), "10.96.0.10:80");
}

#[test]
fn an_excluded_cgroup_may_be_created_later() {
    let mut node = Node::setup().prepare();
    let later = node.place().cgroup.path().join("later");
    node.add_flags(&format!("--exclude-cgroup {}", later.display()));
    node.launch_agent();
    wait::until("the agent to report the missing cgroup", PATIENCE, || {
        let status = node
            .try_get("/v1/status")
            .map(|answer| answer.json::<Status>());
        status.is_ok_and(|status| {
            status
                .problems
                .iter()
                .any(|problem| problem.contains("later cannot be left out"))
        })
    });
    fs::create_dir(&later).expect("a cgroup takes children");
    node.wait_until_ready(PATIENCE);
    fs::remove_dir(&later).expect("no process is in it");
}
