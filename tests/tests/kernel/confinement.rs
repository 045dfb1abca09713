//! Capabilities and system calls of each thread of the agent after its start: no more than needed,
//! and enough.

use mesh_tests::{
    Node, Pod, Server,
    client::protocol::counts,
    node::PATIENCE,
    process::{children, of_each_thread, runs},
    service, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const VIP: &str = "10.96.0.10:80";
const DOCS: &str = include_str!("../../../docs/operations.md");
const SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
/// Bits of the capabilities that the documentation names.
const BITS: [(&str, u32); 5] = [
    ("`CAP_NET_ADMIN`", 12),
    ("`CAP_SYS_PTRACE`", 19),
    ("`CAP_SYS_ADMIN`", 21),
    ("`CAP_PERFMON`", 38),
    ("`CAP_BPF`", 39),
];

/// Returns the sets that each thread of a process has according to the table in the documentation.
fn documented(process: &str) -> [String; 5] {
    let line = DOCS
        .lines()
        .find(|line| line.starts_with(&format!("| {process} |")));
    let names = line.expect("a line of the table").split('|').nth(2);
    let bits = names.expect("a second column").split(", ").map(|name| {
        let known = BITS.iter().find(|(known, _)| *known == name.trim());
        1_u64 << known.unwrap_or_else(|| panic!("{name} is not known")).1
    });
    let [held, none] = [bits.sum(), 0].map(|bits: u64| format!("{bits:016x}"));
    [none.clone(), held.clone(), held, none.clone(), none]
}

fn helper(node: &Node) -> u32 {
    let children: Vec<u32> = children(node.agent_pid()).into_iter().collect();
    let [helper] = children[..] else {
        panic!("the agent started {children:?}")
    };
    helper
}

/// Expects each thread of the agent and of its helper to hold exactly what the documentation says.
fn expect_documented(node: &Node) {
    for (process, name) in [
        (node.agent_pid(), "`mesh-agent run`"),
        (helper(node), "`mesh-agent namespace-helper`"),
    ] {
        let threads = of_each_thread(process, SETS);
        assert!(!threads.is_empty());
        let expected = documented(name);
        assert!(
            threads.iter().all(|sets| *sets == expected),
            "{name}: {threads:#?}, not {expected:?}"
        );
    }
}

fn cart(endpoint: &Server) -> String {
    service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .udp(80)
        .endpoint(endpoint)
        .into()
}

/// Moves the service from one endpoint to another, and returns whether the connected socket of each
/// client is closed.
fn closes(node: &Node, pod: &Pod, from: &Server, to: &Server) -> [bool; 2] {
    node.write("cart.yaml", cart(from));
    node.wait_until_served("shop/cart", &[from]);
    let mut clients = [node.client(), pod.client()];
    let sockets = clients.each_mut().map(|client| {
        let socket = client.udp_socket("0.0.0.0:0");
        client
            .connect(socket, VIP)
            .expect("the service has an endpoint");
        socket
    });
    node.write("cart.yaml", cart(to));
    let [of_node, of_pod] = &mut clients;
    let closed = Err("ECONNABORTED".to_owned());
    wait::until("the socket of the node to be closed", PATIENCE, || {
        of_node.receive_now(sockets[0]).map(drop) == closed
    });
    // The helper closes both in one request, the own namespace first.
    let of_pod = wait::try_until_some(PATIENCE / 10, || {
        (of_pod.receive_now(sockets[1]).map(drop) == closed).then_some(())
    });
    [true, of_pod.is_some()]
}

#[test]
fn every_thread_holds_what_the_documentation_says_and_that_is_enough() {
    let node = Node::start();
    let [clients, servers] = [1, 2].map(|number| Pod::start(&node, number));
    let [a, b] = ["a", "b"].map(|name| servers.echo_server(name));
    expect_documented(&node);
    assert_eq!(closes(&node, &clients, &a, &b), [true, true]);
    let explained = node.meshctl(&format!(
        "explain {VIP} --from netns:{}",
        clients.place().netns.path().display()
    ));
    explained.expect_success();
    node.meshctl(&format!("backend drain shop/cart {} --force", b.address()))
        .expect_success();
    let status = node.status();
    assert_eq!(
        (status.ready, status.problems, status.degraded),
        (true, vec![], vec![])
    );
    expect_documented(&node);
}

#[test]
fn a_dead_namespace_helper_is_reported_and_own_sockets_are_closed() {
    let node = Node::start();
    let [clients, servers] = [1, 2].map(|number| Pod::start(&node, number));
    let [a, b] = ["a", "b"].map(|name| servers.echo_server(name));
    let helper = helper(&node);
    // A child of this test's own agent, which has not reaped it.
    kill(Pid::from_raw(helper.try_into().unwrap()), Signal::SIGKILL).unwrap();
    wait::until("the agent to say so", PATIENCE, || {
        let [sentence] = &node.status().degraded[..] else {
            return false;
        };
        sentence.starts_with(
            "the namespace helper ended (signal: 9 (SIGKILL)); until the agent is restarted,",
        )
    });
    assert_eq!(closes(&node, &clients, &a, &b), [true, false]);
    assert_eq!(
        node.client().tcp(VIP).times(10).answers,
        counts([("b", 10)])
    );
    assert!(node.status().ready);
    let lines = || {
        node.log()
            .matches("ERROR the namespace helper ended")
            .count()
    };
    // It is looked at every few seconds.
    wait::until("a line in the log", PATIENCE, || lines() > 0);
    assert_eq!(lines(), 1, "{}", node.log());
}

#[test]
fn the_namespace_helper_ends_with_the_agent_and_not_before() {
    let mut node = Node::start();
    let pid = helper(&node);
    for ignored in [Signal::SIGTERM, Signal::SIGINT] {
        kill(Pid::from_raw(pid.try_into().unwrap()), ignored).unwrap();
    }
    let path = node.place().netns.path().display().to_string();
    node.meshctl(&format!("explain {VIP} --from netns:{path}"));
    assert!(runs(pid) && node.status().degraded.is_empty());
    node.kill_agent();
    wait::until("the helper to end", PATIENCE, || !runs(pid));
}

#[test]
fn without_leave_to_enter_namespaces_no_helper_is_started() {
    let node = Node::setup().flags("--enter-namespaces=false").start();
    assert_eq!(children(node.agent_pid()).len(), 0);
}
