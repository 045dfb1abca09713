use super::*;
use crate::api::types::Severity;

fn well() -> AgentFacts {
    AgentFacts {
        cgroup: "/sys/fs/cgroup".into(),
        attached: true,
        abi: 8,
        pinned_abis: vec![8],
        ..AgentFacts::default()
    }
}

/// Returns id, severity and text of the findings that are not well.
fn wrong(facts: &AgentFacts) -> Vec<(String, Severity, String)> {
    let wrong = agent(facts)
        .into_iter()
        .filter(|finding| finding.severity != Severity::Ok);
    wrong
        .map(|finding| {
            assert!(!finding.remedy.is_empty(), "{finding:?}");
            (finding.id, finding.severity, finding.what)
        })
        .collect()
}

fn only(facts: &AgentFacts) -> (String, Severity, String) {
    let [one] = <[_; 1]>::try_from(wrong(facts)).expect("one finding");
    one
}

fn probe(hook: &str, state: &str, reason: &str) -> HookProbe {
    HookProbe {
        hook: hook.into(),
        state: state.into(),
        reason: reason.into(),
        last_success_unix_seconds: None,
    }
}

#[test]
fn nothing_is_wrong_with_a_healthy_agent() {
    let facts = AgentFacts {
        probes: vec![probe("connect4", "works", "")],
        programs: vec![HookPrograms {
            hook: "connect4".into(),
            programs: Some(vec![own()]),
        }],
        maps: vec![rows("SERVICES", 79)],
        ..well()
    };
    assert_eq!(wrong(&facts), []);
    let ids: Vec<_> = agent(&facts).into_iter().map(|it| it.id).collect();
    assert_eq!(
        ids,
        [
            "programs",
            "selfProbe/connect4",
            "kernelFeatures",
            "map/SERVICES",
            "mapLayout",
            "configuration"
        ]
    );
}

#[test]
fn programs_that_are_not_attached_are_an_error() {
    let facts = AgentFacts {
        attached: false,
        ..well()
    };
    assert_eq!(only(&facts).1, Severity::Error);
}

#[test]
fn hook_that_does_not_serve_is_an_error_and_one_without_a_probe_a_warning() {
    let facts = AgentFacts {
        probes: vec![
            probe("connect4", "fails", "192.0.0.8:7 is not translated"),
            probe("connect6", "unknown", "no IPv6"),
        ],
        ..well()
    };
    let what = |text: &str| text.to_owned();
    assert_eq!(
        wrong(&facts),
        [
            (
                what("selfProbe/connect4"),
                Severity::Error,
                what(
                    "connect4 does not serve processes in cgroup /sys/fs/cgroup: 192.0.0.8:7 is not translated"
                )
            ),
            (
                what("selfProbe/connect6"),
                Severity::Warning,
                what("connect6 cannot be probed: no IPv6")
            ),
        ]
    );
}

fn own() -> Program {
    Program {
        id: 7,
        is_own: true,
    }
}

#[test]
fn programs_of_others_are_listed_in_their_order() {
    let other = |id| Program { id, is_own: false };
    let at = |hook: &str| HookPrograms {
        hook: hook.into(),
        programs: Some(vec![other(3), own(), other(9)]),
    };
    let facts = AgentFacts {
        programs: vec![at("connect4"), at("sock_ops")],
        ..well()
    };
    let (id, severity, what) = only(&facts);
    assert_eq!(
        (id.as_str(), severity),
        ("programs/connect4", Severity::Warning)
    );
    let order = "they run in this order: program 3, this agent's (7), program 9";
    assert!(what.ends_with(order), "{what}");
}

#[test]
fn a_hook_of_which_the_kernel_tells_nothing_is_named() {
    let facts = AgentFacts {
        programs: vec![HookPrograms {
            hook: "sendmsg6".into(),
            programs: None,
        }],
        ..well()
    };
    assert_eq!(only(&facts).0, "programs/sendmsg6");
}

#[test]
fn a_missing_feature_says_what_is_different() {
    let facts = AgentFacts {
        kernel_features: vec!["the kernel lacks bpf_set_retval (Linux 5.18): EPERM".into()],
        ..well()
    };
    let (id, severity, what) = only(&facts);
    assert_eq!(
        (id.as_str(), severity),
        ("kernelFeatures", Severity::Warning)
    );
    assert_eq!(what, "the kernel lacks bpf_set_retval (Linux 5.18): EPERM");
}

fn rows(map: &str, used: u64) -> CapacityUse {
    CapacityUse {
        map: map.into(),
        used,
        capacity: 100,
    }
}

#[test]
fn a_map_is_nearly_full_from_eighty_percent_on() {
    for map in ["SERVICES", "SLOTS", "BACKENDS", "SOCKETS", "AFFINITY"] {
        let facts = |used| AgentFacts {
            maps: vec![rows(map, used)],
            ..well()
        };
        assert_eq!(wrong(&facts(79)), []);
        assert_eq!(
            only(&facts(80)),
            (
                format!("map/{map}"),
                Severity::Warning,
                format!("map {map} has 80 of 100 rows in use")
            )
        );
    }
}

#[test]
fn maps_of_another_layout_are_a_warning() {
    let facts = AgentFacts {
        pinned_abis: vec![7, 8],
        ..well()
    };
    assert_eq!(
        only(&facts),
        (
            "mapLayout".into(),
            Severity::Warning,
            "maps with row layout 7 are pinned beside those of this agent, 8".into()
        )
    );
}

#[test]
fn problems_errors_and_missing_capabilities_are_told() {
    let facts = AgentFacts {
        problems: vec!["program connect4 serves nothing".into()],
        errors: 2,
        degraded: vec!["sockets are not closed: that needs CAP_X; give it".into()],
        ..well()
    };
    let found = agent(&facts);
    let last = found.last().expect("findings");
    assert_eq!(
        (last.what.as_str(), last.remedy.as_str()),
        ("sockets are not closed: that needs CAP_X", "give it")
    );
    let ids: Vec<_> = wrong(&facts).into_iter().map(|it| (it.0, it.1)).collect();
    let expected = [
        ("dataPlane", Severity::Error),
        ("configuration", Severity::Warning),
        ("capabilities", Severity::Warning),
    ];
    assert_eq!(
        ids,
        expected.map(|(id, severity)| (id.to_owned(), severity))
    );
}
