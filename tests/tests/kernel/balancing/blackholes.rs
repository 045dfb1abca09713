//! Endpoints that do not answer.

use std::time::Duration;

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Server, blackhole::Blackhole, client::SocketId, client::protocol::counts,
    service, wait,
};

use super::{KernelState, VIP};

/// The kernel retransmits a SYN after one second, then after two more.
const RETRIES: Duration = Duration::from_millis(3_300);
const SOON: Duration = Duration::from_secs(2);
/// An answered connect never takes this long.
const STALL: Duration = Duration::from_millis(500);

fn start(client: &mut Client, count: u32) -> Vec<SocketId> {
    let mut open = |_| {
        let socket = client.tcp_socket("0.0.0.0:0");
        client.start_connect(socket, VIP);
        socket
    };
    (0..count).map(&mut open).collect()
}

/// A service of a server and a blackhole, with these settings of ejection.
pub(super) fn server_and_blackhole(outlier: &str) -> (Node, Server, Blackhole, KernelState) {
    let node = Node::start();
    let (a, blackhole) = (node.server("a"), node.blackhole());
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("balance: random")
        .with(&format!("outlier: {outlier}"));
    node.write("cart.yaml", cart.endpoint(&a).at(blackhole.address()));
    let known = KernelState::when(&node, 2);
    (node, a, blackhole, known)
}

#[test]
fn an_unresponsive_endpoint_is_ejected_and_only_trials_stall() {
    let mut node = Node::start();
    let (a, b, blackhole) = (node.server("a"), node.server("b"), node.blackhole());
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("balance: random");
    let cart = cart.with("outlier: {baseEjection: 2s, maxEjection: 60s, connectTimeout: 1s}");
    node.write(
        "cart.yaml",
        cart.endpoints([&a, &b]).at(blackhole.address()),
    );
    let (known, mut client) = (KernelState::when(&node, 3), node.client());
    node.kill_agent();

    let sockets = start(&mut client, 60);
    let (_, stalled) = known.live();
    assert!((3..60).contains(&stalled), "{stalled} of 60 stall");
    wait::until_equal("timeouts", SOON, &stalled, || {
        known.counter(Counter::Failures)
    });
    assert_eq!((known.counter(Counter::Ejections), known.ejected()), (1, 1));
    let report = client.tcp(VIP).times(500);
    assert_eq!((report.total_answers(), report.errors), (500, counts([])));
    assert!(report.took.max < STALL, "{:?}", report.took);
    // Each connect failed once, however often its SYN is retransmitted, and no longer counts as
    // connecting.
    assert_eq!(known.live().1, 0);
    for socket in sockets {
        client.reset(socket);
    }
    assert_eq!(known.live(), (0, 0));
    assert_eq!(known.counter(Counter::Failures), stalled);

    // One trial, which fails as well: the pause doubles.
    wait::until("a trial", SOON + SOON, || {
        let socket = start(&mut client, 1)[0];
        if known.counter(Counter::Trials) == 0 {
            client.reset(socket);
        }
        known.counter(Counter::Trials) == 1
    });
    assert_eq!(known.live(), (1, 1));
    assert!(client.tcp(VIP).times(200).took.max < STALL);
    wait::until_equal("the failure of the trial", SOON, &(stalled + 1), || {
        known.counter(Counter::Failures)
    });
    assert_eq!(known.counter(Counter::Ejections), 2);
    assert!(client.tcp(VIP).times(200).took.max < STALL);
    client.kill();
    known.expect_rest(known.connects());
    assert_eq!(known.counter(Counter::Failures), stalled + 1);
}

#[test]
fn a_retransmitted_syn_is_not_counted_again() {
    let (node, _a, blackhole, known) =
        server_and_blackhole("{baseEjection: 60s, maxEjection: 60s, connectTimeout: 1s}");
    let mut client = node.client();
    let sockets = start(&mut client, 30);
    let (_, stalled) = known.live();
    wait::pass(RETRIES);
    assert_eq!(
        (
            known.counter(Counter::Failures),
            known.counter(Counter::Ejections)
        ),
        (stalled, 1)
    );
    // After a late answer the socket works, and the endpoint stays ejected.
    blackhole.fill();
    wait::until("late answers", Duration::from_secs(8), || {
        sockets.iter().all(|socket| client.peer(*socket).is_ok())
    });
    assert_eq!(
        (known.counter(Counter::Failures), known.ejected()),
        (stalled, 1)
    );
    for socket in sockets {
        client.reset(socket);
    }
    known.expect_rest(30);
}

#[test]
fn a_longer_timeout_is_kept() {
    let (node, _a, _blackhole, known) =
        server_and_blackhole("{connectTimeout: 3s, consecutiveFailures: 1}");
    let mut client = node.client();
    start(&mut client, 30);
    wait::pass(Duration::from_millis(2_500));
    assert_eq!(known.counter(Counter::Failures), 0);
    wait::until("timeouts", SOON, || known.counter(Counter::Ejections) == 1);
}
