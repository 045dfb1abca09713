//! When an ejection ends, one connect tries the endpoint (half-open); each failure doubles the
//! pause.

use std::time::{Duration, Instant};

use mesh_common::counter::Counter;
use mesh_tests::{
    Node,
    client::{Crowd, Protocol, protocol::counts},
    service, wait,
};

use super::{KernelState, REFUSED, VIP, blackholes::server_and_blackhole};

/// How late a trial may be on a busy machine; it is never early.
const LATE: Duration = Duration::from_millis(600);

#[test]
fn a_dead_endpoint_is_tried_by_one_connect_after_each_pause_and_serves_again() {
    let node = Node::start();
    let [a, b, c] = ["a", "b", "c"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("outlier: {baseEjection: 1s, maxEjection: 2s}");
    node.write("cart.yaml", cart.endpoints([&a, &b, &c]));
    node.wait_until_served("shop/cart", &[&a, &b, &c]);
    let known = KernelState::of(&node);
    let (mut client, mut at_once) = (node.client(), node.client());
    let address = a.address();
    drop(a);
    let under_way = client.tcp(VIP).again_and_again();

    let mut seen = Instant::now();
    wait::until("an ejection", SOON, || {
        known.counter(Counter::Ejections) == 1
    });
    for (trials, pause) in [(1, 1), (2, 2), (3, 2)] {
        let gap = trial(&known, trials, &mut seen);
        let pause = Duration::from_secs(pause);
        assert!(
            gap + Duration::from_millis(100) > pause && gap < pause + LATE,
            "trial {trials} after {gap:?}"
        );
        // Of many concurrent connects, only one is a trial.
        at_once.rush(&Crowd {
            threads: 16,
            times: 5,
            to: vec![(Protocol::Tcp, VIP.parse().expect("a valid address"))],
        });
        assert_eq!(
            (
                known.counter(Counter::Trials),
                known.counter(Counter::Ejections)
            ),
            (trials, trials + 1)
        );
    }

    let back = node.server_again("back", address);
    trial(&known, 4, &mut seen);
    wait::until("the endpoint to serve", SOON, || back.tcp() > 100);
    let report = under_way.stop();
    // Three failures until the ejection, and three trials.
    assert_eq!(report.errors, counts([(REFUSED, 6)]));
    assert_eq!(known.counter(Counter::Failures), 6);
    assert_eq!(
        (
            known.counter(Counter::Trials),
            known.counter(Counter::Ejections),
            known.ejected()
        ),
        (4, 4, 0)
    );
    known.expect_rest(known.connects());
}

const SOON: Duration = Duration::from_secs(5);

/// Waits for a trial, and returns the time since the previous one.
fn trial(known: &KernelState, number: u64, seen: &mut Instant) -> Duration {
    wait::until("a trial", SOON, || known.counter(Counter::Trials) >= number);
    let now = Instant::now();
    let gap = now.duration_since(*seen);
    *seen = now;
    gap
}

#[test]
fn a_trial_that_is_closed_before_an_answer_is_repeated() {
    let (node, _a, _blackhole, known) =
        server_and_blackhole("{baseEjection: 1s, maxEjection: 1s, consecutiveFailures: 1}");
    let mut client = node.client();
    let abandon = |until: &dyn Fn() -> bool, client: &mut mesh_tests::Client| {
        let mut open = Vec::new();
        wait::until("connects to the blackhole", SOON, || {
            let socket = client.tcp_socket("0.0.0.0:0");
            client.start_connect(socket, VIP);
            open.push(socket);
            until()
        });
        open.into_iter().for_each(|socket| client.reset(socket));
    };
    abandon(&|| known.counter(Counter::Ejections) == 1, &mut client);
    for trials in 1..=3 {
        abandon(&|| known.counter(Counter::Trials) == trials, &mut client);
    }
    assert_eq!(
        known.counter(Counter::Ejections),
        1,
        "an abandoned trial is no failure"
    );
    assert_eq!(known.live(), (0, 0));
}
