//! Connects in a closed loop while endpoints change and agents restart.

use mesh_common::counter::Counter;
use mesh_tests::{Manifest, Node, Server, client::protocol::counts, service};

const ROUNDS: usize = 20;
const CHANGES_A_ROUND: usize = 5;
const AT_LEAST: u64 = 20_000;

/// Returns the service after change number `step`: two neighbours in the ring of servers are its
/// endpoints.
fn neighbours(servers: &[Server; 4], step: usize) -> ([&Server; 2], Manifest) {
    let pair = [step, step + 1].map(|place| &servers[place % servers.len()]);
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    (pair, cart.endpoints(pair))
}

#[test]
fn no_connect_fails_while_endpoints_change_and_the_agent_is_killed() {
    let mut node = Node::start();
    let servers = ["a", "b", "c", "d"].map(|name| node.server(name));
    let (pair, cart) = neighbours(&servers, 0);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &pair);
    let (mut over_tcp, mut over_udp) = (node.client(), node.client());
    let tcp = over_tcp.tcp("10.96.0.10:80").again_and_again();
    let udp = over_udp.udp("10.96.0.10:53").again_and_again();

    for round in 0..ROUNDS {
        for change in 1..=CHANGES_A_ROUND {
            let (pair, cart) = neighbours(&servers, round * CHANGES_A_ROUND + change);
            node.write("cart.yaml", cart);
            // Every second round ends before its last change is applied.
            if change < CHANGES_A_ROUND || round % 2 == 0 {
                node.wait_until_served("shop/cart", &pair);
            }
        }
        node.kill_agent();
        node.start_agent();
        let (pair, _) = neighbours(&servers, (round + 1) * CHANGES_A_ROUND);
        node.wait_until_served("shop/cart", &pair);
    }

    for (report, port, protocol) in [(tcp.stop(), 80, "TCP"), (udp.stop(), 53, "UDP")] {
        println!(
            "{protocol}: {} connects, {:?}",
            report.total_answers(),
            report.took
        );
        assert_eq!(report.errors, counts([]));
        assert!(report.total_answers() >= AT_LEAST, "{report:?}");
        let counted = node.port_of("shop/cart", port, protocol).counters;
        assert_eq!(counted[Counter::Connects], report.total_answers());
        assert_eq!(counted.refused(), 0);
    }
}
