//! Restarts of the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Child, Stdio},
};

use mesh_common::counter::Counter;
use mesh_core::api::types::Status;
use mesh_tests::{Node, client::protocol::counts, node::PATIENCE, pinned, service, wait};

/// Programs and maps of a node in the kernel, which a restart must keep.
#[derive(PartialEq, Eq, Debug)]
struct Running {
    links: BTreeMap<String, u32>,
    pins: BTreeSet<PathBuf>,
    maps: BTreeSet<u32>,
}

impl Running {
    fn on(node: &Node) -> Self {
        let hooks = node.status().hooks;
        let directory = &node.directories().pins;
        let pins = pinned::pins(directory);
        let maps = pins
            .iter()
            .filter(|pin| !pin.starts_with("links") && !pin.starts_with("programs"))
            .filter_map(|pin| pin.file_name()?.to_str());
        Self {
            links: hooks
                .into_iter()
                .map(|hook| (hook.name, hook.link_id))
                .collect(),
            maps: maps
                .map(|name| {
                    pinned::map(directory, name)
                        .info()
                        .expect("it is open")
                        .id()
                })
                .collect(),
            pins,
        }
    }
}

#[test]
fn connects_work_while_the_agent_is_stopped_and_the_next_one_takes_over() {
    connects_work_without_an_agent(Node::stop_agent);
}

#[test]
fn connects_work_while_the_agent_is_killed_and_the_next_one_takes_over() {
    connects_work_without_an_agent(Node::kill_agent);
}

fn connects_work_without_an_agent(end: impl Fn(&mut Node)) {
    let mut node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a)
            .endpoint(&b),
    );
    node.wait_until_served("shop/cart", &[&a, &b]);
    let mut client = node.client();
    let running = Running::on(&node);
    assert_ne!(running.links, BTreeMap::new());

    for round in 1..=3 {
        let with = client.tcp("10.96.0.10:80").times(100);
        end(&mut node);
        let without = client.tcp("10.96.0.10:80").times(100);
        for report in [with, without] {
            assert_eq!(
                (report.errors, report.peers),
                (counts([]), [(([10, 96, 0, 10], 80).into(), 100)].into())
            );
        }
        node.start_agent();
        assert_eq!(Running::on(&node), running);
        let port = node.port("shop/cart");
        assert_eq!(port.counters[Counter::Connects], round * 200);
        assert_eq!(
            port.endpoints
                .iter()
                .map(|endpoint| endpoint.connects)
                .sum::<u64>(),
            round * 200
        );
    }
}

#[test]
fn maps_that_are_too_small_or_half_filled_do_not_replace_the_present_ones() {
    let mut node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.write(
        "pay.yaml",
        service("shop/pay")
            .address("10.96.0.11")
            .tcp(80)
            .endpoint(&a)
            .endpoint(&b),
    );
    node.wait_until_served("shop/pay", &[&a, &b]);
    node.kill_agent();
    other_maps_change_nothing(&node, &["--max-backends", "2"]);
    node.overwrite("pay.yaml", "services: 7");
    // Without the stored files only those maps hold the services.
    std::fs::remove_dir_all(node.directories().state.join("files"))
        .expect("the agent remembers files");
    other_maps_change_nothing(&node, &["--max-backends", "1000"]);
}

/// Starts an agent whose settings need other maps. Connects while it reports why it does not switch
/// to them.
fn other_maps_change_nothing(node: &Node, flags: &[&str]) {
    let mut command = node.mesh_agent(node.directories().run());
    let mut agent = Started(
        command
            .args(flags)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts"),
    );
    wait::until("the agent to say why it waits", PATIENCE, || {
        let status = node
            .try_get("/v1/status")
            .map(|answer| answer.json::<Status>());
        status.is_ok_and(|status| {
            let applied = !status.errors.is_empty()
                || status
                    .problems
                    .iter()
                    .any(|problem| problem.contains("BACKENDS"));
            applied
                && status
                    .problems
                    .iter()
                    .any(|problem| problem.contains("not attached"))
        })
    });
    let mut client = node.client();
    for vip in ["10.96.0.10:80", "10.96.0.11:80"] {
        assert_eq!(
            client.tcp(vip).times(50).errors,
            counts([]),
            "{vip} {flags:?}"
        );
    }
    agent.end();
}

/// A second agent of the node, ended with the test.
struct Started(Child);

impl Started {
    fn end(&mut self) {
        // The agent may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn an_agent_stops_successfully_every_time() {
    let mut node = Node::start();
    for _ in 0..20 {
        // Panics if the agent reports a failure.
        node.stop_agent();
        node.start_agent();
    }
}

#[test]
fn a_change_made_while_no_agent_runs_is_applied_by_the_next() {
    let mut node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("cart.yaml", cart.clone().endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let mut client = node.client();

    node.stop_agent();
    node.write("cart.yaml", cart.endpoint(&b));
    assert_eq!(
        client.tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
    node.start_agent();
    assert_eq!(
        client.tcp("10.96.0.10:80").times(10).answers,
        counts([("b", 10)])
    );
}

#[test]
fn a_file_that_becomes_invalid_while_no_agent_runs_removes_nothing() {
    let mut node = Node::start();
    let _server = node.serve_cart();
    node.stop_agent();
    node.write("cart.yaml", "services: [");
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || {
        node.try_get("/v1/status").is_ok()
    });
    node.wait_for_errors(1);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(100).answers,
        counts([("a", 100)])
    );
}

#[test]
fn a_service_keeps_its_address_from_a_file_that_comes_first_by_name() {
    let mut node = Node::start();
    let [owner, thief] = ["owner", "thief"].map(|name| node.server(name));
    let at = |name: &str, server| service(name).address("10.96.0.10").tcp(80).endpoint(server);
    node.write("z.yaml", at("shop/cart", &owner));
    node.wait_until_served("shop/cart", &[&owner]);
    node.stop_agent();
    node.write("a.yaml", at("other/thief", &thief));
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || {
        node.try_get("/v1/status").is_ok()
    });
    let errors = node.wait_for_errors(1);
    assert_eq!(errors[0].file, node.file("a.yaml").display().to_string());
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(100).answers,
        counts([("owner", 100)])
    );
}
