//! Services that come from the API server of a cluster.

use mesh_tests::{
    ApiServer, Node, Object, Server,
    api_server::Fault,
    client::protocol::counts,
    kubernetes::{cluster_ip, slice_of},
    node::{PATIENCE, SETTLE},
    wait,
};
use serde_json::json;

const VIP: &str = "10.96.0.10:80";

fn cart() -> Object {
    cluster_ip("shop/cart", &["10.96.0.10"]).port("http", 80, "TCP")
}

fn slice(server: &Server) -> Object {
    slice_of("shop/cart", "http", server, &json!({"ready": true}))
}

/// A node that watches a cluster, and the API server of that.
fn prepare() -> (Node, ApiServer) {
    let mut node = Node::setup().prepare();
    node.write("none.yaml", "services: []\n");
    let api = node.api_server();
    (node, api)
}

/// A node that serves two endpoints of a cluster.
fn start() -> (Node, ApiServer, [Server; 2]) {
    let (mut node, api) = prepare();
    let servers = ["a", "b"].map(|name| node.server(name));
    api.put([&cart(), &slice(&servers[0]), &slice(&servers[1])]);
    node.start_agent();
    node.wait_until_served("shop/cart", &[&servers[0], &servers[1]]);
    (node, api, servers)
}

fn expect_served(node: &Node, servers: &[&Server]) {
    let report = node.client().tcp(VIP).times(200);
    assert_eq!(report.errors, counts([]));
    for server in servers {
        assert!(report.answers_of(server) > 0, "{:?}", report.answers);
    }
    assert_eq!(report.total_answers(), 200);
}

/// Waits until the agent reports a problem with these words.
fn wait_for_problem(node: &Node, words: &str) {
    wait::until(words, PATIENCE, || {
        node.status().problems.iter().any(|it| it.contains(words))
    });
}

fn wait_for_no_problem(node: &Node) {
    wait::until_equal("the problems", PATIENCE, &Vec::<String>::new(), || {
        node.status().problems
    });
}

#[test]
fn services_of_a_cluster_are_served_and_follow_it() {
    let (node, api, [a, b]) = start();
    expect_served(&node, &[&a, &b]);
    api.delete(&slice(&a));
    node.wait_until_served("shop/cart", &[&b]);
    expect_served(&node, &[&b]);
    let c = node.server("c");
    api.put([&slice(&c)]);
    node.wait_until_served_within("shop/cart", &[&b, &c], SETTLE);
    expect_served(&node, &[&b, &c]);
    assert_eq!(node.status().problems, [""; 0]);
    let expected = [("watch endpointslices", 1), ("watch services", 1)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(api.requests(), expected.into());
}

#[test]
fn cluster_without_streamed_lists_is_listed_page_by_page() {
    let (mut node, api) = prepare();
    api.make_old();
    let a = node.server("a");
    let others: Vec<Object> = (0..600)
        .map(|number| cluster_ip(&format!("other/s{number}"), &["None"]))
        .collect();
    api.put(&others);
    api.put([&cart(), &slice(&a)]);
    node.start_agent();
    node.wait_until_served("shop/cart", &[&a]);
    expect_served(&node, &[&a]);
    assert_eq!(api.requests()["list services"], 2, "{:?}", api.requests());
}

#[test]
fn services_stay_while_the_api_server_is_away() {
    let (node, mut api, [a, b]) = start();
    let mut client = node.client();
    let load = client.tcp(VIP).again_and_again();
    api.stop();
    wait_for_problem(&node, "the API server cannot be asked");
    expect_served(&node, &[&a, &b]);
    let c = node.server("c");
    api.put([&slice(&c)]);
    api.go_on(&node.place().netns);
    node.wait_until_served_within("shop/cart", &[&a, &b, &c], PATIENCE);
    wait_for_no_problem(&node);
    assert_eq!(load.stop().errors, counts([]));
}

#[test]
fn next_agent_serves_while_the_api_server_is_away() {
    let (mut node, mut api, [a, b]) = start();
    node.stop_agent();
    // As after a reboot.
    node.forget_pins();
    api.stop();
    node.start_agent();
    node.wait_until_served_within("shop/cart", &[&a, &b], PATIENCE);
    expect_served(&node, &[&a, &b]);
    wait_for_problem(&node, "the API server cannot be asked");
    api.delete(&slice(&a));
    api.go_on(&node.place().netns);
    node.wait_until_served_within("shop/cart", &[&b], PATIENCE);
    wait_for_no_problem(&node);
}

#[test]
fn wrong_object_harms_itself_only() {
    let (node, api, [a, b]) = start();
    let c = node.server("c");
    let web = cluster_ip("shop/web", &["10.96.0.20"]).port("http", 80, "TCP");
    api.put([
        &cart().spec("clusterIPs", json!(["10.96.0.999"])),
        &web,
        &slice_of("shop/web", "http", &c, &json!({"ready": true})),
    ]);
    node.wait_until_served_within("shop/web", &[&c], SETTLE);
    expect_served(&node, &[&a, &b]);
    let status = node.status();
    let errors: Vec<String> = status.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "Service shop/cart: spec.clusterIPs[0]: expected an IPv4 or IPv6 address, found `10.96.0.999`"
        ]
    );
    let wrong: Vec<String> = status.wrong.iter().map(ToString::to_string).collect();
    assert_eq!(
        wrong,
        ["Service shop/cart: service shop/cart: its last good version stays in force"]
    );
    assert!(status.ready);
    api.put([&cart()]);
    wait::until_equal("the errors", PATIENCE, &Vec::<String>::new(), || {
        let errors = node.status().errors;
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    });
}

/// The agent starts again with a list, in whichever form the API server says that a version is too
/// old.
fn expect_new_list(tell: impl FnOnce(&ApiServer)) {
    let (node, api, [a, b]) = start();
    tell(&api);
    let mut client = node.client();
    let load = client.tcp(VIP).again_and_again();
    api.delete(&slice(&a));
    api.compact();
    let c = node.server("c");
    api.put([&slice(&c)]);
    node.wait_until_served_within("shop/cart", &[&b, &c], PATIENCE);
    wait_for_no_problem(&node);
    assert_eq!(load.stop().errors, counts([]));
}

#[test]
fn version_that_is_gone_by_an_event_leads_to_a_new_list() {
    expect_new_list(|_| {});
}

#[test]
fn version_that_is_gone_by_status_leads_to_a_new_list() {
    expect_new_list(ApiServer::tell_gone_by_status);
}

#[test]
fn streams_that_fail_lose_no_change() {
    let (node, api, [a, b]) = start();
    let mut client = node.client();
    let load = client.tcp(VIP).again_and_again();
    let faults = [429, 500, 503, 401, 403].map(Fault::Status);
    api.fail(faults.into_iter().chain([Fault::HalfSent; 3]));
    api.end_streams();
    let c = node.server("c");
    api.put([&slice(&c)]);
    api.delete(&slice(&a));
    node.wait_until_served_within("shop/cart", &[&b, &c], 3 * PATIENCE);
    wait::until("all faults", 3 * PATIENCE, || api.has_failed());
    wait_for_no_problem(&node);
    assert_eq!(load.stop().errors, counts([]));
}
