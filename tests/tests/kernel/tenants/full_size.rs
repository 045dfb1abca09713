//! Attacks on tables of the size that they have by default.

use std::time::{Duration, Instant};

use mesh_common::abi::capacity;
use mesh_tests::{
    Client, Node,
    client::{Attack, Hoard, Transport},
    node::PATIENCE,
    service, wait,
};

use super::{
    attacks::{CONNECTS, VIP, expect_fair, expect_unharmed_by},
    attempts,
    quotas::has,
};

const UDP: &str = "10.96.0.10:53";
/// A service whose connects the kernel refuses after the hook.
const NOWHERE: &str = "10.96.0.11:80";
/// Rows that one client may have of SOCKETS, and of FLOWS.
const SHARE: u64 = capacity::SOCKETS as u64 / 4;
/// How long the attacker may take to have them.
const FILLS: Duration = Duration::from_secs(15);

/// The attacker's sockets of SOCKETS end without a hook, so they take none of the 20,000
/// descriptors of an unprivileged user; where the kernel has no MPTCP, two processes keep theirs.
/// Those of FLOWS are in a pod with a network of its own: the kernel refuses what they send after
/// the hook, so they take no ports. The service has a limit, so it refuses where no row is left.
#[test]
fn a_client_that_fills_its_share_of_the_tables_takes_nothing_from_others() {
    let node = Node::start();
    let servers = ["0", "1", "2", "3"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("balance: random");
    node.write(
        "cart.yaml",
        cart.with("limits: {maxConnections: 1000000}")
            .endpoints(&servers),
    );
    let nowhere = service("shop/nowhere")
        .address("10.96.0.11")
        .tcp(80)
        .at("192.0.2.1:80".parse().expect("an address"));
    node.write("nowhere.yaml", nowhere);
    node.wait_until_served("shop/cart", &servers.each_ref());
    wait::until("the other service", PATIENCE, || {
        node.find_service("shop/nowhere")
            .is_some_and(|it| it.ports[0].endpoints[0].active)
    });
    let attacker = node.place().below("attacker.service");
    let pod = attacker.child();
    let has_mptcp = Client::start(&pod)
        .try_socket(Transport::Mptcp, "0.0.0.0:0")
        .is_ok();
    let sockets = if has_mptcp {
        vec![(&attacker, Hoard::Closed, NOWHERE)]
    } else {
        vec![(&pod, Hoard::Connected, UDP); 2]
    };
    let hoards: Vec<_> = sockets
        .into_iter()
        .chain([(&pod, Hoard::Sent, UDP); 2])
        .collect();
    let mut clients: Vec<Client> = hoards
        .iter()
        .map(|(place, ..)| Client::start(place))
        .collect();
    let begin = Instant::now();
    let attacks = clients.iter_mut().zip(&hoards);
    let attacks = attacks
        .map(|(client, &(_, hoard, to))| client.attack(Attack::Hoard(hoard), to))
        .collect();
    wait::until("the attacker to have its share", FILLS, || {
        let [sockets, flows, ..] = has(&node, &attacker);
        (sockets, flows) == (SHARE, SHARE)
    });
    let filled = begin.elapsed();
    let reports = expect_unharmed_by(attacks, &node, &servers);
    let attempts: u64 = reports.iter().map(attempts).sum();
    println!("{attempts} attempts, share taken after {filled:?}");
    assert!(attempts > 2 * SHARE, "{reports:?}");
    drop(clients);
    expect_fair(&node.client().tcp(VIP).times(CONNECTS), &servers);
}
