//! Latencies that a client measures decide only its own connects.

use mesh_tests::{
    Client, Node, Server,
    client::Attack,
    client::protocol::{ConnectReport, counts},
    node::PATIENCE,
    service, wait,
};

use super::{
    attacks::{CONNECTS, VIP, expect_fair},
    while_attacked,
};
use crate::balancing::KernelState;

/// A client leaves connections to one endpoint open for a second, and closes others at once. Other
/// clients see no difference between the endpoints; closed connections do not count as load either.
#[test]
fn connections_that_a_client_leaves_open_make_no_endpoint_slow_for_others() {
    let node = Node::start();
    let servers: [Server; 4] = std::array::from_fn(|number| node.echo_server(&format!("{number}")));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write(
        "cart.yaml",
        cart.with("balance: latencyAware").endpoints(&servers),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    let mut attacker = Client::start(&node.place().below("attacker.service"));
    let attack = attacker.attack(Attack::Linger("0".into()), VIP);
    let is_slow = || known.duration_of(&servers[0]) > 500_000;
    wait::until(
        "connections to the endpoint to have been open for long",
        PATIENCE,
        is_slow,
    );
    // Open connections are load, which counts for all clients.
    let reports = while_attacked(vec![attack], || {
        assert_eq!(victims(&node).errors, counts([]));
    });
    assert_eq!(reports[0].errors, counts([]));
    wait::until_equal("open connections", PATIENCE, &(0, 0), || known.live());
    expect_fair(&victims(&node), &servers);
}

/// Connects as several clients, because the scheduler may interrupt one of them during a connect,
/// which then finds the endpoint slow.
fn victims(node: &Node) -> ConnectReport {
    const VICTIMS: u32 = 10;
    let mut all = ConnectReport::default();
    for number in 0..VICTIMS {
        let mut victim = Client::start(&node.place().below(&format!("victim-{number}.service")));
        let report = victim.tcp(VIP).times(CONNECTS / VICTIMS);
        for (server, answers) in report.answers {
            *all.answers.entry(server).or_default() += answers;
        }
        all.errors.extend(report.errors);
    }
    all
}
