//! A connect is refused only when no endpoint of any tier can take it.

use std::time::Duration;

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Manifest, Node, Pod, Server, client::protocol::counts, command_result::CommandResult,
    service, wait,
};

use super::{KernelState, VIP};

const CONNECTS: u32 = 10_000;
const POLICIES: [&str; 5] = [
    "leastConnections",
    "latencyAware",
    "random",
    "roundRobin",
    "consistentHash",
];
const SOON: Duration = Duration::from_secs(5);

fn cart() -> Manifest {
    service("shop/cart").address("10.96.0.10").tcp(80)
}

fn expect_no_refusal(client: &mut Client, what: &str) {
    let report = client.tcp(VIP).times(CONNECTS);
    assert_eq!(
        (report.errors, report.answers.values().sum()),
        (counts([]), u64::from(CONNECTS)),
        "{what}"
    );
}

/// A pod whose packets are dropped: the MAC address of its gateway belongs to no device.
fn cut_off(node: &Node) -> Pod {
    let pod = Pod::start(node, 1);
    let mut ip = pod.place().command("ip");
    ip.args("neigh replace 10.201.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent".split(' '));
    CommandResult::of(&mut ip, SOON).expect_success();
    pod
}

#[test]
fn hanging_connects_of_one_client_do_not_block_another() {
    let node = Node::start();
    let (attacker, home) = (cut_off(&node), Pod::start(&node, 2));
    let servers = ["a", "b"].map(|name| home.server(name));
    node.write(
        "cart.yaml",
        cart().with("balance: roundRobin").endpoints(&servers),
    );
    node.wait_until_served("shop/cart", &servers.each_ref());
    let (known, mut client) = (KernelState::of(&node), node.client());
    let mut hanging = attacker.client();
    for _ in 0..4 {
        let socket = hanging.tcp_socket("0.0.0.0:0");
        assert!(hanging.start_connect(socket, VIP));
    }
    assert_eq!(known.live(), (4, 4), "two for each endpoint");
    wait::until_equal("time-outs", SOON, &4, || known.counter(Counter::Failures));
    assert_eq!(
        (known.live(), known.ejected()),
        ((4, 0), 0),
        "a failed connect does not count as connecting"
    );
    expect_no_refusal(
        &mut client,
        "two failures and two hanging sockets for each endpoint",
    );
}

/// Half of the connects are in progress when the others time out.
#[test]
fn slow_answers_refuse_no_connect() {
    const HALF: u64 = CONNECTS as u64 / 2;
    let node = Node::start();
    let blackhole = node.blackhole();
    node.write("cart.yaml", cart().at(blackhole.address()));
    let (known, mut client) = (KernelState::when(&node, 1), node.client());
    let mut start = || {
        for _ in 0..HALF {
            let socket = client.tcp_socket("0.0.0.0:0");
            assert!(
                client.start_connect(socket, VIP),
                "the service has an endpoint"
            );
        }
    };
    start();
    wait::until_equal("time-outs", SOON, &HALF, || {
        known.counter(Counter::Failures)
    });
    start();
    assert_eq!(
        (known.live().0, known.ejected()),
        (2 * HALF, 0),
        "the last endpoint is never ejected"
    );
    wait::until_equal("time-outs", SOON, &(2 * HALF), || {
        known.counter(Counter::Failures)
    });
    assert_eq!(
        known.live(),
        (2 * HALF, 0),
        "a failed connect does not count as connecting"
    );
}

#[test]
fn connects_that_the_kernel_refuses_hold_no_place() {
    for limits in ["maxConnections: 5", "maxConnectionsPerEndpoint: 5"] {
        let node = Node::start();
        let server = node.server("a");
        let cart = || cart().with(&format!("limits: {{{limits}}}"));
        // There is no route: the connect fails after the hook, and no packet is sent.
        node.write(
            "cart.yaml",
            cart().at("192.0.2.1:80".parse().expect("a valid address")),
        );
        let (known, mut client) = (KernelState::when(&node, 1), node.client());
        for open in 0..CONNECTS {
            let socket = client.tcp_socket("0.0.0.0:0");
            let refusal = client.connect(socket, VIP).expect_err("there is no route");
            assert_eq!(known.live(), (0, 0), "{refusal}, {open} sockets are open");
        }
        node.write("cart.yaml", cart().endpoint(&server));
        node.wait_until_served("shop/cart", &[&server]);
        // Reservations expire after 250 ms.
        wait::until("a connect", SOON, || {
            client.tcp(VIP).once().answers_of(&server) == 1
        });
        expect_no_refusal(&mut client, "no open socket holds a place");
        assert_eq!((known.live(), known.connections()), ((0, 0), 0));
    }
}

