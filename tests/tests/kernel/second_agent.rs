//! Two agents for one pin directory, one cgroup or one state directory.

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
    let a = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
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
fn a_second_agent_gives_up_within_a_second_and_touches_nothing() {
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
fn a_second_agent_on_the_cgroup_leaves_though_all_its_directories_are_others() {
    let (node, _a) = serving();
    let culprit = format!(
        "mesh-agent uninstall --pin-dir {}",
        node.directories().pins.display()
    );
    expect_it_leaves(&node, &beside(&node), &culprit);
}

#[test]
fn a_second_agent_on_the_cgroup_leaves_though_the_pins_of_the_first_are_hidden() {
    let (node, _a) = serving();
    // One level down, where the first agent's directory is not beside it.
    let second = beside(&node);
    let below = Directories {
        pins: second.pins.join("below"),
        ..second
    };
    expect_it_leaves(&node, &below, "kernel id");
}

#[test]
fn a_second_agent_without_sys_admin_knows_the_first_by_its_pins() {
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
fn a_second_agent_on_the_cgroup_leaves_though_the_first_is_dead() {
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
    // The agent that attached them adopts its programs.
    node.start_agent();
}

#[test]
fn a_second_agent_on_the_state_directory_leaves() {
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
fn an_agent_whose_socket_is_used_leaves_no_pins() {
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
fn uninstall_leaves_the_state_of_a_running_agent() {
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

/// An agent beside the node's own; it ends and is uninstalled with the test.
struct Second<'a> {
    node: &'a Node,
    directories: Directories,
    process: Child,
}

impl<'a> Second<'a> {
    fn start(node: &'a Node, directories: Directories, flags: &[&str]) -> Self {
        let mut command = node.mesh_agent(directories.run());
        let process = command
            .args(flags)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self {
            node,
            directories,
            process,
        }
    }

    fn serves(&self, service: &str) -> bool {
        let answer = api::get(&self.directories.socket, &format!("/v1/services/{service}"));
        let status = api::get(&self.directories.socket, "/v1/status");
        let is_ready =
            status.is_ok_and(|status| status.json::<mesh_core::api::types::Status>().ready);
        is_ready && answer.is_ok_and(|answer| answer.code == 200)
    }

    fn has_left(&mut self) -> bool {
        self.process
            .try_wait()
            .expect("it is this process's child")
            .is_some()
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.process.kill();
        _ = self.process.wait();
        // The state may be the other agent's, which still runs.
        let own = Directories {
            state: self.node.scratch().join("no-state"),
            ..self.directories.clone()
        };
        _ = CommandResult::of(&mut self.node.mesh_agent(own.uninstall()), PATIENCE);
    }
}

#[test]
fn a_second_agent_starts_when_it_is_told_that_it_may() {
    let (node, _a) = serving();
    let b = node.server("b");
    let second = Directories {
        state: node.directories().state.clone(),
        ..beside(&node)
    };
    let pay = service("shop/pay")
        .address("10.96.0.11")
        .tcp(80)
        .endpoint(&b);
    fs::write(second.services.join("pay.yaml"), pay.to_string()).unwrap();
    let second = Second::start(&node, second, &["--allow-second-agent"]);
    wait::until("the second agent to serve", PATIENCE, || {
        second.serves("shop/pay")
    });
    let mut client = node.client();
    assert_eq!(
        client.tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
    assert_eq!(
        client.tcp("10.96.0.11:80").times(10).answers,
        counts([("b", 10)])
    );
}

#[test]
fn of_two_agents_that_start_at_the_same_time_one_stays() {
    for _ in 0..3 {
        let node = Node::setup().prepare();
        let a = node.server("a");
        let cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a);
        let both = [node.directories().clone(), beside(&node)];
        both.iter()
            .for_each(|it| fs::write(it.services.join("cart.yaml"), cart.to_string()).unwrap());
        let mut agents = both.map(|directories| Second::start(&node, directories, &[]));
        wait::until("one to leave", PATIENCE, || {
            agents.iter_mut().any(Second::has_left)
        });
        wait::until("the other to serve", PATIENCE, || {
            agents.iter().any(|agent| agent.serves("shop/cart"))
        });
        wait::pass(SETTLE);
        assert_eq!(
            agents
                .iter_mut()
                .filter_map(|agent| agent.has_left().then_some(()))
                .count(),
            1
        );
        assert_eq!(
            node.client().tcp("10.96.0.10:80").times(10).answers,
            counts([("a", 10)])
        );
        // Ten programs of one agent, and none that the other left.
        assert_eq!(bpftool::attached_ids(&node.directories().cgroup).len(), 10);
    }
}

/// Programs of the child cgroup run first; connects that they leave alone reach the programs of the
/// parent.
#[test]
fn an_agent_of_a_cgroup_and_one_of_its_child_both_serve() {
    let (node, a) = serving();
    let b = node.server("b");
    let child = node.place().child();
    let second = Directories {
        cgroup: child.cgroup.path().to_owned(),
        ..beside(&node)
    };
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&b);
    fs::write(second.services.join("cart.yaml"), cart.to_string()).unwrap();
    let own = service("shop/own")
        .address("10.96.0.12")
        .tcp(80)
        .endpoint(&b);
    fs::write(second.services.join("own.yaml"), own.to_string()).unwrap();
    let pay = service("shop/pay")
        .address("10.96.0.11")
        .tcp(80)
        .endpoint(&a);
    node.write("pay.yaml", pay);
    node.wait_until_served("shop/pay", &[&a]);
    let second = Second::start(&node, second, &[]);
    wait::until("the second agent to serve", PATIENCE, || {
        second.serves("shop/own")
    });
    let inside = mesh_tests::place::Place {
        cgroup: child.cgroup.clone(),
        netns: node.place().netns.clone(),
    };
    let mut client = Client::start(&inside);
    for (address, server) in [
        ("10.96.0.10:80", "b"),
        ("10.96.0.11:80", "a"),
        ("10.96.0.12:80", "b"),
    ] {
        let report = client.tcp(address).times(10);
        assert_eq!(
            (&report.answers, report.peers),
            (
                &counts([(server, 10)]),
                [(address.parse().unwrap(), 10)].into()
            )
        );
    }
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(10).answers,
        counts([("a", 10)])
    );
}

#[test]
fn agents_of_different_pin_directories_do_not_meet() {
    let nodes = [Node::start(), Node::start()];
    for (node, name) in nodes.iter().zip(["a", "b"]) {
        let server = node.server(name);
        node.write(
            "cart.yaml",
            service("shop/cart")
                .address("10.96.0.10")
                .tcp(80)
                .endpoint(&server),
        );
        node.wait_until_served("shop/cart", &[&server]);
        assert_eq!(
            node.client().tcp("10.96.0.10:80").times(10).answers,
            counts([(name, 10)])
        );
        assert_eq!(node.port("shop/cart").counters[Counter::Connects], 10);
    }
}
