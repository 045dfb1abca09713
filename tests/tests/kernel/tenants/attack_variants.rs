//! Variants of attacks in which a client makes its own connects fail, or succeed wrongly. The
//! endpoints are in a pod that the victim reaches through the node.

use std::{array, fs, net::IpAddr, sync::Arc, time::Duration};

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Pod, Server,
    blackhole::Blackhole,
    client::{Attack, protocol::counts},
    command_result::CommandResult,
    netns::Netns,
    node::PATIENCE,
    place::Place,
    server::Manner,
};

use super::{
    attacks::{VIP, cart, expect_unharmed_by},
    attempts,
};
use crate::balancing::KernelState;

const DEAD: &str = "outlier: {baseEjection: 60s, maxEjection: 60s}";

pub(super) fn shop() -> (Node, Pod, [Server; 4], KernelState) {
    let node = Node::start();
    let home = Pod::start(&node, 2);
    let servers = array::from_fn(|number| home.server(&format!("{number}")));
    node.write("cart.yaml", cart().endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    (node, home, servers, known)
}

fn ip(place: &Place, line: &str) {
    CommandResult::of(place.command("ip").args(line.split(' ')), PATIENCE).expect_success();
}

/// A pod whose packets are dropped: the MAC address of its gateway belongs to no device.
pub(super) fn cut_off(node: &Node) -> Pod {
    let pod = Pod::start(node, 1);
    ip(
        pod.place(),
        "neigh replace 10.201.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
    );
    pod
}

/// Two namespaces of the attacker, each with its router, which answers for the endpoints at
/// `address`: one with resets, one with ICMP errors.
pub(super) fn forging(node: &Node, address: IpAddr) -> [(Place, Place); 2] {
    let answers = [
        format!("address add {address}/32 dev lo"),
        format!("route add unreachable {address}"),
    ];
    answers.map(|answer| {
        let inside = node.place().child();
        let router = Place {
            netns: Arc::new(Netns::new()),
            ..inside.clone()
        };
        let namespace = inside.netns.path();
        let link = format!(
            "link add up0 type veth peer name eth0 netns {}",
            namespace.display()
        );
        ip(&router, &link);
        for (place, device, host) in [(&router, "up0", 1), (&inside, "eth0", 2)] {
            ip(
                place,
                &format!("address add 10.77.0.{host}/24 dev {device}"),
            );
            ip(place, &format!("link set {device} up"));
        }
        ip(&inside, "route add default via 10.77.0.1");
        ip(&router, &answer);
        router.netns.run(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root may forward packets");
        });
        (inside, router)
    })
}

/// Expects the attacker's connects to time out and to count as its own failures only.
fn expect_own_failures(
    mut attacker: Client,
    attack: Attack,
    node: &Node,
    servers: &[Server; 4],
    known: &KernelState,
) {
    let reports = expect_unharmed_by(vec![attacker.attack(attack, VIP)], node, servers);
    assert_eq!(reports[0].errors, counts([]), "each connect is in progress");
    assert_eq!(known.agreed(), 0);
    // If every endpoint hangs, none may be ejected.
    assert!(
        known.counter(Counter::Failures) > 12,
        "{} failures",
        known.counter(Counter::Failures)
    );
}

#[test]
fn a_client_that_binds_to_another_device_ejects_no_endpoint_for_others() {
    let (node, _home, servers, known) = shop();
    let _elsewhere = Pod::start(&node, 1);
    let attacker = Client::start(&node.place().below("attacker.service"));
    expect_own_failures(
        attacker,
        Attack::Device("pod1".into()),
        &node,
        &servers,
        &known,
    );
}

#[test]
fn a_client_that_signs_its_packets_ejects_no_endpoint() {
    let (node, _home, servers, known) = shop();
    let attacker = Client::start(&node.place().below("attacker.service"));
    expect_own_failures(attacker, Attack::Signed, &node, &servers, &known);
}

#[test]
fn a_client_with_a_short_user_timeout_ejects_no_endpoint() {
    let (node, _home, servers, known) = shop();
    let pod = cut_off(&node);
    expect_own_failures(pod.client(), Attack::UserTimeout, &node, &servers, &known);
}

