//! Endpoints that are ejected, tried again or left alone, and what their connects count.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

#[test]
fn an_ejected_endpoint_is_tried_periodically_and_comes_back() {
    let node = Node::start();
    let (a, b) = (node.server("a"), node.server("b"));
    let outlier = "outlier: {baseEjection: 500ms, maxEjection: 1s}";
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(outlier);
    node.write("cart.yaml", cart.endpoints([&a, &b]));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let address: SocketAddr = a.address();
    drop(a);
    let mut client = node.client();
    let report = client.tcp(VIP).times(300);
    assert_eq!(
        report.errors,
        counts([("connect ECONNREFUSED", 3)]),
        "the streak that ejects"
    );
    let mut failed = 0;
    for _ in 0..60 {
        wait::pass(Duration::from_millis(50));
        failed += client.tcp(VIP).times(10).errors.values().sum::<u64>();
    }
    assert!(
        (2..=5).contains(&failed),
        "{failed} trials in three seconds"
    );
    let counters = node.port_of("shop/cart", 80, "TCP").counters;
    assert_eq!(
        (
            counters[Counter::Trials],
            counters[Counter::Failures],
            counters[Counter::Ejections]
        ),
        (failed, failed + 3, failed + 1)
    );
    let here = &node.place().netns;
    let listener = here
        .run(|| TcpListener::bind(address))
        .expect("the port is free again");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let (mut stream, _) = listener.accept().expect("it listens");
                // Fails when the client has closed already.
                _ = stream.write_all(b"back\n");
            }
        });
        let came_back = wait::try_until_some(SETTLED, || {
            client
                .tcp(VIP)
                .times(20)
                .answers
                .contains_key("back")
                .then_some(())
        });
        let report = client.tcp(VIP).times(100);
        stop.store(true, Ordering::SeqCst);
        here.run(|| TcpStream::connect(address))
            .expect("it listens");
        assert!(
            came_back.is_some(),
            "{:?}",
            node.port_of("shop/cart", 80, "TCP")
        );
        assert_eq!(report.errors, counts([]));
    });
}

#[test]
fn an_unresponsive_endpoint_is_ejected_and_an_aborted_connect_is_no_failure() {
    // Packets leave through one end of a veth pair. The other end drops them, because they have another
    // MAC address.
    let hole = "ip link add hole0 type veth peer name hole1 && ip addr add 10.200.0.1/24 dev hole0 && \
        ip link set hole0 up && ip link set hole1 up && ip neigh add 10.200.0.9 lladdr 02:00:00:00:00:09 dev hole0";
    let node = Node::start();
    let made = node
        .place()
        .command("sh")
        .args(["-c", hole])
        .output()
        .expect("sh starts");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("balance: roundRobin");
    let hole = "10.200.0.9:80".parse().expect("an address");
    node.write("cart.yaml", cart.endpoint(&a).at(hole));
    wait::until("both to be served", SETTLED, || {
        node.find_service("shop/cart")
            .is_some_and(|it| it.ports[0].endpoints.iter().filter(|it| it.active).count() == 2)
    });
    let connect = |seconds: &str| {
        let script = format!(
            "for i in 1 2 3 4 5 6; do timeout {seconds} bash -c 'exec 3<>/dev/tcp/10.96.0.10/80' & done; wait"
        );
        let done = node
            .place()
            .command("bash")
            .args(["-c", &script])
            .output()
            .expect("bash starts");
        assert!(done.status.success());
        node.port_of("shop/cart", 80, "TCP").counters
    };
    let given_up = connect("0.3");
    assert_eq!(
        (given_up[Counter::Failures], given_up[Counter::Ejections]),
        (0, 0),
        "connects that the program closes are no failures"
    );
    wait_until_idle(&node);
    let timed_out = connect("1.7");
    assert_eq!(
        (timed_out[Counter::Failures], timed_out[Counter::Ejections]),
        (3, 1),
        "connects without an answer within a second fail: {timed_out:?}"
    );
    wait_until_idle(&node);
    assert_eq!(
        node.port_of("shop/cart", 80, "TCP").counters[Counter::Failures],
        3,
        "no failure counts twice"
    );
    let report = node.client().tcp(VIP).times(100);
    assert_eq!(
        (report.answers, report.errors),
        (counts([("a", 100)]), counts([]))
    );
}

#[test]
fn the_last_endpoint_is_never_ejected_and_ejection_can_be_off() {
    for (settings, names, ejections) in [
        ("balance: random", vec!["a"], 0),
        ("outlier: {enabled: false}", vec!["a", "b"], 0),
    ] {
        let (node, mut servers) = node_with(settings, &names);
        servers.remove(0);
        node.client().tcp(VIP).times(100);
        let counters = node.port_of("shop/cart", 80, "TCP").counters;
        assert_eq!(
            (
                counters[Counter::Ejections],
                counters[Counter::RefusedNoBackend]
            ),
            (ejections, 0),
            "{settings}: {counters:?}"
        );
        assert!(counters[Counter::Failures] > 20, "{counters:?}");
    }
}
