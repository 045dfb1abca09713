//! An agent with only the capabilities that it needs.

use std::process::Command;

use mesh_tests::{
    Client, Node, Pod, Server,
    client::{SocketId, protocol::counts},
    command_result::CommandResult,
    node::PATIENCE,
    service, wait,
};

const VIP: &str = "10.96.0.10:80";
const THREE: &str = "setpriv --bounding-set -all,+bpf,+net_admin,+perfmon --inh-caps -all";
/// `CAP_NET_ADMIN`, which is enough once the programs are attached.
const NET_ADMIN_BITS: &str = "0000000000001000";
/// `CAP_NET_ADMIN`, `CAP_PERFMON`, `CAP_BPF`. Without `CAP_SETPCAP` the bounding set stays.
const THREE_BITS: &str = "000000c000001000";
const LACK: &str = "sockets of pods and containers are not closed when their endpoint leaves: that needs CAP_SYS_ADMIN and \
                    CAP_SYS_PTRACE; give both to the agent, or set --enter-namespaces=false";

fn connected(client: &mut Client) -> SocketId {
    let socket = client.udp_socket("0.0.0.0:0");
    client
        .connect(socket, VIP)
        .expect("the service has an endpoint");
    socket
}

/// Removes endpoints one after the other: sockets of the node are closed, those of a pod stay open.
/// Returns the remaining endpoint.
fn expect_only_own_sockets_are_closed(node: &Node) -> (Pod, Server) {
    let [clients, servers] = [1, 2].map(|number| Pod::start(node, number));
    let [a, b, c] = ["a", "b", "c"].map(|name| servers.echo_server(name));
    let cart = || service("shop/cart").address("10.96.0.10").tcp(80).udp(80);
    node.write("cart.yaml", cart().endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let (mut of_node, mut of_pod) = (node.client(), clients.client());
    let theirs = connected(&mut of_pod);
    for next in [&b, &c] {
        let ours = connected(&mut of_node);
        node.write("cart.yaml", cart().endpoint(next));
        let closed = Err("ECONNABORTED".to_owned());
        wait::until("the socket to be closed", PATIENCE, || {
            of_node.receive_now(ours).map(drop) == closed
        });
    }
    // The second search begins after the end of the first.
    assert_eq!(of_pod.receive_now(theirs), Err("EAGAIN".into()));
    let [ours, theirs] =
        [&mut of_node, &mut of_pod].map(|client| client.tcp(VIP).times(100).answers);
    assert_eq!((ours, theirs), (counts([("c", 100)]), counts([("c", 100)])));
    (servers, c)
}

#[test]
fn three_capabilities_are_enough_and_missing_features_are_logged_once() {
    let mut node = Node::setup().wrapped(THREE).start();
    assert_eq!(
        ["CapEff:", "CapBnd:"].map(|set| node.agent_proc("status", set)),
        [NET_ADMIN_BITS, THREE_BITS]
    );
    let _left = expect_only_own_sockets_are_closed(&node);
    let status = node.status();
    assert_eq!(
        (status.ready, status.problems, status.degraded),
        (true, vec![], vec![LACK.to_owned()])
    );
    assert_eq!(
        node.log()
            .matches("not closed when their endpoint leaves")
            .count(),
        1
    );
    assert_eq!(node.log().matches("stay open").count(), 0, "{}", node.log());
    node.stop_agent();
    node.start_agent();
    assert_eq!(
        node.client().tcp(VIP).times(100).answers,
        counts([("c", 100)])
    );
}

#[test]
fn an_agent_that_must_not_enter_namespaces_logs_nothing_about_it() {
    let node = Node::setup().flags("--enter-namespaces=false").start();
    expect_only_own_sockets_are_closed(&node);
    assert_eq!(node.status().degraded, Vec::<String>::new());
    assert_eq!(node.log().matches("WARN").count(), 0, "{}", node.log());
}

#[test]
fn the_agent_dumps_no_core_is_not_traced_and_gains_no_privileges() {
    let node = Node::setup()
        .wrapped(&format!("prlimit --core=unlimited:unlimited {THREE}"))
        .start();
    // Another process of root with the same capabilities tries. It may trace only processes that may
    // dump core.
    let program = format!("/proc/{}/exe", node.agent_proc("status", "Pid:"));
    let mut words = THREE.split(' ').chain(["readlink", &program]);
    let reader = CommandResult::of(
        Command::new(words.next().expect("setpriv")).args(words),
        PATIENCE,
    );
    assert_eq!(
        (reader.code, reader.stdout.as_str()),
        (Some(1), ""),
        "{reader:#?}"
    );
    let limit = node.agent_proc("limits", "Max core file size");
    assert_eq!(
        limit.split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "bytes"]
    );
    assert_eq!(node.agent_proc("status", "NoNewPrivs:"), "1");
}
