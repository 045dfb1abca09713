//! The served cgroup is removed, and created again.

use std::fs;

use mesh_tests::{Client, Node, cgroup, client::protocol::counts, node::PATIENCE, service, wait};

use crate::self_probe::NOTICED;

const NAME: &str = "served";
const VIP: &str = "10.96.0.10:80";

#[test]
fn programs_serve_a_cgroup_that_was_removed_and_created_again() {
    let mut node = Node::setup().prepare();
    let path = node.place().cgroup.path().join(NAME);
    fs::create_dir(&path).expect("its parent is there");
    node.serve(&path);
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("cart.yaml", cart.endpoint(&a));
    node.start_agent();
    node.wait_until_served_within("shop/cart", &[&a], PATIENCE);

    cgroup::remove(&path).expect("it is empty");
    let problem = format!(
        "no program serves: cgroup {} was removed; create it again, or start the agent with another --cgroup",
        path.display()
    );
    wait::until_equal("the problem", NOTICED, &vec![problem], || {
        node.status().problems
    });
    assert!(!node.status().ready);

    let again = node.place().below(NAME);
    let status = node.wait_until_agent_ended();
    assert_eq!(status.code(), Some(1));
    let reason = "was removed and created again: start the agent again";
    assert!(node.log().contains(reason), "{}", node.log());
    // As a service manager does.
    node.start_agent();
    node.wait_until_served_within("shop/cart", &[&a], PATIENCE);
    let report = Client::start(&again).tcp(VIP).times(10);
    assert_eq!((report.answers_of(&a), report.errors), (10, counts([])));
}
