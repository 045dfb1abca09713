//! The agent connects through its own programs, and notices when they do not serve.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, HOOKS, Node, bpftool::bpftool, client::protocol::counts, manifest::document, service,
    wait,
};

/// Longest time until the agent notices a program that does not serve.
pub const NOTICED: Duration = Duration::from_secs(10);

/// Returns the state of each hook by its name, with the reason unless it works.
fn probed(node: &Node) -> BTreeMap<String, String> {
    let hooks = node.status().self_probe.into_iter();
    hooks
        .map(|hook| {
            (
                hook.hook,
                (hook.state + " " + &hook.reason).trim().to_owned(),
            )
        })
        .collect()
}

fn every_hook_works() -> BTreeMap<String, String> {
    HOOKS
        .map(|hook| (hook.to_owned(), "works".to_owned()))
        .into()
}

pub fn wait_until_every_hook_works(node: &Node) {
    wait::until_equal("self-probe", NOTICED, &every_hook_works(), || probed(node));
}

/// Detaches the program of a hook as `bpftool link detach` does.
pub fn detach(node: &Node, hook: &str) {
    let hooks = node.status().hooks;
    let hook = hooks.iter().find(|it| it.name == hook).expect("attached");
    bpftool(&["link", "detach", "id", &hook.link_id.to_string()]);
}

fn value(text: &str, metric: &str, hook: &str) -> Option<String> {
    let start = format!("{metric}{{hook=\"{hook}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map(str::to_owned)
}

fn scrape(node: &Node) -> String {
    let socket = node.scratch().join("metrics.sock");
    mesh_tests::api::get(&socket, "/metrics")
        .expect("the agent answers")
        .body
}

fn ready_page(node: &Node) -> u16 {
    let socket = node.scratch().join("metrics.sock");
    mesh_tests::api::get(&socket, "/readyz")
        .expect("the agent answers")
        .code
}

#[test]
fn healthy_programs_serve_the_probe_at_every_hook() {
    let node = Node::start();
    wait_until_every_hook_works(&node);
    assert!(node.status().ready);
}

#[test]
fn a_detached_program_is_noticed_within_ten_seconds() {
    let mut node = Node::setup().prepare();
    let socket = node.scratch().join("metrics.sock");
    node.add_flags(&format!("--metrics unix:{}", socket.display()));
    node.start_agent();
    wait_until_every_hook_works(&node);
    assert_eq!(ready_page(&node), 200);
    let metric = "mesh_agent_self_probe_success";
    assert_eq!(
        value(&scrape(&node), metric, "sendmsg4").as_deref(),
        Some("1")
    );

    detach(&node, "sendmsg4");
    wait::until_equal("metric", NOTICED, &Some("0".to_owned()), || {
        value(&scrape(&node), metric, "sendmsg4")
    });
    assert_eq!(ready_page(&node), 503);
    assert_eq!(
        value(&scrape(&node), metric, "connect4").as_deref(),
        Some("1")
    );
    let status = node.status();
    let problem = status
        .problems
        .iter()
        .find(|it| it.contains("the agent's own connects"));
    let problem = problem.unwrap_or_else(|| panic!("{:?}", status.problems));
    assert!(
        problem.contains("not served by sendmsg4 in cgroup")
            && problem.contains("restart the agent"),
        "{problem}"
    );

    node.stop_agent();
    node.start_agent();
    wait_until_every_hook_works(&node);
}

#[test]
fn each_detached_hook_is_named_alone() {
    // connect4 last, because getpeername4 cannot be probed without it.
    for hook in ["getpeername6", "recvmsg4", "sock_ops", "sock_release"] {
        let node = Node::start();
        wait_until_every_hook_works(&node);
        detach(&node, hook);
        let failing = || -> BTreeSet<String> {
            let probed = node.status().self_probe.into_iter();
            probed
                .filter(|it| it.state == "fails")
                .map(|it| it.hook)
                .collect()
        };
        wait::until_equal(hook, NOTICED, &[hook.to_owned()].into(), failing);
    }
}

#[test]
fn an_agent_outside_of_its_cgroup_reports_that_it_cannot_probe_and_is_ready() {
    let mut node = Node::setup().prepare();
    let covered = node.place().cgroup.child();
    // Declared last, so that it is removed first.
    node.serve(covered.path());
    node.start_agent();
    let reason = "unknown the agent runs outside of the cgroup at --cgroup, and programs serve only inside of it";
    let unknown = HOOKS.map(|hook| (hook.to_owned(), reason.to_owned()));
    wait::until_equal("self-probe", NOTICED, &unknown.into(), || probed(&node));
    assert!(node.status().ready);
}

#[test]
fn a_full_table_of_sockets_is_not_a_failure_of_a_program() {
    let node = Node::setup().flags("--max-sockets 64").start();
    let a = node.echo_server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("shop.yaml", cart.endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    wait_until_every_hook_works(&node);
    let names = ["1", "2", "3", "4"].map(|number| format!("client{number}.service"));
    let places = names.map(|name| node.place().below(&name));
    let mut clients = places.each_ref().map(Client::start);
    for client in &mut clients {
        assert_eq!(client.open_streams("10.96.0.10:80", 20).errors, counts([]));
    }
    let reason = "unknown map SOCKETS has no record of the probe: it is full, or the agent is at its --max-sockets-per-client";
    let expected = every_hook_works().into_iter().map(|(hook, works)| {
        let is_unknown = ["getpeername", "sock_"]
            .iter()
            .any(|it| hook.starts_with(it));
        (hook, if is_unknown { reason.to_owned() } else { works })
    });
    wait::until_equal("self-probe", NOTICED, &expected.collect(), || probed(&node));
    assert!(node.status().ready);
}

#[test]
fn services_and_counts_show_nothing_of_the_probe() {
    let node = Node::setup()
        .flags(
            "--max-services 1 --max-backends 1 --quota-per-service 100 --quota-per-namespace 100",
        )
        .start();
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("192.0.0.9")
        .tcp(80)
        .endpoint(&a);
    node.write("shop.yaml", document([&cart]));
    node.wait_until_served("shop/cart", &[&a]);
    wait_until_every_hook_works(&node);
    let status = node.status();
    let used: Vec<_> = status
        .capacity
        .iter()
        .map(|map| (map.map.as_str(), map.used, map.capacity))
        .collect();
    assert_eq!(
        used,
        [("SERVICES", 1, 1), ("SLOTS", 0, 2), ("BACKENDS", 1, 1)]
    );
    assert_eq!(status.problems, <[String; 0]>::default());
    node.client().tcp("192.0.0.9:80").times(3);
    assert_eq!(node.port("shop/cart").counters[Counter::Connects], 3);
}
