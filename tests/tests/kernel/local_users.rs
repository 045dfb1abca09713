//! Unprivileged users of the machine: they cannot read, lock or replace the agent's files and pins.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mesh_tests::{
    Node, Server,
    client::protocol::counts,
    command_result::CommandResult,
    node::{Directories, PATIENCE},
    pinned, service,
    unprivileged::{NOBODY, as_nobody},
    wait,
};

/// The agent checks the links every few seconds.
const NOTICED: Duration = Duration::from_secs(8);

fn serving() -> (Node, Server) {
    let node = Node::start();
    let a = node.serve_cart();
    (node, a)
}

/// Returns owner and mode of a directory and of everything below it.
fn modes(directory: &Path) -> BTreeMap<PathBuf, (u32, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("its directory lists it");
        if metadata.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("root may")
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
        found.insert(
            path,
            (metadata.uid(), metadata.permissions().mode() & 0o7777),
        );
    }
    found
}

/// Expects the agent to exit at once with one sentence about the directory, and not to change it.
fn expect_refused(node: &Node, directories: &Directories, directory: &Path) {
    let before = modes(directory);
    let outcome = CommandResult::of(&mut node.mesh_agent(directories.run()), PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(
        outcome.stderr.contains(&*directory.to_string_lossy()),
        "{outcome:#?}"
    );
    assert_eq!(modes(directory), before);
}

#[test]
fn a_pin_directory_that_a_user_made_is_refused() {
    let node = Node::setup().prepare();
    let pins = &node.directories().pins;
    CommandResult::of(
        as_nobody(Command::new("mkdir").arg("-m").arg("755").arg(pins)),
        PATIENCE,
    )
    .expect_success();
    expect_refused(&node, node.directories(), pins);
}

#[test]
fn a_pin_directory_below_one_that_a_user_may_change_is_refused() {
    let node = Node::setup().prepare();
    let theirs = node.directories().pins.clone();
    CommandResult::of(as_nobody(Command::new("mkdir").arg(&theirs)), PATIENCE).expect_success();
    let below = Directories {
        pins: theirs.join("below"),
        ..node.directories().clone()
    };
    expect_refused(&node, &below, &theirs);
}

#[test]
fn a_pin_directory_that_is_a_link_of_a_user_is_refused() {
    let node = Node::setup().prepare();
    let pins = node.directories().pins.clone();
    let target = pins.with_file_name(format!(
        "{}-target",
        pins.file_name().unwrap().to_str().unwrap()
    ));
    fs::create_dir(&target).unwrap();
    let mut link = Command::new("ln");
    CommandResult::of(as_nobody(link.arg("-s").arg(&target).arg(&pins)), PATIENCE).expect_success();
    expect_refused(&node, node.directories(), &pins);
    fs::remove_file(&pins).unwrap();
    fs::remove_dir(&target).unwrap();
}

#[test]
fn a_pin_directory_that_users_may_write_to_is_refused() {
    let node = Node::setup().prepare();
    let pins = &node.directories().pins;
    fs::create_dir(pins).unwrap();
    fs::set_permissions(pins, fs::Permissions::from_mode(0o777)).unwrap();
    expect_refused(&node, node.directories(), pins);
}

#[test]
fn a_state_directory_of_a_user_is_refused() {
    let node = Node::setup().prepare();
    let state = &node.directories().state;
    chown(state, Some(NOBODY), Some(NOBODY)).unwrap();
    expect_refused(&node, node.directories(), state);
}

#[test]
fn pins_and_state_are_closed_to_users_even_if_an_earlier_agent_left_them_open() {
    let node = Node::setup().prepare();
    let Directories { pins, state, .. } = node.directories();
    for directory in [pins, state] {
        fs::create_dir_all(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut node = node;
    node.start_agent();
    let a = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart").address("auto").tcp(80).endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    node.meshctl(&format!("backend drain shop/cart {} --force", a.address()))
        .expect_success();
    let Directories { pins, state, .. } = node.directories();
    let open = |directory: &Path| -> BTreeMap<PathBuf, (u32, u32)> {
        modes(directory)
            .into_iter()
            .filter(|(_, (owner, mode))| *owner != 0 || mode & 0o077 != 0)
            .collect()
    };
    assert_eq!(
        (open(pins), open(state)),
        (BTreeMap::new(), BTreeMap::new())
    );
    let names = ["addresses.json", "files", "lock", "overrides.json"];
    for name in names {
        assert!(
            modes(state).keys().any(|path| path.ends_with(name)),
            "{name} is not among {:?}",
            modes(state)
        );
    }
}

/// Processes of a user that try to hold `flock`s; ended when dropped.
struct Locks(Vec<Child>);

impl Locks {
    fn on(paths: &[&Path]) -> Self {
        let lock = |path: &&Path| {
            let mut command = Command::new("flock");
            command
                .arg("--shared")
                .arg(path)
                .args(["sh", "-c", "echo held; exec sleep 60"]);
            let mut child = as_nobody(command.stdout(Stdio::piped()).stderr(Stdio::null()))
                .spawn()
                .expect("flock");
            // The process prints a word when it holds the lock, and ends when it cannot take it.
            let mut word = String::new();
            let stdout = child.stdout.as_mut().expect("it is piped");
            BufReader::new(stdout)
                .read_line(&mut word)
                .expect("the process prints a word or ends");
            child
        };
        Self(paths.iter().map(lock).collect())
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It is this process's child, and not yet reaped: no other process can be hit.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

#[test]
fn locks_of_users_block_neither_the_next_agent_nor_uninstall() {
    let (mut node, _a) = serving();
    let Directories {
        cgroup,
        pins,
        state,
        ..
    } = node.directories().clone();
    node.kill_agent();
    // Lets the user reach the state directory.
    fs::set_permissions(node.scratch(), fs::Permissions::from_mode(0o755)).unwrap();
    let _locks = Locks::on(&[
        &cgroup,
        &pins,
        &pins.join("lock"),
        &pins.join("links"),
        &state,
        &state.join("lock"),
    ]);
    node.start_agent();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
    node.stop_agent();
    node.uninstall().expect_success();
    assert!(!pins.exists());
}

#[test]
fn links_whose_pins_are_removed_still_serve_and_are_pinned_again() {
    let (mut node, _a) = serving();
    let pins = node.directories().pins.clone();
    let before = (pinned::pins(&pins), node.status().hooks);
    let links: Vec<PathBuf> = fs::read_dir(pins.join("links"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(links.len(), 10);
    links.iter().for_each(|link| fs::remove_file(link).unwrap());
    let mut client = node.client();
    let now = || (pinned::pins(&pins), node.status().hooks);
    wait::until("the links to be pinned again", NOTICED, || {
        assert_eq!(
            client.tcp("10.96.0.10:80").once().answers,
            counts([("a", 1)])
        );
        now() == before
    });
    wait::until("the agent to log it", PATIENCE, || {
        node.log()
            .contains("links were unpinned by another process; pinned again")
    });
    node.kill_agent();
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
}

#[test]
fn links_that_cannot_be_pinned_again_are_a_problem() {
    let (node, _a) = serving();
    let links = node.directories().pins.join("links");
    fs::remove_dir_all(&links).unwrap();
    symlink("/nowhere", &links).unwrap();
    wait::until("the agent to report it", NOTICED, || {
        let status = node.status();
        !status.ready
            && status
                .problems
                .iter()
                .any(|problem| problem.contains("is not pinned"))
    });
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
    fs::remove_file(&links).unwrap();
    wait::until("the links to be pinned", NOTICED, || node.status().ready);
}
