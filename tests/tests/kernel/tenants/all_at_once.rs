//! Several attacks at once: those that one client can make together, and those of five clients.

use std::{sync::Arc, time::Duration};

use mesh_common::counter::Counter;
use mesh_tests::{
    Client,
    client::{Attack, Loop, protocol::counts},
    node::PATIENCE,
    place::Place,
    wait,
};

use super::{
    attack_variants::{cut_off, forging, shop},
    attacks::{self, CONNECTS, VIP, expect_unharmed_by},
    attempts, while_attacked,
};

/// A process of the attacker, whose cgroups are all below its own, in the namespace of `other`.
fn process(attacker: &Place, other: &Place) -> Client {
    Client::start(&Place {
        cgroup: Arc::new(attacker.cgroup.child()),
        netns: Arc::clone(&other.netns),
    })
}

/// Tests of `attacks` and `attack_variants` run each attack alone.
#[test]
fn all_attacks_of_one_client_at_once_affect_no_other() {
    let (node, home, servers, known) = shop();
    let attacker = node.place().below("attacker.service");
    let cut = cut_off(&node);
    let own = attacker.child();
    let forged = forging(&node, home.ip());
    let abandons = [
        Attack::UserTimeout,
        Attack::SendTimeout,
        Attack::Close(Duration::ZERO),
        Attack::Close(Duration::from_millis(1)),
        Attack::Disconnect,
        Attack::Shutdown,
    ];
    let mut abandoning = abandons.map(|attack| (process(&attacker, cut.place()), attack));
    let mut signing = process(&attacker, node.place());
    let places = [&own, &forged[0].0];
    let mut refused = places.map(|place| process(&attacker, place));
    let attacks = abandoning
        .iter_mut()
        .map(|(client, attack)| client.attack(attack.clone(), VIP));
    let mut attacks: Vec<Loop<'_>> = attacks.collect();
    attacks.push(signing.attack(Attack::Signed, VIP));
    attacks.extend(
        refused
            .iter_mut()
            .map(|client| client.tcp(VIP).again_and_again()),
    );
    for report in expect_unharmed_by(attacks, &node, &servers) {
        assert!(attempts(&report) > 12, "{report:?}");
    }
    assert_eq!(known.agreed(), 0);
    assert!(known.counter(Counter::Failures) > 12);
}

/// In the namespaces of these clients every endpoint refuses. They agree, so their evidence counts
/// for all clients, but it ejects half of the endpoints at most.
#[test]
fn five_clients_whose_connects_all_fail_eject_half_of_the_endpoints_at_most() {
    let (node, servers, known) = attacks::shop::<4>();
    let names = ["1", "2", "3", "4", "5"].map(|number| format!("attacker{number}.service"));
    let attackers = names.map(|name| node.place().below(&name));
    let places = attackers.each_ref().map(Place::child);
    let mut clients = places.each_ref().map(Client::start);
    let attacks = clients
        .iter_mut()
        .map(|client| client.tcp(VIP).again_and_again());
    let attacks: Vec<Loop<'_>> = attacks.collect();
    // Checked before a victim connects, because its connects would be trials of ejected endpoints.
    wait::until("many failures", PATIENCE, || {
        known.counter(Counter::Failures) > 2_000
    });
    assert_eq!(known.agreed(), 2);
    let mut victim = Client::start(&node.place().below("victim.service"));
    while_attacked(attacks, || {
        let report = victim.tcp(VIP).times(CONNECTS);
        let answered = servers.iter().filter(|it| report.answers_of(it) > 0);
        assert_eq!(report.errors, counts([]));
        assert!(answered.count() >= 2, "{report:?}");
        assert!(known.agreed() <= 2, "at most half of four endpoints");
    });
}
