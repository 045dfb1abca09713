//! A client that makes its own connects fail does not affect others: they are not refused, and
//! their shares stay fair.

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, ConnectReport, Manifest, Node, Server,
    client::{Act, Loop, protocol::counts},
    node::PATIENCE,
    place::Place,
    server::Manner,
    service, wait,
};

use super::while_attacked;
use crate::balancing::KernelState;

pub(super) const VIP: &str = "10.96.0.10:80";
pub(super) const CONNECTS: u32 = 1_000;

pub(super) fn cart() -> Manifest {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("balance: random")
}

pub(super) fn shop<const N: usize>() -> (Node, [Server; N], KernelState) {
    serving(cart())
}

fn serving<const N: usize>(cart: Manifest) -> (Node, [Server; N], KernelState) {
    let node = Node::start();
    let servers = std::array::from_fn(|number| node.server(&format!("{number}")));
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let known = KernelState::of(&node);
    (node, servers, known)
}

/// Expects no refusal, and each server within ten percentage points of its fair share.
pub(super) fn expect_fair<const N: usize>(report: &ConnectReport, servers: &[Server; N]) {
    assert_eq!(
        (&report.errors, report.total_answers()),
        (&counts([]), u64::from(CONNECTS))
    );
    for server in servers {
        let percent = report.answers_of(server) * 100 / u64::from(CONNECTS);
        assert!(
            percent.abs_diff(100 / N as u64) <= 10,
            "{}: {percent} %: {report:?}",
            server.name()
        );
    }
}

/// Runs the attackers, and expects that no endpoint is ejected for all, and that the victim is
/// unharmed during and after the attack.
fn expect_unharmed<const N: usize>(
    node: &Node,
    attackers: &[Place],
    servers: &[Server; N],
    known: &KernelState,
) {
    let mut clients: Vec<Client> = attackers.iter().map(Client::start).collect();
    let attacks = clients
        .iter_mut()
        .map(|client| client.tcp(VIP).again_and_again())
        .collect();
    let mut victim = Client::start(&node.place().below("victim.service"));
    let reports = while_attacked(attacks, || {
        expect_fair(&victim.tcp(VIP).times(CONNECTS), servers);
        assert_eq!(known.agreed(), 0);
    });
    for report in reports {
        assert!(
            report.errors.values().sum::<u64>() > 3 * N as u64,
            "an attack makes connects fail: {report:?}"
        );
    }
}

/// Expects the victim to be unharmed by running attacks. Returns their reports.
pub(super) fn expect_unharmed_by<const N: usize>(
    attacks: Vec<Loop<'_>>,
    node: &Node,
    servers: &[Server; N],
) -> Vec<ConnectReport> {
    let mut victim = Client::start(&node.place().below("victim.service"));
    while_attacked(attacks, || {
        expect_fair(&victim.tcp(VIP).times(CONNECTS), servers);
    })
}

/// In the attacker's network namespace every endpoint refuses.
#[test]
fn a_client_in_its_own_namespace_ejects_no_endpoint_for_others() {
    let (node, servers, known) = shop::<4>();
    expect_unharmed(&node, &[node.place().child()], &servers, &known);
    assert!(
        known.counter(Counter::Failures) > 12 && known.ejected() >= 3,
        "{} ejected",
        known.ejected()
    );
}

#[test]
fn a_client_ejects_no_endpoint_for_others_without_an_agent() {
    let (mut node, servers, known) = shop::<4>();
    node.kill_agent();
    expect_unharmed(&node, &[node.place().child()], &servers, &known);
}

/// In its namespaces one endpoint refuses and the others answer: it is ejected again and again.
#[test]
fn cgroups_and_namespaces_of_one_client_count_once() {
    let outlier = "outlier: {baseEjection: 100ms, maxEjection: 100ms}";
    let (node, servers, known) = serving::<4>(cart().with(outlier));
    let attacker = node.place().below("attacker.service");
    let places: Vec<Place> = (0..2).map(|_| attacker.child()).collect();
    let addresses: Vec<_> = servers[1..].iter().map(Server::address).collect();
    let own = |place: &Place| {
        let server = |at: &_| Server::start_at(Manner::Closes, &place.netns, "own", *at);
        addresses.iter().map(server).collect::<Vec<_>>()
    };
    let _own: Vec<_> = places.iter().map(own).collect();
    let mut clients: Vec<Client> = places.iter().map(Client::start).collect();
    let attacks = clients.iter_mut().map(|it| it.tcp(VIP).again_and_again());
    let attacks: Vec<Loop<'_>> = attacks.collect();
    // Checked before a victim connects, because its successes would void the votes.
    wait::until("many ejections", PATIENCE, || {
        known.counter(Counter::Ejections) > 10
    });
    assert_eq!(known.agreed(), 0);
    attacks.into_iter().for_each(|attack| _ = attack.stop());
    expect_unharmed(&node, &places, &servers, &known);
}

#[test]
fn a_near_zone_is_not_emptied() {
    let node = Node::setup().flags("--zone a").start();
    let [near, also, far] = ["near", "also", "far"].map(|name| node.server(name));
    let cart = cart().with("locality: {order: [zone]}");
    let cart = cart
        .described(&near, "zone: a")
        .described(&also, "zone: a")
        .described(&far, "zone: b");
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &[&near, &also, &far]);
    let known = KernelState::of(&node);
    expect_unharmed(&node, &[node.place().child()], &[near, also], &known);
}

/// The program closes the socket while the connect is in progress.
#[test]
fn a_connect_that_its_program_closes_is_no_failure() {
    let node = Node::start();
    let blackhole = node.blackhole();
    node.write("cart.yaml", cart().at(blackhole.address()));
    let (known, mut client) = (KernelState::when(&node, 1), node.client());
    for act in [Act::Disconnect, Act::Shutdown, Act::Close, Act::Reset] {
        for _ in 0..5 {
            let socket = client.tcp_socket("0.0.0.0:0");
            assert!(client.start_connect(socket, VIP));
            let told = client.act(socket, act.clone());
            assert!(told.is_ok() || act == Act::Shutdown, "{act:?}: {told:?}");
            assert_eq!(
                (known.counter(Counter::Failures), known.live()),
                (0, (0, 0)),
                "{act:?}"
            );
        }
    }
}