/// The first three tiers have no ready endpoint, and more slots than one sample reads. The fourth
/// has one ready endpoint.
#[test]
fn every_tier_is_reached() {
    let node = Node::setup()
        .flags("--node-name n1 --zone a --region r")
        .start();
    let server = node.server("far");
    let tiers = [
        "node: n1, zone: a, region: r",
        "zone: a, region: r",
        "region: r",
    ];
    let mut client = node.client();
    for policy in POLICIES {
        let mut cart = cart()
            .with("locality: {order: [node, zone, region]}")
            .with(&format!("balance: {policy}"));
        for (number, tier) in tiers.iter().enumerate() {
            for host in 1..=70 {
                let address = format!("127.0.{}.{host}:9", 90 + number)
                    .parse()
                    .expect("an address");
                cart = cart.at_described(address, &format!("{tier}, state: notReady"));
            }
        }
        node.write("cart.yaml", cart.described(&server, "zone: b, region: s"));
        wait::until("the policy", SOON, || {
            node.find_service("shop/cart")
                .is_some_and(|service| service.ports[0].balance == policy)
        });
        node.wait_until_served("shop/cart", &[&server]);
        expect_no_refusal(&mut client, policy);
    }
}

#[test]
fn one_healthy_endpoint_of_a_hundred_takes_every_connect() {
    let allow = "--health-check-allowed-networks 127.0.0.0/8 --health-check-min-interval 100ms";
    let node = Node::setup().flags(allow).start();
    let server = node.server("a");
    let mut client = node.client();
    for policy in POLICIES {
        let mut cart =
            cart().with("health: {tcp: {}, interval: 300ms, timeout: 100ms, rise: 1, fall: 1}");
        cart = cart.with(&format!("balance: {policy}"));
        for host in 1..=99 {
            cart = cart.at(format!("127.0.90.{host}:9").parse().expect("an address"));
        }
        node.write("cart.yaml", cart.endpoint(&server));
        wait::until("the policy", SOON, || {
            node.find_service("shop/cart")
                .is_some_and(|service| service.ports[0].balance == policy)
        });
        KernelState::when(&node, 1);
        expect_no_refusal(&mut client, policy);
    }
}

/// The near tier has no ready endpoint. One endpoint of the far tier is ejected for a second, and
/// comes back.
#[test]
fn an_ejected_endpoint_of_a_farther_tier_serves_again() {
    let node = Node::setup().flags("--zone a").start();
    let [near, b, c] = ["near", "b", "c"].map(|name| node.server(name));
    let outlier = "outlier: {baseEjection: 1s, maxEjection: 1s}";
    let cart = cart()
        .with("locality: {order: [zone]}")
        .with(outlier)
        .with("balance: random");
    let cart = cart
        .described(&near, "zone: a, state: notReady")
        .described(&b, "zone: b")
        .described(&c, "zone: b");
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &[&b, &c]);
    let (known, mut client, address) = (KernelState::of(&node), node.client(), b.address());
    drop(b);
    wait::until("an ejection", SOON, || {
        client.tcp(VIP).once();
        known.ejected() == 1
    });
    let b = node.server_again("b", address);
    wait::until("the endpoint to serve", SOON, || {
        client.tcp(VIP).once().answers_of(&b) == 1
    });
    let report = client.tcp(VIP).times(CONNECTS);
    assert_eq!(report.errors, counts([]));
    assert!(
        report.answers_of(&b) > u64::from(CONNECTS) / 3,
        "{report:?}"
    );
    drop(c);
    let report = client.tcp(VIP).times(CONNECTS);
    let failed: u64 = report.errors.values().sum();
    assert!(
        report.answers_of(&b) + failed == u64::from(CONNECTS) && failed <= 3 + 10,
        "{report:?}"
    );
}

/// Every endpoint is ejected for a minute; one works again.
#[test]
fn the_last_resort_is_found_in_any_tier() {
    let node = Node::setup().flags("--zone a").start();
    let servers: [Server; 4] = ["a", "b", "c", "d"].map(|name| node.server(name));
    let outlier = "outlier: {baseEjection: 60s, maxEjection: 60s, maxEjectedPercent: 100, consecutiveFailures: 1}";
    let [a, b, c, d] = &servers;
    let near = cart()
        .with("locality: {order: [zone]}")
        .with(outlier)
        .described(a, "zone: a")
        .described(b, "zone: a");
    let both = near.described(c, "zone: b").described(d, "zone: b");
    node.write("cart.yaml", both);
    node.wait_until_served("shop/cart", &servers.each_ref());
    let (known, mut client, address) =
        (KernelState::of(&node), node.client(), servers[3].address());
    drop(servers);
    wait::until("ejections", SOON, || {
        client.tcp(VIP).once();
        known.ejected() == 3
    });
    let back = node.server_again("back", address);
    wait::until("the endpoint that works", SOON, || {
        client.tcp(VIP).once().answers_of(&back) == 1
    });
    expect_no_refusal(&mut client, "one of four works");
}
