//! The measurements of balancing, one for each row of the table.

mod checks;
mod loss;
mod program;

use std::{sync::Arc, thread, time::Duration};

use super::{
    client::{ClientResult, connect},
    endpoint::Endpoint,
    table::Row,
};
use crate::{Node, service};

const VIP: &str = "10.96.0.10:80";

/// Sizes and durations of the measurements.
pub struct Scale {
    rounds: usize,
    time: Duration,
}

impl Scale {
    pub(super) fn new(quick: bool) -> Self {
        let (rounds, time) = if quick {
            (1, Duration::from_secs(2))
        } else {
            (3, Duration::from_secs(4))
        };
        Self { rounds, time }
    }
}

/// A measurement.
type Measure = fn(&Scale) -> Vec<Row>;

/// All measurements with their titles.
pub(super) const ALL: [(&str, Measure); 7] = [
    (
        "Five endpoints of 16 workers, 10 ms a connection, one 100 ms; 64 clients in closed loops",
        slow,
    ),
    (
        "Ten endpoints, 1,000 clients that hold connections for up to 400 ms",
        imbalance,
    ),
    (
        "Three endpoints, one is killed under the load of 64 clients; streak 3",
        loss::killed,
    ),
    (
        "Three endpoints, packets to one are dropped",
        loss::black_hole,
    ),
    (
        "Two zones of three endpoints; the near one is lost and returns; 64 clients",
        loss::zone,
    ),
    ("Program time of connect4, ten endpoints", program::cost),
    ("2,000 endpoints checked every 5 s", checks::cpu),
];

/// A node with a service and its endpoints.
struct Scene {
    node: Node,
    endpoints: Vec<Endpoint>,
}

impl Scene {
    /// Starts a node whose endpoints have `workers` that take these numbers of milliseconds.
    fn new(settings: &str, workers: usize, milliseconds: &[u64]) -> Self {
        let node = Node::start();
        let netns = &node.place().netns;
        let times = milliseconds.iter().map(|&time| Duration::from_millis(time));
        let start = |(host, time)| Endpoint::start(netns, host, 0, workers, time);
        let endpoints: Vec<Endpoint> = (1_u8..).zip(times).map(start).collect();
        let mut cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with(settings);
        for endpoint in &endpoints {
            cart = cart.at(endpoint.address);
        }
        node.write("cart.yaml", cart);
        let scene = Self { node, endpoints };
        scene.wait_until_served(scene.endpoints.len());
        scene
    }

    fn wait_until_served(&self, endpoints: usize) {
        crate::wait::until("the service is served", Duration::from_secs(10), || {
            let service = self.node.find_service("shop/cart");
            service.is_some_and(|it| {
                it.ports[0].endpoints.iter().filter(|it| it.active).count() == endpoints
            })
        });
    }

    fn connect(&self, threads: usize, time: Duration) -> ClientResult {
        connect(self.node.place(), VIP, threads, time, Duration::ZERO)
    }

    fn served(&self) -> Vec<u64> {
        self.endpoints.iter().map(Endpoint::served).collect()
    }
}

fn slow(scale: &Scale) -> Vec<Row> {
    let policies = ["leastConnections", "latencyAware", "random", "roundRobin"];
    let scenes = policies
        .map(|policy| Scene::new(&format!("balance: {policy}"), 16, &[10, 10, 10, 10, 100]));
    let mut figures: [Vec<(ClientResult, f64)>; 4] = Default::default();
    for _ in 0..scale.rounds {
        for (scene, figures) in scenes.iter().zip(&mut figures) {
            let before = scene.served();
            let outcome = scene.connect(64, scale.time);
            let served: Vec<u64> = scene
                .served()
                .iter()
                .zip(before)
                .map(|(now, before)| now - before)
                .collect();
            figures.push((
                outcome,
                served[4] as f64 / served.iter().sum::<u64>() as f64,
            ));
        }
    }
    for (policy, figures) in policies.iter().zip(&figures) {
        let (
            ClientResult {
                rate,
                p50,
                p95,
                p99,
                ..
            },
            share,
        ) = &figures[0];
        println!(
            "    {policy:<17} {rate:>7.0}/s  p50 {p50:>6} µs  p95 {p95:>6}  p99 {p99:>6}  slow {:.1} %",
            share * 100.0
        );
    }
    let [least, latency, random, turns] = &figures;
    let ratio = |one: &[(ClientResult, f64)],
                 other: &[(ClientResult, f64)],
                 of: fn(&ClientResult) -> f64|
     -> Vec<f64> {
        one.iter()
            .zip(other)
            .map(|(one, other)| of(&one.0) / of(&other.0))
            .collect()
    };
    let (rate, p95, p99) = (
        |it: &ClientResult| it.rate,
        |it: &ClientResult| it.p95 as f64,
        |it: &ClientResult| it.p99 as f64,
    );
    let share: Vec<f64> = least.iter().map(|(_, share)| *share).collect();
    vec![
        Row::at_least(
            "throughput of least-connections / random",
            &ratio(least, random, rate),
            2.0,
        ),
        Row::at_least(
            "throughput of least-connections / round-robin",
            &ratio(least, turns, rate),
            2.0,
        ),
        Row::at_most(
            "p95 of least-connections / random",
            &ratio(least, random, p95),
            0.35,
        ),
        Row::at_most(
            "p95 of least-connections / round-robin",
            &ratio(least, turns, p95),
            0.35,
        ),
        Row::at_most(
            "share of connects that least-connections gives the slow endpoint",
            &share,
            0.04,
        ),
        Row::at_most(
            "p99 of latency-aware / random",
            &ratio(latency, random, p99),
            0.5,
        ),
        Row::at_most(
            "p99 of latency-aware / least-connections",
            &ratio(latency, least, p99),
            0.5,
        ),
    ]
}

fn imbalance(scale: &Scale) -> Vec<Row> {
    let scenes = ["leastConnections", "random"]
        .map(|policy| Scene::new(&format!("balance: {policy}"), 2, &[0; 10]));
    let mut excess: [Vec<f64>; 2] = Default::default();
    for _ in 0..scale.rounds {
        for (scene, excess) in scenes.iter().zip(&mut excess) {
            let (place, time) = (scene.node.place(), scale.time);
            thread::scope(|scope| {
                let clients = scope
                    .spawn(move || connect(place, VIP, 1000, time, Duration::from_millis(200)));
                thread::sleep(scale.time / 3);
                let mut samples = Vec::new();
                while !clients.is_finished() && samples.len() < 20 {
                    let live: Vec<u64> = scene
                        .node
                        .port("shop/cart")
                        .endpoints
                        .iter()
                        .map(|it| it.connections)
                        .collect();
                    let mean = live.iter().sum::<u64>() as f64 / live.len() as f64;
                    samples
                        .push(live.iter().copied().max().unwrap_or(0) as f64 / mean.max(1.0) - 1.0);
                    thread::sleep(scale.time / 60);
                }
                excess.push(samples.iter().sum::<f64>() / samples.len() as f64);
            });
        }
    }
    let ratio: Vec<f64> = excess[0]
        .iter()
        .zip(&excess[1])
        .map(|(least, random)| least / random)
        .collect();
    println!(
        "    max / mean of live connections: least-connections {:.3}, random {:.3}",
        1.0 + excess[0][0],
        1.0 + excess[1][0]
    );
    vec![Row::at_most(
        "excess (max / mean - 1) of least-connections / random",
        &ratio,
        0.3,
    )]
}

/// The network namespace of a scene.
fn netns(scene: &Scene) -> &Arc<crate::netns::Netns> {
    &scene.node.place().netns
}
