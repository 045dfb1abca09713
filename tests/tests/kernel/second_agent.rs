//! Two agents for one pin directory, one cgroup or one state directory.

mod side_by_side;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Server, api, binary, bpftool,
    client::protocol::counts,
    command_result::CommandResult,
    node::{Directories, PATIENCE, SETTLE},
    pinned, service, wait,
};

/// A node that serves shop/cart at 10.96.0.10:80.
fn serving() -> (Node, Server) {
    let node = Node::start();
    let a = node.serve_cart();
    (node, a)
}

/// Directories of an agent that shares only the cgroup with the node's own.
fn beside(node: &Node) -> Directories {
    let pins = &node.directories().pins;
    let name = format!(
        "{}-second",
        pins.file_name().expect("it has a name").to_string_lossy()
    );
    let services = node.scratch().join("second-services");
    fs::create_dir_all(&services).expect("the directory is the test's own");
    Directories {
        cgroup: node.directories().cgroup.clone(),
        pins: pins.with_file_name(name),
        services,
        state: node.scratch().join("second-state"),
        socket: node.scratch().join("second.sock"),
    }
}

/// Everything that the second agent creates.
fn made(second: &Directories) -> Vec<&PathBuf> {
    [&second.pins, &second.state, &second.socket]
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

/// State of the first agent that a second could change.
fn state(node: &Node) -> impl PartialEq + std::fmt::Debug + use<> {
    let Directories {
        cgroup,
        pins,
        state,
        ..
    } = node.directories();
    let files: BTreeSet<_> = fs::read_dir(state)
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.file_name())
        .collect();
    (
        node.status().hooks,
        pinned::pins(pins),
        bpftool::attached_ids(cgroup),
        files,
        node.services(),
    )
}

/// Runs a second agent, which must exit at once, name `culprit` and leave nothing behind.
fn expect_it_leaves(node: &Node, second: &Directories, culprit: &str) {
    let (before, made_before) = (state(node), made(second));
    let outcome = CommandResult::of(&mut node.mesh_agent(second.run()), PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.took <= Duration::from_secs(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(outcome.stderr.contains(culprit), "{outcome:#?}");
    assert_eq!((state(node), made(second)), (before, made_before));
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
}

#[test]
fn a_second_agent_exits_within_a_second_and_changes_nothing() {
    let (node, _a) = serving();
    let pins = node.directories().pins.clone();
    expect_it_leaves(
        &node,
        &Directories {
            pins: pins.clone(),
            ..beside(&node)
        },
        &pins.display().to_string(),
    );
}

#[test]
fn a_second_agent_on_the_cgroup_exits_although_it_shares_no_directory() {
    let (node, _a) = serving();
    let culprit = format!(
        "mesh-agent uninstall --pin-dir {}",
        node.directories().pins.display()
    );
    expect_it_leaves(&node, &beside(&node), &culprit);
}

#[test]
fn a_second_agent_on_the_cgroup_exits_although_the_pins_of_the_first_are_hidden() {
    let (node, _a) = serving();
    // One level down, so that the first agent's directory is not beside this one.
    let second = beside(&node);
    let below = Directories {
        pins: second.pins.join("below"),
        ..second
    };
    expect_it_leaves(&node, &below, "kernel id");
}

#[test]
fn a_second_agent_without_sys_admin_finds_the_first_by_its_pins() {
    let (node, _a) = serving();
    let second = beside(&node);
    let before = state(&node);
    let mut command = node.place().command("setpriv");
    command
        .args(["--bounding-set", "-sys_admin"])
        .arg(binary::find("mesh-agent"))
        .args(second.run());
    let outcome = CommandResult::of(&mut command, PATIENCE);
    let culprit = format!("pinned in {}", node.directories().pins.display());
    assert!(
        outcome.code == Some(1) && outcome.stderr.contains(&culprit),
        "{outcome:#?}"
    );
    assert!(outcome.took <= Duration::from_secs(1), "{outcome:#?}");
    assert_eq!((state(&node), made(&second)), (before, vec![]));
}

#[test]
fn a_second_agent_on_the_cgroup_exits_although_the_first_is_dead() {
    let (mut node, _a) = serving();
    node.kill_agent();
    let outcome = CommandResult::of(&mut node.mesh_agent(beside(&node).run()), PATIENCE);
    assert_eq!(
        (outcome.code, made(&beside(&node))),
        (Some(1), vec![]),
        "{outcome:#?}"
    );
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
    // An agent with the same pin directory takes its programs over.
    node.start_agent();
}

#[test]
fn a_second_agent_on_the_state_directory_exits() {
    let (node, _a) = serving();
    let child = node.place().child();
    let state = node.directories().state.clone();
    let cgroup = child.cgroup.path().to_owned();
    expect_it_leaves(
        &node,
        &Directories {
            cgroup,
            state: state.clone(),
            ..beside(&node)
        },
        state.to_str().unwrap(),
    );
}

#[test]
fn an_agent_whose_socket_is_in_use_leaves_no_pins() {
    let (node, _a) = serving();
    let child = node.place().child();
    let socket = node.directories().socket.clone();
    let second = Directories {
        cgroup: child.cgroup.path().to_owned(),
        socket: socket.clone(),
        ..beside(&node)
    };
    expect_it_leaves(
        &node,
        &second,
        &format!("socket {}: another process answers", socket.display()),
    );
}

#[test]
fn uninstall_keeps_the_state_of_a_running_agent() {
    let (node, _a) = serving();
    let before = state(&node);
    let state_dir = node.directories().state.clone();
    let second = Directories {
        state: state_dir.clone(),
        ..beside(&node)
    };
    let outcome = CommandResult::of(&mut node.mesh_agent(second.uninstall()), PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(
        outcome.stderr.contains(state_dir.to_str().unwrap()),
        "{outcome:#?}"
    );
    assert_eq!(state(&node), before);
}
