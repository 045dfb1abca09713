//! Endpoints that the kernel cannot reach, for instance without a route: no packet is sent.

use mesh_common::counter::Counter;
use mesh_tests::{
    Node,
    client::{Act, protocol::counts},
    service,
};

use super::{KernelState, VIP};

const POLICIES: [&str; 5] = [
    "leastConnections",
    "latencyAware",
    "random",
    "roundRobin",
    "consistentHash",
];
const CONNECTS: u32 = 200;
/// Default number of consecutive failures that eject an endpoint.
const STREAK: u64 = 3;

/// The only endpoint of the near tier has no route.
#[test]
fn connects_of_a_near_tier_without_a_route_go_to_the_far_one() {
    for policy in POLICIES {
        let node = Node::setup().flags("--zone a").start();
        let far = node.server("far");
        let near = "192.0.2.1:80".parse().expect("an address");
        let cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with("locality: {order: [zone]}");
        let cart = cart
            .with(&format!("balance: {policy}"))
            .at_described(near, "zone: a")
            .described(&far, "zone: b");
        node.write("cart.yaml", cart);
        let (known, mut client) = (KernelState::when(&node, 2), node.client());
        let report = client.tcp(VIP).times(CONNECTS);
        assert_eq!(
            report.errors,
            counts([("connect ENETUNREACH", STREAK)]),
            "{policy}"
        );
        assert_eq!(
            report.answers_of(&far),
            u64::from(CONNECTS) - STREAK,
            "{policy}"
        );
        assert_eq!(
            (
                known.counter(Counter::Failures),
                known.ejected(),
                known.agreed()
            ),
            (STREAK, 1, 0),
            "{policy}"
        );
        let voters = known
            .entries()
            .into_iter()
            .map(|entry| mesh_common::agreement::Agreement::of(entry.load.health));
        assert_eq!(
            voters.map(|known| known.voter).sum::<u32>(),
            0,
            "{policy}: no vote"
        );
    }
}

/// The kernel has accepted such a connect, and sends its SYN with the first data.
#[test]
fn an_aborted_fast_open_connect_is_no_failure() {
    let node = Node::start();
    let server = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&server),
    );
    node.wait_until_served("shop/cart", &[&server]);
    let all = 0x1 | 0x2 | 0x4 | 0x200 | 0x400;
    node.place()
        .netns
        .run(|| std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", format!("{all}")))
        .expect("root may");
    let (known, mut client) = (KernelState::of(&node), node.client());
    for _ in 0..50 {
        let socket = client.tcp_socket("0.0.0.0:0");
        let to = VIP.parse().expect("an address");
        assert_eq!(client.act(socket, Act::ConnectFastOpen(to)), Ok(()));
        client.close(socket);
    }
    assert_eq!(
        (
            known.counter(Counter::Connects),
            known.counter(Counter::Failures)
        ),
        (50, 0)
    );
    assert_eq!(known.live(), (0, 0));
}
