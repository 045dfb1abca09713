//! A machine that lacks something: one sentence that says what, at once.

use std::{fs, process::Command, time::Duration};

use mesh_tests::{
    Node, binary,
    nobody::{as_nobody, open_copy, open_directory, without_capabilities},
    node::{Directories, PATIENCE},
    outcome::Outcome,
};

/// The agent must give up within a second, with one sentence that has each of these words in it.
fn expect_sentence(command: &mut Command, words: &[&str]) {
    let outcome = Outcome::of(command, PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.took < Duration::from_secs(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{words:?} in {outcome:#?}");
}

#[test]
fn a_directory_that_is_no_cgroup_is_named() {
    let node = Node::setup().prepare();
    let cgroup = node.scratch().join("no-cgroup");
    fs::create_dir(&cgroup).unwrap();
    let wrong = Directories { cgroup: cgroup.clone(), ..node.directories().clone() };
    expect_sentence(&mut node.mesh_agent(wrong.run()), &["cgroup2", cgroup.to_str().unwrap()]);
}

#[test]
fn a_pin_directory_off_the_bpffs_is_named() {
    let node = Node::setup().prepare();
    let pins = node.scratch().join("no-bpffs");
    let wrong = Directories { pins: pins.clone(), ..node.directories().clone() };
    expect_sentence(&mut node.mesh_agent(wrong.run()), &["bpffs", pins.to_str().unwrap()]);
}

#[test]
fn root_without_capabilities_is_told_which_it_needs() {
    let node = Node::setup().prepare();
    let mut command = node.mesh_agent(node.directories().run());
    expect_sentence(without_capabilities(&mut command), &["CAP_BPF", "CAP_NET_ADMIN"]);
}

#[test]
fn nobody_is_told_which_capabilities_it_needs() {
    let node = Node::setup().prepare();
    let open = node.scratch().join("open");
    // Nothing but privilege is missing.
    let directories = Directories {
        services: open.join("services"),
        state: open.join("state"),
        socket: open.join("agent.sock"),
        ..node.directories().clone()
    };
    for directory in [node.scratch(), &open, &directories.services, &directories.state] {
        open_directory(directory);
    }
    let mut command = node.place().command(open_copy(&binary::find("mesh-agent"), &open));
    expect_sentence(as_nobody(command.args(directories.run())), &["CAP_BPF", "CAP_NET_ADMIN"]);
}
