//! Kills the agent at each system call by which it changes something outside of itself, one run for
//! each: during its start with maps of other sizes, and while it applies a change.

use std::{
    env,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mesh_core::api::types;
use mesh_tests::{
    Node, Server, api, binary,
    client::protocol::counts,
    node::{PATIENCE, SETTLE},
    service, wait,
};

use crate::traced::{End, Traced};

const VIP: &str = "10.96.0.10:80";
/// Every map of a configurable size changes from one to the other.
pub const CAPACITIES: [&str; 2] = [
    "--max-services 1000 --max-backends 2000 --max-sockets 20000",
    "--max-services 1100 --max-backends 3000 --max-sockets 30000",
];

/// What runs in CI: the calls that decide which programs and maps serve.
const DECISIVE: [&str; 3] = ["BPF_LINK_CREATE", "BPF_LINK_UPDATE", "rename"];

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

/// Kills an agent at each of the calls with these numbers, of the kinds that `is_counted`, and starts
/// the next one.
fn kill_at_each(is_counted: fn(&str) -> bool, numbers: Range<usize>) {
    let mut node = Node::setup().prepare();
    let agent = binary::find("mesh-agent");
    node.next_agent(&agent, CAPACITIES[1]);
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let manifest = |servers: &[Server]| {
        let cart = service("shop/cart").address("10.96.0.10").tcp(80);
        String::from(cart.endpoints(servers))
    };
    node.write("cart.yaml", manifest(&servers[..2]));
    node.start_agent();
    let mut client = node.client();
    let (mut connects, mut slowest) = (0, Duration::ZERO);
    let mut calls: Vec<&str> = Vec::new();
    for number in numbers {
        node.kill_agent();
        let flags = CAPACITIES[number % 2];
        let load = client.tcp(VIP).again_and_again();
        let change = Change::start(&node, manifest(&servers), 3);
        let traced = Traced::start(&node, flags, is_counted);
        let end = traced.run(number, &change.is_done);
        change.end();
        node.write("cart.yaml", manifest(&servers[..2]));
        node.next_agent(&agent, flags);
        let start = Instant::now();
        node.start_agent();
        node.wait_until_served_within("shop/cart", &[&servers[0], &servers[1]], PATIENCE);
        slowest = slowest.max(start.elapsed());
        let report = load.stop();
        assert_eq!(report.errors, counts([]), "killed at {number}: {end:?}");
        assert_eq!(
            node.status().problems,
            [""; 0],
            "killed at {number}: {end:?}"
        );
        connects += report.total_answers();
        match end {
            End::KilledAt(call) => {
                println!("killed at {number}: {call}");
                calls.push(call);
            }
            End::Done => break,
        }
    }
    println!(
        "{} kills, {connects} connects, slowest start {slowest:?}: {calls:?}",
        calls.len()
    );
    assert!(calls.len() > 10, "{calls:?}");
    // A build without optimisation takes longer to check the programs.
    assert!(slowest < SETTLE || cfg!(debug_assertions), "{slowest:?}");
}

/// Reads `100..200`.
fn numbers(part: &str) -> Range<usize> {
    let (start, end) = part.split_once("..").expect("`all`, or two numbers");
    let number = |text: &str| text.parse().expect("a number");
    number(start)..number(end)
}

/// `MESH_KILLS=all` kills at every call, and `MESH_KILLS=100..200` at these of them.
#[test]
fn agent_killed_at_any_decisive_call_leaves_a_node_that_serves() {
    let all = 0..usize::MAX;
    match env::var("MESH_KILLS").as_deref() {
        Ok("all") => kill_at_each(|_| true, all),
        Ok(part) => kill_at_each(|_| true, numbers(part)),
        Err(_) => kill_at_each(|call| DECISIVE.contains(&call), all),
    }
}
