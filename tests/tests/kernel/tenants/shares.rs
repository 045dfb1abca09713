//! One client takes no more than its share of the connections that a service may have.

use aya::maps::{HashMap, Map};
use bytemuck::cast;
use mesh_common::{
    abi::{ShareKey, maps},
    counter::Counter,
    occupancy::{LIVE, live},
};
use mesh_tests::{
    Client, Node, Server,
    client::{Crowd, Protocol, Transport, protocol::counts},
    node::PATIENCE,
    pinned,
    place::Place,
    service, wait,
};

use super::{id, while_attacked};
use crate::balancing::KernelState;

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.11:53";
/// Connections that each service allows; how many of them one client may hold; and how many the
/// attacker tries to hold.
const PLACES: u32 = 20;
const SHARE: u32 = 5;
const MANY: u32 = 200;

type Shares = HashMap<aya::maps::MapData, [u8; size_of::<ShareKey>()], u64>;

/// Starts a node whose services allow a client this percentage of their connections, or all.
/// Returns it with the attacker's cgroup.
fn node(percent: Option<u32>) -> (Node, Server, Place) {
    let node = Node::setup().flags("--resync-interval 1s").start();
    let server = node.echo_server("a");
    let share = percent.map_or(String::new(), |percent| {
        format!(", maxConnectionsPerClientPercent: {percent}")
    });
    let limits = format!("limits: {{maxConnections: {PLACES}{share}}}");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(&limits);
    let dns = service("shop/dns")
        .address("10.96.0.11")
        .udp(53)
        .with(&limits);
    node.write("cart.yaml", cart.endpoint(&server));
    node.write("dns.yaml", dns.endpoint(&server));
    for name in ["shop/cart", "shop/dns"] {
        node.wait_until_served(name, &[&server]);
    }
    let attacker = node.place().below("attacker.service");
    (node, server, attacker)
}

fn shares(node: &Node) -> Shares {
    Map::HashMap(pinned::map(&node.directories().pins, maps::SHARES.name))
        .try_into()
        .expect("rows of these sizes")
}

/// Returns the counted sockets of each share of a client.
pub(super) fn held(node: &Node, client: &Place) -> Vec<u64> {
    let rows = shares(node);
    let ours = rows
        .iter()
        .flatten()
        .filter(|(of, _)| cast::<_, ShareKey>(*of).client == id(client));
    ours.map(|(_, word)| live(word)).collect()
}

fn expect_others_served(node: &Node) {
    let mut other = node.client();
    assert_eq!(other.tcp(TCP).times(200).errors, counts([]));
    assert_eq!(other.udp(UDP).times(200).errors, counts([]));
    assert_eq!(
        other.open_streams(TCP, SHARE).total_answers(),
        u64::from(SHARE)
    );
}

#[test]
fn one_client_cannot_take_all_connections_of_a_service_that_bounds_its_share() {
    let (node, _server, attacker) = node(Some(25));
    let known = KernelState::of(&node);
    let (mut busy, mut refused) = (Client::start(&attacker), 0);
    for round in 1..=2 {
        let opened = busy.open_streams(TCP, MANY);
        assert_eq!(
            opened.total_answers(),
            u64::from(SHARE),
            "{round}: {opened:?}"
        );
        assert_eq!(
            opened.errors,
            counts([("connect ECONNREFUSED", u64::from(MANY - SHARE))])
        );
        refused += u64::from(MANY - SHARE);
        while_attacked(Vec::new(), || {
            let more = busy.open_streams(TCP, MANY).errors;
            assert_eq!(more, counts([("connect ECONNREFUSED", MANY.into())]));
            refused += u64::from(MANY);
            expect_others_served(&node);
        });
        let counted =
            [Counter::RefusedShare, Counter::RefusedLimit].map(|counter| known.counter(counter));
        assert_eq!(counted, [refused, 0]);
        // The connections end with their sockets.
        busy.kill();
        wait::until("the attacker's connections to end", PATIENCE, || {
            held(&node, &attacker).iter().all(|it| *it == 0)
        });
        busy = Client::start(&attacker);
    }
}

#[test]
fn without_a_bound_one_client_takes_all_connections_and_others_are_refused() {
    let (node, _server, attacker) = node(None);
    let mut busy = Client::start(&attacker);
    assert_eq!(
        busy.open_streams(TCP, MANY).total_answers(),
        u64::from(PLACES)
    );
    assert_eq!(
        node.client().tcp(TCP).times(10).errors,
        counts([("connect ECONNREFUSED", 10)])
    );
    assert_eq!(
        held(&node, &attacker),
        [0; 0],
        "nothing is counted by client"
    );
}

