//! Two agents that run at the same time: the second is allowed to, or has another cgroup.

use super::*;

/// A second agent of the node; it is stopped and uninstalled with the test.
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
        // The agent may have ended already.
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
fn a_second_agent_starts_with_allow_second_agent() {
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
        wait::until("one agent to exit", PATIENCE, || {
            agents.iter_mut().any(Second::has_left)
        });
        wait::until("the other agent to serve", PATIENCE, || {
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
        // Ten programs of one agent, and none of the other.
        assert_eq!(bpftool::attached_ids(&node.directories().cgroup).len(), 10);
    }
}

/// Programs of the child cgroup run first. Connects that they leave alone reach the programs of the
/// parent cgroup.
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
fn agents_of_different_pin_directories_and_cgroups_do_not_conflict() {
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
