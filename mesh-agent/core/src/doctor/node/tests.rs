use super::*;
use crate::api::types::Severity;

fn well() -> NodeFacts {
    NodeFacts {
        kernel: "6.12.0-1-amd64".into(),
        clock: ClockFacts {
            is_synchronised: Some(true),
            jumped_seconds: 0,
        },
        paths: vec![at(PathKind::PinDirectory, Some((0, 0o40700)))],
        cgroups: Some(CgroupFacts {
            served: "/sys/fs/cgroup".into(),
            is_root: true,
            v1_socket_controllers: vec![],
        }),
        neighbours: vec![],
    }
}

fn at(kind: PathKind, owner_and_mode: Option<(u32, u32)>) -> Path {
    Path {
        kind,
        path: "/x".into(),
        owner_and_mode,
    }
}

fn wrong(facts: &NodeFacts) -> Vec<(String, Severity)> {
    let wrong = node(facts)
        .into_iter()
        .filter(|finding| finding.severity != Severity::Ok);
    wrong
        .map(|finding| {
            assert!(!finding.remedy.is_empty(), "{finding:?}");
            (finding.id, finding.severity)
        })
        .collect()
}

#[test]
fn nothing_is_wrong_with_a_healthy_node() {
    assert_eq!(wrong(&well()), []);
}

#[test]
fn a_clock_that_is_not_synchronised_or_jumped_is_a_warning() {
    let clock = |is_synchronised, jumped_seconds| {
        wrong(&NodeFacts {
            clock: ClockFacts {
                is_synchronised,
                jumped_seconds,
            },
            ..well()
        })
    };
    assert_eq!(clock(None, 5), []);
    assert_eq!(clock(Some(false), 0), [("clock".into(), Severity::Warning)]);
    for jump in [6, -3600] {
        assert_eq!(
            clock(Some(true), jump),
            [("clockJump".into(), Severity::Warning)]
        );
    }
}

#[test]
fn what_other_users_can_write_or_what_is_missing_is_an_error() {
    let path = |kind, owner_and_mode| {
        wrong(&NodeFacts {
            paths: vec![at(kind, owner_and_mode)],
            ..well()
        })
    };
    let socket = PathKind::Socket;
    // A group may be allowed to use the socket.
    assert_eq!(path(socket, Some((0, 0o140_660))), []);
    for (kind, id, bad) in [
        (socket, "socket", Some((0, 0o140_666))),
        (socket, "socket", None),
        (PathKind::PinDirectory, "pinDirectory", Some((0, 0o40_770))),
        (
            PathKind::PinDirectory,
            "pinDirectory",
            Some((1000, 0o40_700)),
        ),
        (
            PathKind::StateDirectory,
            "stateDirectory",
            Some((0, 0o40_702)),
        ),
        (PathKind::StateDirectory, "stateDirectory", None),
    ] {
        assert_eq!(
            path(kind, bad),
            [(id.to_owned(), Severity::Error)],
            "{bad:?}"
        );
    }
}

#[test]
fn a_part_of_the_hierarchy_and_socket_controllers_of_v1_are_warnings() {
    let cgroups = |is_root, controllers: &[&str]| {
        wrong(&NodeFacts {
            cgroups: Some(CgroupFacts {
                served: "/sys/fs/cgroup/pod".into(),
                is_root,
                v1_socket_controllers: controllers.iter().map(|&it| it.to_owned()).collect(),
            }),
            ..well()
        })
    };
    assert_eq!(cgroups(false, &[]), [("cgroup".into(), Severity::Warning)]);
    assert_eq!(
        cgroups(true, &["net_cls"]),
        [("cgroupV1".into(), Severity::Warning)]
    );
}
