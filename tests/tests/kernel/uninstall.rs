//! What is left when the agent is uninstalled: nothing.

use std::collections::BTreeSet;

use mesh_tests::{
    Node, bpftool,
    client::protocol::counts,
    node::PATIENCE,
    pinned::{self, Held},
    service, wait,
};

#[test]
fn uninstall_leaves_no_link_no_program_no_map_and_no_pin() {
    let mut node = Node::start();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let hooks = node.status().hooks;
    let programs: BTreeSet<_> = hooks.iter().map(|hook| hook.program_id).collect();
    let links: BTreeSet<_> = hooks.iter().map(|hook| hook.link_id).collect();
    let maps = Held::now().maps_of(&programs);
    assert!(![&programs, &links, &maps].iter().any(|ids| ids.is_empty()), "{programs:?} {links:?} {maps:?}");
    node.stop_agent();

    let outcome = node.uninstall().expect_success();

    assert_eq!(outcome.stderr, "");
    assert_eq!(pinned::pins(&node.directories().pins), BTreeSet::new());
    assert!(!node.directories().pins.exists());
    assert_eq!(bpftool::attached(&node.directories().cgroup), BTreeSet::new());
    assert_eq!(node.client().tcp("10.96.0.10:80").once().errors, counts([("connect ENETUNREACH", 1)]));
    // The kernel frees what no process holds a little later.
    wait::until_equal("what is left", PATIENCE, &Held::default(), || Held::now().only(&programs, &maps, &links));
}

#[test]
fn uninstall_leaves_what_somebody_else_pinned() {
    let mut node = Node::start();
    node.stop_agent();
    let other = node.directories().pins.join("other");
    std::fs::create_dir(&other).expect("a bpffs takes directories");
    node.uninstall().expect_success();
    let left = pinned::pins(&node.directories().pins);
    assert_eq!((other.exists(), left), (true, BTreeSet::new()));
    std::fs::remove_dir(&other).expect("it is empty");
    node.uninstall().expect_success();
    assert!(!node.directories().pins.exists());
}

#[test]
fn uninstall_of_what_is_not_installed_succeeds() {
    let node = Node::setup().prepare();
    node.uninstall().expect_success();
}

#[test]
fn a_node_can_be_installed_again() {
    let mut node = Node::start();
    node.stop_agent();
    node.uninstall().expect_success();
    node.start_agent();
    let a = node.server("a");
    node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    assert_eq!(node.client().tcp("10.96.0.10:80").once().answers, counts([("a", 1)]));
}
