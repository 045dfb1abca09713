//! A machine that lacks a requirement: the agent exits at once and names it in one sentence.

use std::{ffi::OsString, fs, process::Command, time::Duration};

use mesh_tests::{
    Node, binary,
    command_result::CommandResult,
    node::{Directories, PATIENCE},
    unprivileged::{as_nobody, open_copy, open_directory, without_capabilities},
};

/// Settings that a file may have.
const KNOWN: &str = "services, kubernetes, kubeconfig, cgroup, pinDir, socket, metrics, stateDir, nodeName, cloud, region, zone, vipPool, serviceCidr, \
                     externalCidr, nodePortRange, quotaPerService, quotaPerNamespace, allowEmpty, allowSecondAgent, \
                     serve, excludeCgroup, excludeNetns, enterNamespaces, resyncInterval, maxServices, maxBackends, \
                     maxSockets, maxSocketsPerClient, healthChecks, metricsTokenFile, socketGroup, \
                     adminGroup, systemCallFilter";

/// Expects the agent to exit within a second, with one sentence that contains each of these words.
fn expect_sentence(command: &mut Command, words: &[&str]) {
    let outcome = CommandResult::of(command, PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.took < Duration::from_secs(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(
        words.iter().all(|word| outcome.stderr.contains(word)),
        "{words:?} in {outcome:#?}"
    );
}

#[test]
fn a_directory_that_is_no_cgroup_is_named() {
    let node = Node::setup().prepare();
    let cgroup = node.scratch().join("no-cgroup");
    fs::create_dir(&cgroup).unwrap();
    let wrong = Directories {
        cgroup: cgroup.clone(),
        ..node.directories().clone()
    };
    expect_sentence(
        &mut node.mesh_agent(wrong.run()),
        &["cgroup2", cgroup.to_str().unwrap()],
    );
}

#[test]
fn a_pin_directory_off_the_bpffs_is_named() {
    let node = Node::setup().prepare();
    let pins = node.scratch().join("no-bpffs");
    let wrong = Directories {
        pins: pins.clone(),
        ..node.directories().clone()
    };
    expect_sentence(
        &mut node.mesh_agent(wrong.run()),
        &["bpffs", pins.to_str().unwrap()],
    );
}

#[test]
fn an_agent_of_root_without_capabilities_names_the_missing_ones() {
    let node = Node::setup().prepare();
    let mut command = node.mesh_agent(node.directories().run());
    expect_sentence(
        without_capabilities(&mut command),
        &["CAP_BPF", "CAP_NET_ADMIN"],
    );
}

#[test]
fn wrong_flags_variables_and_settings_are_reported_together() {
    let node = Node::setup().prepare();
    let file = node.scratch().join("agent.yaml");
    fs::write(&file, "metrics: 9090\nzoen: a\n").unwrap();
    let words = [
        "run",
        "--cgruop",
        "/x",
        "--config",
        file.to_str().unwrap(),
        "--max-services",
        "0",
        "--zone",
    ];
    let mut command = node.mesh_agent(words.map(OsString::from));
    let outcome = CommandResult::of(
        command.env("MESH_SERVE", "some").env("MESH_STATE_DIR", ""),
        PATIENCE,
    );
    let file = file.display();
    let expected = [
        "--cgruop: unknown flag; did you mean --cgroup?".to_owned(),
        "--zone (or MESH_ZONE): empty: give it a value, or leave it out".to_owned(),
        format!("{file}:1: metrics: expected text, found `9090`"),
        format!("{file}:2: zoen: unknown field; known here: {KNOWN}"),
        "--serve (or MESH_SERVE): expected all or annotated, found `some`".to_owned(),
        "--max-services (or MESH_MAX_SERVICES): expected a whole number from 1 to 8388608, found `0`".to_owned(),
        "--state-dir (or MESH_STATE_DIR): empty: give it a value, or leave it out".to_owned(),
    ];
    let expected = expected
        .map(|line| format!("mesh-agent: {line}\n"))
        .concat();
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (Some(2), expected.as_str())
    );
}

#[test]
fn an_agent_of_an_unprivileged_user_names_the_missing_capabilities() {
    let node = Node::setup().prepare();
    let open = node.scratch().join("open");
    // Only privileges are missing.
    let directories = Directories {
        services: open.join("services"),
        state: open.join("state"),
        socket: open.join("agent.sock"),
        ..node.directories().clone()
    };
    for directory in [
        node.scratch(),
        &open,
        &directories.services,
        &directories.state,
    ] {
        open_directory(directory);
    }
    let mut command = node
        .place()
        .command(open_copy(&binary::find("mesh-agent"), &open));
    expect_sentence(
        as_nobody(command.args(directories.run())),
        &["CAP_BPF", "CAP_NET_ADMIN"],
    );
}
