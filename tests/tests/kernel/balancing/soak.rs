//! Very many connects leave no count behind.

use std::{env, time::Instant};

use mesh_tests::{
    Node,
    client::{Crowd, Protocol, protocol::counts},
    service,
};

use super::{KernelState, VIP};

const THREADS: u32 = 4;
/// Protocol of each client process.
const KINDS: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Udp, Protocol::Udp];
/// Overrides the number of connects.
const HOW_MANY: &str = "MESH_SOAK_CONNECTS";

#[test]
fn very_many_connects_leave_no_count_behind() {
    let connects: u32 = env::var(HOW_MANY).map_or(200_000, |number| {
        number.parse().expect("a number of connects")
    });
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.echo_server(name));
    // A limit, so that the service as a whole is counted as well.
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(80)
        .with("limits: {maxConnections: 1000}");
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let [tcp, udp] = ["TCP", "UDP"]
        .map(|protocol| KernelState::of_port(&node, &node.port_of("shop/cart", 80, protocol)));

    let vip = VIP.parse().expect("a valid address");
    let crowd = Crowd {
        threads: THREADS,
        times: connects / THREADS,
        to: KINDS.map(|kind| (kind, vip)).into(),
    };
    let start = Instant::now();
    let report = node.client().crowd(&crowd);
    println!(
        "{connects} connects in {:?}: {:?}",
        start.elapsed(),
        report.answers
    );

    let quarter = u64::from(connects / 4);
    assert_eq!(
        (report.errors, report.answers),
        (counts([]), counts([("Tcp", quarter), ("Udp", 3 * quarter)]))
    );
    tcp.expect_rest(quarter);
    udp.expect_rest(3 * quarter);
}
