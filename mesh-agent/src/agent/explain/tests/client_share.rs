//! Explanations of a service that limits the share of each client.

use mesh_common::abi::ShareKey;

use super::*;

#[test]
fn client_at_its_share_is_refused_and_others_are_not() {
    let mut service = two();
    let connections = std::num::NonZeroU32::new(20);
    service.traffic.limits = Limits {
        connections,
        percent_per_client: Some(25),
        ..Limits::default()
    };
    let mut scene = Scene::of(service);
    scene.counters.shares.insert(
        ShareKey {
            service: 0,
            client: OWN,
        },
        4,
    );
    assert_eq!(
        scene.ask(VIP).verdict,
        "answered",
        "replayed connects release what they hold"
    );
    scene.counters.shares.insert(
        ShareKey {
            service: 0,
            client: OWN,
        },
        5,
    );
    let explanation = scene.ask(VIP);
    assert_eq!(
        explanation.reason,
        "the client holds its share of the service: 5 of 20 connections"
    );
    assert_eq!(
        (destinations(&explanation), explanation.notes),
        (vec!["refused_share 100".to_owned()], vec![])
    );
    let other = scene.ask_as(
        VIP,
        &Client {
            id: Some(OWN + 1),
            ..Client::default()
        },
    );
    assert_eq!(other.verdict, "answered");
    let note = "a client that holds 5 connections is refused: --from cgroup:PATH shows how the pod or unit there sees the \
                service";
    assert_eq!(scene.ask_as(VIP, &Client::default()).notes, [note]);
}
