//! Attacks on tables of their default size.

use std::{
    array,
    time::{Duration, Instant},
};

use mesh_common::abi::{capacity, maps};
use mesh_tests::{
    Client, Node, Pod,
    client::{Attack, Hoard, Transport, protocol::counts},
    manifest::document,
    node::PATIENCE,
    service, wait,
};

use super::{
    attacks::{self, CONNECTS, VIP, expect_fair, expect_unharmed_by},
    attempts,
    quotas::{bindings, has},
    while_attacked,
};

const UDP: &str = "10.96.0.10:53";
/// A service whose connects the kernel refuses after the hook.
const NOWHERE: &str = "10.96.0.11:80";
/// Rows of SOCKETS, and of FLOWS, that one client may have.
const SHARE: u64 = capacity::SOCKETS as u64 / 4;
/// Longest time in which the attacker fills them.
const FILLS: Duration = Duration::from_secs(15);
/// Number of services with session affinity, and the address of the first.
const STICKY: u32 = 320;
const FIRST_STICKY: &str = "10.97.0.0:53";
/// Rows of AFFINITY that one client may have.
const BINDINGS: u64 = maps::AFFINITY.capacity() as u64 / 4;

/// The attacker's sockets of SOCKETS end without a hook, so they take none of the 20,000
/// descriptors of an unprivileged user; where the kernel has no MPTCP, two processes keep theirs.
/// Those of FLOWS are in a pod with its own network: the kernel refuses what they send after
/// the hook, so they take no ports. The service has a limit, so it refuses where no row is left.
#[test]
fn a_client_that_fills_its_share_of_the_tables_takes_nothing_from_others() {
    let node = Node::start();
    let servers = ["0", "1", "2", "3"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(53)
        .with("balance: random");
    node.write(
        "cart.yaml",
        cart.with("limits: {maxConnections: 1000000}")
            .endpoints(&servers),
    );
    let nowhere = service("shop/nowhere")
        .address("10.96.0.11")
        .tcp(80)
        .at("192.0.2.1:80".parse().expect("an address"));
    node.write("nowhere.yaml", nowhere);
    node.wait_until_served("shop/cart", &servers.each_ref());
    wait::until("the other service to be served", PATIENCE, || {
        node.find_service("shop/nowhere")
            .is_some_and(|it| it.ports[0].endpoints[0].active)
    });
    let attacker = node.place().below("attacker.service");
    let pod = attacker.child();
    let has_mptcp = Client::start(&pod)
        .try_socket(Transport::Mptcp, "0.0.0.0:0")
        .is_ok();
    let sockets = if has_mptcp {
        vec![(&attacker, Hoard::Closed, NOWHERE)]
    } else {
        vec![(&pod, Hoard::Connected, UDP); 2]
    };
    let hoards: Vec<_> = sockets
        .into_iter()
        .chain([(&pod, Hoard::Sent, UDP); 2])
        .collect();
    let mut clients: Vec<Client> = hoards
        .iter()
        .map(|(place, ..)| Client::start(place))
        .collect();
    let begin = Instant::now();
    let attacks = clients.iter_mut().zip(&hoards);
    let attacks = attacks
        .map(|(client, &(_, hoard, to))| client.attack(Attack::Hoard(hoard), to))
        .collect();
    wait::until("the attacker to have its share", FILLS, || {
        let [sockets, flows, ..] = has(&node, &attacker);
        (sockets, flows) == (SHARE, SHARE)
    });
    let filled = begin.elapsed();
    let reports = expect_unharmed_by(attacks, &node, &servers);
    let attempts: u64 = reports.iter().map(attempts).sum();
    println!("{attempts} attempts, share taken after {filled:?}");
    assert!(attempts > 2 * SHARE, "{reports:?}");
    drop(clients);
    expect_fair(&node.client().tcp(VIP).times(CONNECTS), &servers);
}

/// Returns the only server that answers this client.
fn only(client: &mut Client) -> String {
    let report = client.udp(FIRST_STICKY).times(20);
    assert_eq!(
        (&report.errors, report.answers.len()),
        (&counts([]), 1),
        "{report:?}"
    );
    report.answers.into_keys().next().expect("one")
}

/// Services with session affinity see each network namespace as a client, and keep a row for it. Pods
/// that were bound before the attack keep their endpoints, and later pods are bound, too.
#[test]
fn a_client_with_many_thousand_namespaces_takes_no_binding_of_others() {
    let node = Node::start();
    let home = Pod::start(&node, 1);
    let servers = array::from_fn::<_, 4, _>(|number| home.server(&format!("{number}")));
    let sticky: Vec<_> = (0..STICKY)
        .map(|number| {
            let sticky = service(&format!("shop/sticky{number}")).udp(53).sticky(600);
            let address = format!("10.97.{}.{}", number / 256, number % 256);
            sticky
                .address(&address)
                .with("balance: random")
                .endpoints(&servers)
        })
        .collect();
    node.write("sticky.yaml", document(&sticky));
    node.write("cart.yaml", attacks::cart().endpoints(&servers));
    for name in [
        "shop/cart",
        "shop/sticky0",
        &format!("shop/sticky{}", STICKY - 1),
    ] {
        node.wait_until_served_within(name, &servers.each_ref(), PATIENCE);
    }
    let pods: Vec<_> = (2..6).map(|number| Pod::start(&node, number)).collect();
    let mut victims: Vec<(Client, String)> = pods.iter().map(bound).collect();
    let attacker = node.place().below("attacker.service");
    let mut client = Client::start(&attacker);
    let begin = Instant::now();
    let attack = client.attack(Attack::Namespaces(STICKY), FIRST_STICKY);
    wait::until("the attacker to have its share", FILLS, || {
        has(&node, &attacker)[3] >= BINDINGS
    });
    let filled = begin.elapsed();
    let mut other = Client::start(&node.place().below("victim.service"));
    let reports = while_attacked(vec![attack], || {
        for (victim, chosen) in &mut victims {
            assert_eq!(&only(victim), chosen);
        }
        expect_fair(&other.tcp(VIP).times(CONNECTS), &servers);
    });
    let late = Pod::start(&node, 6);
    bound(&late);
    let places = [&attacker]
        .into_iter()
        .chain(pods.iter().chain([&late]).map(Pod::place));
    let rows: Vec<_> = places.map(|place| bindings(&node, place)).collect();
    assert_eq!(rows, [BINDINGS, 1, 1, 1, 1, 1]);
    let [report] = &reports[..] else {
        panic!("one attack")
    };
    println!(
        "{} attempts, share taken after {filled:?}",
        attempts(report)
    );
    assert!(attempts(report) > 103_000, "{report:?}");
}

/// A client in the pod, and the endpoint to which it is bound.
fn bound(pod: &Pod) -> (Client, String) {
    let mut client = pod.client();
    let chosen = only(&mut client);
    (client, chosen)
}
