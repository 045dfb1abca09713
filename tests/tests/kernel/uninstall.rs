//! Uninstalling leaves nothing behind.

use std::collections::BTreeSet;

use mesh_tests::{
    Node, binary, bpftool,
    client::protocol::counts,
    command_result::CommandResult,
    node::{Directories, PATIENCE},
    pinned::{self, Held},
    unprivileged::{as_nobody, open_copy, open_directory},
    wait,
};

#[test]
fn uninstall_leaves_no_link_no_program_no_map_and_no_pin() {
    let mut node = Node::start();
    let _server = node.serve_cart();
    let hooks = node.status().hooks;
    let programs: BTreeSet<_> = hooks.iter().map(|hook| hook.program_id).collect();
    let links: BTreeSet<_> = hooks.iter().map(|hook| hook.link_id).collect();
    let maps = Held::now().maps_of(&programs);
    assert!(
        ![&programs, &links, &maps].iter().any(|ids| ids.is_empty()),
        "{programs:?} {links:?} {maps:?}"
    );
    node.stop_agent();

    let outcome = node.uninstall().expect_success();

    assert_eq!(outcome.stderr, "");
    assert_eq!(pinned::pins(&node.directories().pins), BTreeSet::new());
    assert!(!node.directories().pins.exists());
    assert_eq!(
        bpftool::attached(&node.directories().cgroup),
        BTreeSet::new()
    );
    assert_eq!(
        node.client().tcp("10.96.0.10:80").once().errors,
        counts([("connect ENETUNREACH", 1)])
    );
    // The kernel frees unused objects a little later.
    wait::until_equal("objects of the agent", PATIENCE, &Held::default(), || {
        Held::now().only(&programs, &maps, &links)
    });
}

#[test]
fn uninstall_leaves_foreign_pins() {
    let mut node = Node::start();
    node.stop_agent();
    let other = node.directories().pins.join("other");
    std::fs::create_dir(&other).expect("a bpffs takes directories");
    node.uninstall().expect_success();
    let left = pinned::pins(&node.directories().pins);
    assert_eq!((other.exists(), left), (true, BTreeSet::new()));
    std::fs::remove_dir(&other).expect("it is empty");
    node.uninstall().expect_success();
    assert!(!node.directories().pins.exists());
}

#[test]
fn uninstall_without_an_installation_succeeds() {
    let node = Node::setup().prepare();
    node.uninstall().expect_success();
}

#[test]
fn uninstall_with_the_wrong_pin_directory_names_the_programs_and_removes_nothing() {
    let mut node = Node::start();
    node.stop_agent();
    let Directories {
        cgroup,
        pins,
        state,
        socket,
        ..
    } = node.directories().clone();
    let wrong = Directories {
        pins: pins.with_extension("wrong"),
        ..node.directories().clone()
    };
    let before = (pinned::pins(&pins), bpftool::attached(&cgroup));
    let outcome = CommandResult::of(&mut node.mesh_agent(wrong.uninstall()), PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let advice = format!("mesh-agent uninstall --pin-dir {}", pins.display());
    let words = [
        "nothing was removed",
        "sock_release",
        &cgroup.display().to_string(),
        &advice,
    ];
    assert!(
        words.iter().all(|word| outcome.stderr.contains(word)),
        "{outcome:#?}"
    );
    assert_eq!((pinned::pins(&pins), bpftool::attached(&cgroup)), before);
    assert_eq!((state.join("lock").exists(), socket.exists()), (true, true));
    // With the right directory it succeeds.
    assert_eq!(node.uninstall().expect_success().code, Some(0));
    // The kernel detaches an unpinned link later, in a work queue.
    wait::until_equal("programs to be detached", PATIENCE, &Some(0), || {
        CommandResult::of(&mut node.mesh_agent(wrong.uninstall()), PATIENCE).code
    });
}

#[test]
fn uninstall_prints_what_it_removed() {
    let mut node = Node::start();
    let Directories {
        pins,
        state,
        socket,
        ..
    } = node.directories().clone();
    node.stop_agent();
    let advice = format!(
        "mesh-agent uninstall --pin-dir {} --state-dir {}",
        pins.display(),
        state.display()
    );
    assert!(node.log().contains(&advice), "{}", node.log());
    let outcome = node.uninstall().expect_success();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let [kernel, files, left] = lines[..] else {
        panic!("{outcome:#?}")
    };
    assert!(
        kernel.starts_with("removed 10 programs and ") && kernel.ends_with(pins.to_str().unwrap()),
        "{kernel}"
    );
    assert!(
        files.starts_with(&format!("removed from {}: ", state.display()))
            && files.ends_with("lock"),
        "{files}"
    );
    assert_eq!(left, format!("removed {}", socket.display()));
    let again = node.uninstall().expect_success().stdout;
    let nothing = format!(
        "no agent left pins in {} or files in {}",
        pins.display(),
        state.display()
    );
    assert_eq!(again, format!("nothing to remove: {nothing}\n"));
}

#[test]
fn uninstall_refuses_while_an_agent_runs_and_without_root() {
    let node = Node::start();
    let outcome = node.uninstall();
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(
        outcome.stderr.contains("is running: stop it first"),
        "{outcome:#?}"
    );
    let open = node.scratch().join("open");
    open_directory(node.scratch());
    open_directory(&open);
    let mut command = node
        .place()
        .command(open_copy(&binary::find("mesh-agent"), &open));
    let outcome = CommandResult::of(
        as_nobody(command.args(node.directories().uninstall())),
        PATIENCE,
    );
    assert_eq!(
        (outcome.code, outcome.stderr.contains("as root")),
        (Some(1), true),
        "{outcome:#?}"
    );
}

#[test]
fn a_node_can_be_installed_again() {
    let mut node = Node::start();
    node.stop_agent();
    node.uninstall().expect_success();
    node.start_agent();
    let _server = node.serve_cart();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").once().answers,
        counts([("a", 1)])
    );
}
