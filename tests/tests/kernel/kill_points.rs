//! Kills the agent at each system call by which it changes something outside of itself, one run for
//! each: during its start with maps of other sizes, and while it applies a change. Calls are counted by
//! kind, because the numbers of some kinds depend on the rows that are there.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mesh_common::counter::Counter;
use mesh_core::api::types;
use mesh_tests::{
    Client, Node, Server, api, binary,
    client::protocol::counts,
    node::{PATIENCE, SETTLE},
    service, wait,
};

use crate::{
    socket_rows::count,
    traced::{End, Traced, kinds},
};

const VIP: &str = "10.96.0.10:80";
/// Every map of a configurable size changes from one to the other.
pub const CAPACITIES: [&str; 2] = [
    "--max-services 1000 --max-backends 2000 --max-sockets 20000",
    "--max-services 1100 --max-backends 3000 --max-sockets 30000",
];

/// What runs in CI: the calls that decide which programs and maps serve.
const DECISIVE: [&str; 5] = [
    "BPF_LINK_CREATE",
    "BPF_LINK_UPDATE",
    "rename",
    "unlink",
    "rmdir",
];
/// Rows of the client, which has one connection at a time, and of the self-probe. Others belong to
/// sockets that ended.
const FEW: usize = 30;

/// Changes the configuration when the agent is ready, and waits until that is served.
struct Change {
    is_over: Arc<AtomicBool>,
    is_done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Change {
    fn start(node: &Node, content: String, expected: usize) -> Self {
        let [is_over, is_done] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (over, done) = (Arc::clone(&is_over), Arc::clone(&is_done));
        let (socket, file) = (node.directories().socket.clone(), node.file("cart.yaml"));
        let new = node.file(".cart.yaml.new");
        let look = move |path: &str| api::get(&socket, path).ok().filter(|it| it.code == 200);
        let wait = move |holds: &dyn Fn() -> bool| {
            let ended = || over.load(SeqCst) || holds();
            wait::until("the traced agent", Duration::from_secs(60), ended);
            !over.load(SeqCst)
        };
        let thread = thread::spawn(move || {
            let is_ready = || look("/v1/status").is_some_and(|it| it.json::<types::Status>().ready);
            if !wait(&is_ready) {
                return;
            }
            std::fs::write(&new, content).expect("there is room");
            std::fs::rename(&new, &file).expect("the file was just written");
            let is_served = || {
                let service = look("/v1/services/shop/cart");
                service.is_some_and(|it| {
                    let service: types::Service = it.json();
                    let endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
                    endpoints.filter(|endpoint| endpoint.active).count() == expected
                })
            };
            done.store(wait(&is_served), SeqCst);
        });
        Self {
            is_over,
            is_done,
            thread,
        }
    }

    fn end(self) {
        self.is_over.store(true, SeqCst);
        self.thread.join().expect("no deadline is over");
    }
}

/// A node with a client that connects all the time, whose agents are killed.
struct Scene {
    node: Node,
    client: Client,
    servers: [Server; 3],
    /// Agents that were traced. Each has maps of other sizes than the one before.
    traced: usize,
    /// Counters after the last start.
    counters: Vec<u64>,
    connects: u64,
    /// Longest start of an agent until changes are served.
    slowest: Duration,
    /// Longest start until rows of ended sockets are removed as well.
    longest: Duration,
}

impl Scene {
    fn start() -> Self {
        let mut node = Node::setup().prepare();
        node.next_agent(&binary::find("mesh-agent"), CAPACITIES[1]);
        let servers = ["a", "b", "c"].map(|name| node.server(name));
        node.write("cart.yaml", manifest(&servers[..2]));
        node.start_agent();
        Self {
            client: node.client(),
            counters: counters(&node),
            node,
            servers,
            traced: 0,
            connects: 0,
            slowest: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// Kills an agent at the call of this kind and number, and starts the next one. Returns nothing
    /// if there were fewer calls, else how long that one took to converge, and its processor time.
    fn kill_at(&mut self, kind: &'static str, number: usize) -> Option<(Duration, Duration)> {
        let node = &mut self.node;
        node.kill_agent();
        let flags = CAPACITIES[self.traced % 2];
        self.traced += 1;
        let load = self.client.tcp(VIP).again_and_again();
        let change = Change::start(node, manifest(&self.servers), 3);
        let end = Traced::start(node, flags, kind).run(number, &change.is_done);
        change.end();
        node.write("cart.yaml", manifest(&self.servers[..2]));
        node.next_agent(&binary::find("mesh-agent"), flags);
        let start = Instant::now();
        node.start_agent();
        let served = [&self.servers[0], &self.servers[1]];
        node.wait_until_served_within("shop/cart", &served, PATIENCE);
        self.slowest = self.slowest.max(start.elapsed());
        wait::until("rows of open sockets alone", PATIENCE, || {
            count(node, FEW) < FEW
        });
        let took = (start.elapsed(), node.agent_cpu());
        let report = load.stop();
        let at = format!("{kind} {number}: {end:?}");
        assert_eq!(report.errors, counts([]), "{at}");
        assert_eq!(node.status().problems, [""; 0], "{at}");
        let (before, now) = (&self.counters, counters(node));
        let is_grown = before.iter().zip(&now).all(|(before, now)| before <= now);
        assert!(is_grown, "{at}: {before:?}, then {now:?}");
        self.counters = now;
        self.longest = self.longest.max(took.0);
        self.connects += report.total_answers();
        (end == End::Killed).then_some(took)
    }

    /// Kills an agent at each call of this kind. Returns the number of kills.
    fn kill_at_each(&mut self, kind: &'static str) -> usize {
        let kills = (0..).map_while(|number| {
            let (took, cpu) = self.kill_at(kind, number)?;
            println!("killed at {kind} {number}: converged after {took:?}, {cpu:?} of a processor");
            Some(())
        });
        kills.count()
    }
}

fn manifest(servers: &[Server]) -> String {
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    cart.endpoints(servers).into()
}

/// Returns all counters of the service.
fn counters(node: &Node) -> Vec<u64> {
    let counters = node.port("shop/cart").counters;
    let all = Counter::ALL.into_iter();
    all.map(|counter| counters[counter]).collect()
}

/// Returns the kinds of calls in `MESH_KILLS`: `all`, or names separated by commas, for several
/// processes at the same time.
fn wanted() -> Vec<&'static str> {
    let Ok(names) = env::var("MESH_KILLS") else {
        return DECISIVE.into();
    };
    let is_named = |kind: &&str| names == "all" || names.split(',').any(|name| name == *kind);
    kinds().filter(is_named).collect()
}

#[test]
fn agent_killed_at_any_decisive_call_leaves_a_node_that_serves() {
    let mut scene = Scene::start();
    let kills: BTreeMap<&str, usize> = wanted()
        .into_iter()
        .map(|kind| (kind, scene.kill_at_each(kind)))
        .collect();
    let sum: usize = kills.values().sum();
    let Scene {
        connects,
        slowest,
        longest,
        ..
    } = scene;
    println!(
        "{sum} kills, {connects} connects, served after {slowest:?} at most, converged after {longest:?}: {kills:?}"
    );
    assert!(sum > 0, "{kills:?}");
    // A build without optimisation takes longer to check the programs.
    let is_fast = slowest < SETTLE && longest < 2 * SETTLE;
    assert!(
        is_fast || cfg!(debug_assertions),
        "{slowest:?}, {longest:?}"
    );
}