#[test]
fn udp_sockets_of_a_client_count_for_its_share_connected_or_not() {
    let (node, _server, attacker) = node(Some(25));
    for connects in [true, false] {
        let mut busy = Client::start(&attacker);
        let mut answered = 0;
        for _ in 0..MANY {
            let socket = busy.udp_socket("0.0.0.0:0");
            let done = if connects {
                busy.connect(socket, UDP)
            } else {
                busy.send_to(socket, UDP)
            };
            answered += u32::from(done.is_ok());
        }
        assert_eq!(
            (answered, held(&node, &attacker)),
            (SHARE, vec![SHARE.into()]),
            "connected: {connects}"
        );
        let (mut other, mut more) = (node.client(), Client::start(&attacker));
        let attack = more.udp(UDP).again_and_again();
        while_attacked(vec![attack], || {
            let report = other.udp(UDP).times(200);
            assert_eq!(report.errors, counts([]), "connected: {connects}");
        });
        busy.kill();
        wait::until("the attacker's sockets to be closed", PATIENCE, || {
            held(&node, &attacker).iter().all(|it| *it == 0)
        });
    }
}

#[test]
fn no_race_exceeds_the_share_of_a_client() {
    let (node, _server, attacker) = node(Some(25));
    for (protocol, to) in [(Protocol::Tcp, TCP), (Protocol::Udp, UDP)] {
        let crowd = Crowd {
            threads: 32,
            times: 50,
            to: vec![(protocol, to.parse().expect("an address"))],
        };
        let rush = Client::start(&attacker).rush(&crowd);
        assert_eq!(
            rush.connected.iter().max(),
            Some(&u64::from(SHARE)),
            "{rush:?}"
        );
    }
    wait::until("no socket to count", PATIENCE, || {
        held(&node, &attacker).iter().all(|it| *it == 0)
    });
}

#[test]
fn connects_that_fail_take_nothing_of_a_share() {
    let (node, server, attacker) = node(Some(25));
    let nowhere = service("shop/nowhere")
        .address("10.96.0.12")
        .tcp(80)
        .at("192.0.2.1:80".parse().expect("an address"));
    let limits = "limits: {maxConnections: 20, maxConnectionsPerClientPercent: 25}";
    node.write(
        "nowhere.yaml",
        nowhere.with(limits).with("outlier: {enabled: false}"),
    );
    wait::until("the service", PATIENCE, || {
        node.find_service("shop/nowhere")
            .is_some_and(|it| it.ports[0].endpoints[0].active)
    });
    let mut busy = Client::start(&attacker);
    for transport in [Transport::Tcp, Transport::Mptcp] {
        if busy.try_socket(transport, "0.0.0.0:0").is_err() {
            println!("skipped: this kernel has no MPTCP");
            continue;
        }
        for _ in 0..MANY {
            let socket = busy.socket(transport, "0.0.0.0:0");
            busy.connect(socket, "10.96.0.12:80")
                .expect_err("there is no route");
            busy.close(socket);
        }
    }
    assert_eq!(
        held(&node, &attacker),
        [0],
        "connects that the kernel refuses hold nothing"
    );
    // Places of sockets that end without a hook expire.
    wait::until_equal(
        "its share to be free",
        PATIENCE,
        &Err("ENETUNREACH".into()),
        || {
            let socket = busy.tcp_socket("0.0.0.0:0");
            let refused = busy.connect(socket, "10.96.0.12:80");
            busy.close(socket);
            refused
        },
    );
    assert_eq!(
        busy.open_streams(TCP, SHARE).answers_of(&server),
        u64::from(SHARE)
    );
}

#[test]
fn shares_survive_a_restart_and_wrong_or_unused_ones_are_repaired() {
    let (mut node, _server, attacker) = node(Some(25));
    let mut busy = Client::start(&attacker);
    let other = node.place().below("other.service");
    assert_eq!(Client::start(&other).tcp(TCP).times(3).errors, counts([]));
    assert_eq!(busy.open_streams(TCP, 3).total_answers(), 3);
    for wrong in [0, 2 * LIVE, (2 * LIVE).wrapping_neg()] {
        node.kill_agent();
        let mut rows = shares(&node);
        let (of, word) = rows
            .iter()
            .flatten()
            .find(|(of, _)| cast::<_, ShareKey>(*of).client == id(&attacker))
            .expect("the attacker has a share");
        rows.insert(of, word.wrapping_add(wrong), 0)
            .expect("root may write rows");
        node.start_agent();
        wait::until_equal("its share", PATIENCE, &vec![3], || held(&node, &attacker));
    }
    assert_eq!(
        busy.open_streams(TCP, MANY).total_answers(),
        u64::from(SHARE - 3)
    );
    let gone = id(&other);
    drop(other);
    wait::until(
        "the share of a removed client to be removed",
        PATIENCE,
        || {
            shares(&node)
                .keys()
                .flatten()
                .all(|of| cast::<_, ShareKey>(of).client != gone)
        },
    );
    assert_eq!(held(&node, &attacker), [u64::from(SHARE)]);
}
