//! A machine that lacks something: one sentence that says what, at once.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    time::Duration,
};

use mesh_tests::{
    Node, binary,
    node::{Directories, PATIENCE},
    outcome::Outcome,
};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// `nobody` and `nogroup`, wherever they have a name.
const NOBODY: u32 = 65_534;

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
    // SAFETY: only system calls.
    unsafe { command.pre_exec(drop_capabilities) };
    expect_sentence(&mut command, &["CAP_BPF", "CAP_NET_ADMIN"]);
}

#[test]
fn nobody_is_told_which_capabilities_it_needs() {
    let node = Node::setup().prepare();
    let (program, directories) = open_to_everybody(&node);
    let mut command = node.place().command(program);
    command.args(directories.run());
    // SAFETY: only system calls. It comes after those that need privilege.
    unsafe { command.pre_exec(become_nobody) };
    expect_sentence(&mut command, &["CAP_BPF", "CAP_NET_ADMIN"]);
}

/// The agent and its directories where nobody may use them, so that nothing but privilege is missing.
fn open_to_everybody(node: &Node) -> (std::path::PathBuf, Directories) {
    let open = node.scratch().join("open");
    let directories = Directories {
        services: open.join("services"),
        state: open.join("state"),
        socket: open.join("agent.sock"),
        ..node.directories().clone()
    };
    for directory in [&open, &directories.services, &directories.state] {
        fs::create_dir(directory).expect("the parent is new");
        allow_everything(directory);
    }
    allow_everything(node.scratch());
    let program = open.join("mesh-agent");
    // A child copies: a descriptor open for writing in this process could be inherited by some other test's child,
    // and then the kernel refuses to run the file.
    let mut copy = Command::new("cp");
    Outcome::of(copy.arg(binary::find("mesh-agent")).arg(&program), PATIENCE).expect_success();
    (program, directories)
}

fn allow_everything(directory: &Path) {
    fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("root may");
}

fn become_nobody() -> io::Result<()> {
    setgroups(&[])?;
    setgid(Gid::from_raw(NOBODY))?;
    setuid(Uid::from_raw(NOBODY))?;
    Ok(())
}

/// Empties the bounding set, so that even root has none after exec.
fn drop_capabilities() -> io::Result<()> {
    // CAP_LAST_CAP is 40 since Linux 5.9; the kernel refuses numbers that it does not know.
    for capability in 0..=63 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) };
    }
    Ok(())
}
