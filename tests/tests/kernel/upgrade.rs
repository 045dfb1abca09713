//! Agents that follow each other with maps of other sizes or another layout, under load.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::programs::loaded_links;
use mesh_common::counter::Counter;
use mesh_tests::{
    Client, Node, Server, binary,
    client::{SocketId, Transport, protocol::counts},
    command_result::CommandResult,
    node::PATIENCE,
    service, wait,
};

const TCP: &str = "10.96.0.10:80";
const UDP: &str = "10.96.0.10:53";
const STREAMS: u32 = 1000;
const UDP_SOCKETS: usize = 400;
/// Live load is exact after the agent has searched for lost sockets, which takes this long at most.
const COUNTED: Duration = Duration::from_secs(20);

/// Two sets of capacities: every map of a configurable size differs between them.
const SMALL: &str = "--max-services 1000 --max-backends 2000 --max-sockets 20000";
const LARGE: &str = "--max-services 1100 --max-backends 3000 --max-sockets 30000";

/// Other capacities for services and backends than [`SMALL`], but the same for sockets.
const SAME_SOCKETS: &str = "--max-services 1100 --max-backends 3000 --max-sockets 20000";

/// A program and its flags.
type Release = (PathBuf, &'static str);

fn present(flags: &'static str) -> Release {
    (binary::find("mesh-agent"), flags)
}

fn address(literal: &str) -> SocketAddr {
    literal.parse().expect("an address of this file")
}

/// Connections that stay open.
struct Open {
    streams: Client,
    datagrams: Client,
    sockets: Vec<SocketId>,
}

impl Open {
    fn on(node: &Node) -> Self {
        let (mut streams, mut datagrams) = (node.client(), node.client());
        assert_eq!(streams.open_streams(TCP, STREAMS).errors, counts([]));
        let sockets = (0..UDP_SOCKETS).map(|_| datagrams.socket(Transport::Udp, "0.0.0.0:0"));
        let sockets = sockets.collect();
        Self {
            streams,
            datagrams,
            sockets,
        }
    }

    /// Sends over each connection. Answers must be complete, and come from the service address.
    fn expect_answers(&mut self, round: usize) {
        let report = self.streams.beat();
        assert_eq!(report.errors, counts([]), "round {round}");
        assert_eq!(report.total_answers(), u64::from(STREAMS), "round {round}");
        for &socket in &self.sockets {
            let heard = self.datagrams.ask_at(socket, UDP);
            let heard = heard.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(heard.from, Some(address(UDP)), "round {round}");
        }
    }
}

/// Counters of both ports.
fn counters(node: &Node) -> [BTreeMap<&'static str, u64>; 2] {
    [(80, "TCP"), (53, "UDP")].map(|(port, protocol)| {
        let counters = node.port_of("shop/cart", port, protocol).counters;
        Counter::ALL
            .into_iter()
            .map(|counter| (counter.name(), counters[counter]))
            .collect()
    })
}

fn expect_growth(before: &[BTreeMap<&str, u64>; 2], now: &[BTreeMap<&str, u64>; 2], round: usize) {
    for (before, now) in before.iter().zip(now) {
        let fell: Vec<_> = before
            .iter()
            .filter(|(name, was)| now[**name] < **was)
            .collect();
        assert!(fell.is_empty(), "round {round}: {fell:?} are {now:?}");
    }
}

fn live(node: &Node, port: u16, protocol: &str) -> u64 {
    let port = node.port_of("shop/cart", port, protocol);
    port.endpoints
        .iter()
        .map(|endpoint| endpoint.connections)
        .sum()
}

fn node_with_echoes(release: &Release) -> (Node, Vec<Server>) {
    let mut node = Node::setup().prepare();
    node.next_agent(&release.0, release.1);
    node.start_agent();
    let servers: Vec<Server> = ["a", "b", "c"].map(|name| node.echo_server(name)).into();
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    node.write("cart.yaml", cart.endpoints(&servers));
    let expected: Vec<&Server> = servers.iter().collect();
    node.wait_until_served_within("shop/cart", &expected, PATIENCE);
    (node, servers)
}

fn switches(by_default: usize) -> usize {
    let wanted = env::var("MESH_SWITCHES").ok();
    wanted.map_or(by_default, |number| number.parse().expect("a number"))
}

/// Switches between two agents under load, an even number of times. With `both_count`, each keeps
/// the counts of the other.
fn switch_under_load(releases: &[Release; 2], switches: usize, both_count: bool) {
    let (mut node, _servers) = node_with_echoes(&releases[0]);
    let mut open = Open::on(&node);
    open.expect_answers(0);
    let (mut over_tcp, mut over_udp) = (node.client(), node.client());
    let tcp = over_tcp.tcp(TCP).again_and_again();
    let udp = over_udp.udp(UDP).again_and_again();
    let mut before = counters(&node);
    for round in 1..=switches {
        // Every second time the agent is killed instead of stopped.
        if round % 2 == 0 {
            node.kill_agent();
        } else {
            node.stop_agent();
        }
        let (program, flags) = &releases[round % 2];
        node.next_agent(program, flags);
        node.start_agent();
        let now = counters(&node);
        if both_count {
            expect_growth(&before, &now, round);
        }
        before = now;
        open.expect_answers(round);
    }
    let (tcp, udp) = (tcp.stop(), udp.stop());
    let service = |peers: &BTreeMap<_, u64>, at: &str| peers.get(&address(at)).copied();
    println!(
        "{switches} switches; connects over TCP {} ({:?} with the service address), over UDP {}",
        tcp.total_answers(),
        service(&tcp.peers, TCP),
        udp.total_answers()
    );
    assert_eq!([&tcp.errors, &udp.errors], [&counts([]), &counts([])]);
    if both_count {
        wait::until_equal("the live load is exact", COUNTED, &[1000, 400], || {
            [live(&node, 80, "TCP"), live(&node, 53, "UDP")]
        });
        let connects = counters(&node)[0]["connects"];
        assert_eq!(connects, u64::from(STREAMS) + tcp.total_answers());
    }
}

#[test]
fn agents_with_maps_of_other_sizes_follow_each_other_under_load() {
    switch_under_load(&[present(SMALL), present(LARGE)], switches(10), true);
}

/// For `cargo xtask upgrade`. `MESH_PREVIOUS_AGENT` is an agent of an earlier release, whose maps
/// have another layout. That agent does not carry over what this release counted.
#[test]
#[ignore = "needs the agent of an earlier release"]
fn agents_of_two_releases_follow_each_other_under_load() {
    let previous = env::var_os("MESH_PREVIOUS_AGENT").expect("a path");
    let releases = [(previous.into(), SMALL), present(SMALL)];
    switch_under_load(&releases, switches(10), false);
}

/// Returns the program of each link of the node, by the id of the link.
fn programs(links: &[u32]) -> BTreeMap<u32, u32> {
    let links = loaded_links()
        .flatten()
        .filter(|link| links.contains(&link.id()));
    links.map(|link| (link.id(), link.program_id())).collect()
}

/// Replaces the pin of a hook's link by that of another hook, so that the update of the link fails.
struct WrongLink {
    hook: PathBuf,
    right: PathBuf,
}

impl WrongLink {
    fn at(node: &Node, hook: &str) -> Self {
        let pins = &node.directories().pins;
        let other = match hook {
            "sock_release" | "sock_ops" => "connect4",
            _ => "sock_release",
        };
        let wrong = Self {
            hook: pins.join("links").join(hook),
            right: pins.join("right"),
        };
        let link = |name: &str| pins.join("links").join(name);
        fs::rename(&wrong.hook, &wrong.right).expect("both are on one bpffs");
        fs::hard_link(link(other), &wrong.hook).expect("both are on one bpffs");
        wrong
    }

    fn mend(self) {
        fs::remove_file(&self.hook).expect("the link was just put there");
        fs::rename(&self.right, &self.hook).expect("both are on one bpffs");
    }
}

#[test]
fn failed_switch_at_any_hook_leaves_the_previous_agent_serving() {
    let (mut node, _servers) = node_with_echoes(&present(SMALL));
    let mut streams = node.client();
    assert_eq!(streams.open_streams(TCP, 100).errors, counts([]));
    let hooks = node.status().hooks;
    let links: Vec<u32> = hooks.iter().map(|hook| hook.link_id).collect();
    let before = programs(&links);
    let maps = directories(&node);
    let mut client = node.client();
    let connects = client.tcp(TCP).again_and_again();
    node.kill_agent();
    for hook in hooks {
        let wrong = WrongLink::at(&node, &hook.name);
        let mut command = node.mesh_agent(node.directories().run());
        let flags = format!("{SAME_SOCKETS} --allow-second-agent");
        let failed = CommandResult::of(command.args(flags.split(' ')), PATIENCE);
        wrong.mend();
        let expected = "the programs of the previous agent (ABI ";
        assert!(
            failed.code == Some(1)
                && failed
                    .stderr
                    .contains(&format!("cannot attach {}", hook.name))
                && failed.stderr.contains(expected),
            "{failed:?}"
        );
        assert_eq!(programs(&links), before, "{}", hook.name);
        assert_eq!(directories(&node), maps, "{}", hook.name);
    }
    let report = connects.stop();
    assert_eq!(report.errors, counts([]));
    assert_eq!(report.peers.keys().collect::<Vec<_>>(), [&address(TCP)]);
    node.start_agent();
    assert_eq!(streams.beat().errors, counts([]));
    wait::until_equal("the live load is exact", COUNTED, &100, || {
        live(&node, 80, "TCP")
    });
}

/// Returns the directories of maps that programs use.
fn directories(node: &Node) -> Vec<String> {
    let pins: &Path = &node.directories().pins;
    let entries = fs::read_dir(pins)
        .expect("the agent made the pin directory")
        .flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("maps-")).collect()
}