/// The socket is closed, disconnected or shut down before an answer comes.
#[test]
fn connects_that_a_client_ends_early_are_no_failures() {
    let (node, _home, servers, known) = shop();
    let pod = cut_off(&node);
    let ends = [
        Attack::Close(Duration::ZERO),
        Attack::Close(Duration::from_millis(1)),
        Attack::SendTimeout,
        Attack::Disconnect,
        Attack::Shutdown,
    ];
    let mut attackers = ends.map(|end| (pod.client(), end));
    let attacks = attackers
        .iter_mut()
        .map(|(client, end)| client.attack(end.clone(), VIP));
    for report in expect_unharmed_by(attacks.collect(), &node, &servers) {
        assert!(
            report.errors.is_empty() && report.total_answers() > 100,
            "{report:?}"
        );
    }
    assert_eq!((known.counter(Counter::Failures), known.ejected()), (0, 0));
}

/// In the attacker's namespace, each endpoint is a listener with a full queue: no connect is ever
/// answered.
#[test]
fn a_client_with_a_short_send_timeout_ejects_no_endpoint() {
    let (node, home, servers, known) = shop();
    let place = node.place().child();
    ip(&place, &format!("address add {}/32 dev lo", home.ip()));
    let _full = servers
        .each_ref()
        .map(|server| Blackhole::open_at(&place.netns, server.address()));
    let mut attacker = Client::start(&place);
    let attack = attacker.attack(Attack::SendTimeout, VIP);
    let [report] = &expect_unharmed_by(vec![attack], &node, &servers)[..] else {
        panic!("one attack")
    };
    assert_eq!(
        report.answers.len(),
        1,
        "every connect timed out: {report:?}"
    );
    assert!(attempts(report) > 100, "{report:?}");
    assert_eq!((known.counter(Counter::Failures), known.ejected()), (0, 0));
    assert_eq!(known.live(), (0, 0), "closed sockets hold nothing");
}

/// The kernel refuses such connects before a SYN is sent, which counts for the client alone.
#[test]
fn routes_in_a_clients_namespace_eject_no_endpoint() {
    for (kind, error) in [
        ("unreachable", "EHOSTUNREACH"),
        ("prohibit", "EACCES"),
        ("blackhole", "EINVAL"),
    ] {
        let (node, home, servers, known) = shop();
        let pod = Pod::start(&node, 1);
        ip(pod.place(), &format!("route add {kind} {}", home.ip()));
        let mut attacker = pod.client();
        let attack = attacker.tcp(VIP).again_and_again();
        let reports = expect_unharmed_by(vec![attack], &node, &servers);
        let errors: Vec<_> = reports[0].errors.keys().collect();
        assert_eq!(errors, [&format!("connect {error}")], "{kind}");
        assert_eq!(known.agreed(), 0, "{kind}");
    }
}

#[test]
fn answers_that_a_client_forges_eject_no_endpoint() {
    let (node, home, servers, known) = shop();
    // The kernel sends further SYNs before it believes an ICMP error.
    let errors = [("connect ECONNREFUSED", 12), ("connect EHOSTUNREACH", 1)];
    for ((place, _router), (error, least)) in forging(&node, home.ip()).iter().zip(errors) {
        let mut attacker = Client::start(place);
        let attack = attacker.tcp(VIP).again_and_again();
        let reports = expect_unharmed_by(vec![attack], &node, &servers);
        let errors: Vec<_> = reports[0].errors.keys().map(String::as_str).collect();
        assert_eq!((errors, known.agreed()), (vec![error], 0));
        assert!(reports[0].errors[error] >= least, "{reports:?}");
    }
}

/// In the attacker's namespace the dead endpoint answers, and those that work refuse.
#[test]
fn a_client_that_sees_the_opposite_revives_and_ejects_no_endpoint() {
    let node = Node::start();
    let [dead, one, two, three] = ["dead", "1", "2", "3"].map(|name| node.server(name));
    node.write(
        "cart.yaml",
        cart().with(DEAD).endpoints([&dead, &one, &two, &three]),
    );
    node.wait_until_served("shop/cart", &[&dead, &one, &two, &three]);
    let (known, address) = (KernelState::of(&node), dead.address());
    drop(dead);
    for name in ["first.service", "second.service"] {
        Client::start(&node.place().below(name)).tcp(VIP).times(200);
    }
    assert_eq!(known.agreed(), 1);
    let place = node.place().child();
    let _own = Server::start_at(Manner::Closes, &place.netns, "own", address);
    let mut attacker = Client::start(&place);
    let attack = attacker.tcp(VIP).again_and_again();
    let reports = expect_unharmed_by(vec![attack], &node, &[one, two, three]);
    assert!(reports[0].answers.contains_key("own"), "{reports:?}");
    assert!(reports[0].errors.values().sum::<u64>() >= 6, "{reports:?}");
    assert_eq!(known.agreed(), 1);
}
