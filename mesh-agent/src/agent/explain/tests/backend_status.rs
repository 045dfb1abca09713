//! The status and reason of each backend.

use super::*;

/// Ejected for 8.2 s more.
const EJECTED: Health = Health {
    state: State::Ejected,
    until: 108_200,
    streak: 0,
    ejections: 1,
};

#[test]
fn ejected_backend_shows_the_time_left_and_gets_no_connects() {
    let mut scene = Scene::of(two());
    scene.load(1, 0, EJECTED);
    let explanation = scene.ask(VIP);
    let expected = [
        "10.0.0.1:80: ejected for 8.2 s more after 3 failures",
        "10.0.0.2:80: usable",
    ];
    assert_eq!(reasons(&explanation), expected);
    assert_eq!(
        (
            destinations(&explanation),
            explanation.tiers[0].usable_percent
        ),
        (vec!["10.0.0.2:80 100".into()], 50.0)
    );
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 99_000,
            streak: 0,
            ejections: 1,
        },
    );
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation)[0],
        "10.0.0.1:80: its ejection is over: one trial connect may reach it"
    );
    let trials = explanation
        .counted
        .iter()
        .find(|it| it.counter == "trials")
        .unwrap();
    let went: Vec<(Option<&str>, f64, bool)> = explanation
        .outcomes
        .iter()
        .map(|it| (it.endpoint.as_deref(), it.percent, it.trial))
        .collect();
    let expected = [
        (Some("10.0.0.2:80"), 99.9, false),
        (Some("10.0.0.1:80"), 0.1, true),
    ];
    assert_eq!(
        (went.as_slice(), trials.percent),
        (expected.as_slice(), 0.1),
        "exactly one connect is the trial"
    );
    scene.load(
        1,
        0,
        Health {
            state: State::Ejected,
            until: 108_200,
            streak: 0,
            ejections: 3,
        },
    );
    assert_eq!(
        reasons(&scene.ask(VIP))[0],
        "10.0.0.1:80: ejected for 8.2 s more, 3 times in a row by now"
    );
    let on_probation = Health {
        state: State::Probation,
        until: 100_500,
        streak: 2,
        ejections: 0,
    };
    scene.load(1, LIVE + CONNECTING, on_probation);
    let expected = "10.0.0.1:80: on probation: 2 of 3 failures that eject it, and 1 connecting";
    assert_eq!(reasons(&scene.ask(VIP))[0], expected);
}

#[test]
fn agreed_ejection_is_shown_apart_from_the_ejection_of_one_client() {
    let mut scene = Scene::of(two());
    scene.load(1, 0, EJECTED);
    let unknown_client = scene.ask_as(VIP, &Client::default());
    assert_eq!(reasons(&unknown_client)[0], "10.0.0.1:80: usable");
    let note = "10.0.0.1:80 is ejected for 1 client alone: --from cgroup:PATH shows how the pod or unit there sees the service";
    assert_eq!(unknown_client.notes, [note]);
    let index = scene.index(1);
    let agreement = Agreement {
        standing: Standing::Ejected,
        until: 104_000,
        ejections: 1,
        voter: 0,
    };
    scene.counters.evidence.get_mut(&index).unwrap().agreement = agreement;
    let unknown_client = scene.ask_as(VIP, &Client::default());
    assert_eq!(
        reasons(&unknown_client)[0],
        "10.0.0.1:80: ejected for 4.0 s more: clients agree that it fails"
    );
    assert_eq!(destinations(&unknown_client), ["10.0.0.2:80 100"]);
    assert_eq!(
        reasons(&scene.ask(VIP))[0],
        "10.0.0.1:80: ejected for 8.2 s more after 3 failures"
    );
}

#[test]
fn last_endpoint_stays_usable_after_failures_that_eject_others() {
    let mut scene = Scene::of(cart(&[("10.0.0.1:80", 1)]));
    scene.load(
        1,
        0,
        Health {
            state: State::Failing,
            until: 99_000,
            streak: 3,
            ejections: 0,
        },
    );
    let shown = reasons(&scene.ask(VIP));
    assert_eq!(
        shown,
        [
            "10.0.0.1:80: usable; failed 3 times in a row, not ejected because no other endpoint is left"
        ]
    );
}

#[test]
fn full_backend_and_full_service_have_a_reason() {
    let mut service = two();
    service.traffic.limits = Limits {
        connections_per_endpoint: std::num::NonZeroU32::new(5),
        ..Limits::default()
    };
    let mut scene = Scene::of(service.clone());
    scene.load(1, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation)[0],
        "10.0.0.1:80: full: 5 of 5 connections"
    );
    assert_eq!(destinations(&explanation), ["10.0.0.2:80 100"]);
    assert!(
        explanation
            .counted
            .iter()
            .any(|it| it.counter == "overflows")
    );
    scene.load(2, 5, Health::default());
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("refused", "every usable endpoint is full")
    );
    assert_eq!(destinations(&explanation), ["refused_limit 100"]);
    service.traffic.limits = Limits {
        connections: std::num::NonZeroU32::new(7),
        ..Limits::default()
    };
    let mut scene = Scene::of(service);
    scene.counters.loads.insert(
        0,
        ServiceLoad {
            connections: 7,
            turn: 0,
        },
    );
    assert_eq!(
        scene.ask(VIP).reason,
        "the service is full: 7 of 7 connections"
    );
    scene.counters.loads.insert(
        0,
        ServiceLoad {
            connections: 6,
            turn: 0,
        },
    );
    assert_eq!(
        scene.ask(VIP).verdict,
        "answered",
        "replayed connects release what they hold"
    );
}

#[test]
fn backend_that_is_down_gets_no_connects() {
    let mut scene = Scene::of(two());
    let (one, two) = (scene.index(1), scene.index(2));
    scene.tables.backends.get_mut(&one).unwrap().state = backend_state::DOWN;
    let explanation = scene.ask(VIP);
    assert_eq!(
        reasons(&explanation),
        ["10.0.0.1:80: notReady", "10.0.0.2:80: usable"]
    );
    assert_eq!(destinations(&explanation), ["10.0.0.2:80 100"]);
    scene.tables.backends.get_mut(&two).unwrap().state = backend_state::DRAINING;
    let explanation = scene.ask(VIP);
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("refused", "no endpoint is usable")
    );
    assert_eq!(Scene::of(cart(&[])).ask(VIP).reason, "no endpoint");
}
