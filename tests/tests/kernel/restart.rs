//! An agent that goes away and comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use mesh_tests::{
    Node,
    client::protocol::counts,
    pinned::{self, Held},
    service,
};

/// What the kernel runs for a node; a restart leaves it alone.
#[derive(PartialEq, Eq, Debug)]
struct Running {
    links: BTreeMap<String, u32>,
    pins: BTreeSet<PathBuf>,
    maps: BTreeSet<u32>,
}

impl Running {
    fn on(node: &Node) -> Self {
        let hooks = node.status().hooks;
        let programs: BTreeSet<_> = hooks.iter().map(|hook| hook.program_id).collect();
        Self {
            links: hooks.into_iter().map(|hook| (hook.name, hook.link_id)).collect(),
            pins: pinned::pins(&node.directories().pins),
            maps: Held::now().maps_of(&programs),
        }
    }
}

#[test]
fn a_stopped_agent_is_not_missed_and_a_restarted_one_adopts() {
    nobody_misses_an_agent(Node::stop_agent);
}

#[test]
fn a_killed_agent_is_not_missed_and_a_restarted_one_adopts() {
    nobody_misses_an_agent(Node::kill_agent);
}

fn nobody_misses_an_agent(end: impl Fn(&mut Node)) {
    let mut node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let mut client = node.client();
    let running = Running::on(&node);
    assert_ne!(running.links, BTreeMap::new());

    for round in 1..=3 {
        let with = client.tcp("10.96.0.10:80").times(100);
        end(&mut node);
        let without = client.tcp("10.96.0.10:80").times(100);
        for report in [with, without] {
            assert_eq!((report.errors, report.peers), (counts([]), [(([10, 96, 0, 10], 80).into(), 100)].into()));
        }
        node.start_agent();
        assert_eq!(Running::on(&node), running);
        let port = node.port("shop/cart");
        assert_eq!(port.counters.connects, round * 200);
        assert_eq!(port.endpoints.iter().map(|endpoint| endpoint.connects).sum::<u64>(), round * 200);
    }
}

#[test]
fn an_agent_told_to_stop_ends_well_every_time() {
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
    assert_eq!(client.tcp("10.96.0.10:80").times(10).answers, counts([("a", 10)]));
    node.start_agent();
    assert_eq!(client.tcp("10.96.0.10:80").times(10).answers, counts([("b", 10)]));
}

#[test]
fn a_file_gone_bad_while_no_agent_runs_removes_nothing() {
    let mut node = Node::start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    node.stop_agent();
    node.write("cart.yaml", "services: [");
    node.launch_agent();
    mesh_tests::wait::until("the agent to answer", mesh_tests::node::PATIENCE, || node.try_get("/v1/status").is_ok());
    node.wait_for_errors(1);
    assert_eq!(node.client().tcp("10.96.0.10:80").times(100).answers, counts([("a", 100)]));
}
