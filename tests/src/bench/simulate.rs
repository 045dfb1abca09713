//! Simulates balancing: runs the decision code of the kernel programs over compiled tables, with
//! endpoints as queues in virtual time. So policies can be compared with more endpoints than a test
//! machine can run.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use mesh_common::{
    abi::{FrontendKey, protocol},
    connect::{Verdict, connect},
    socket,
};
use mesh_core::{
    dataplane::{Dataplane, memory::Memory},
    desired::{Tables, World, compile, plan::diff},
    model::{
        Addresses, Balance, Endpoint, InternalTraffic, Origin, Protocol, Service, ServiceName,
        ServicePort, Traffic,
    },
};

use super::stats::percentile;

const MICROSECONDS: u64 = 1_000_000;
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The model.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// Endpoints
    #[arg(long, default_value_t = 5)]
    endpoints: u32,
    /// Clients in closed loops
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Number of slow endpoints
    #[arg(long, default_value_t = 1)]
    slow: u32,
    /// Factor by which those are slower
    #[arg(long, default_value_t = 10)]
    factor: u64,
    /// Connections that an endpoint serves at the same time; others wait
    #[arg(long, default_value_t = 16)]
    workers: usize,
    /// Mean time of a connection at an endpoint that is not slow, microseconds (exponentially
    /// distributed)
    #[arg(long, default_value_t = 10_000)]
    service: u64,
    /// Virtual seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Result of one policy.
struct SimulationResult {
    rate: f64,
    took: Vec<u64>,
    slow_share: f64,
    imbalance: f64,
}

/// Prints a line for each policy.
pub(super) fn run(options: &Options) -> bool {
    println!(
        "{:<18} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9}",
        "POLICY", "RATE/s", "P50 µs", "P95 µs", "P99 µs", "SLOW %", "MAX/MEAN"
    );
    for (name, balance) in [
        ("leastConnections", Balance::LeastConnections),
        ("latencyAware", Balance::LatencyAware),
        ("random", Balance::Random),
        ("roundRobin", Balance::RoundRobin),
    ] {
        let SimulationResult {
            rate,
            took,
            slow_share,
            imbalance,
        } = Model::new(*options, balance).run();
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| percentile(&took, share));
        println!(
            "{name:<18} {rate:>9.0} {p50:>9} {p95:>9} {p99:>9} {:>7.2} {imbalance:>9.3}",
            slow_share * 100.0
        );
    }
    true
}

/// An endpoint: workers, and a queue of waiting connections.
#[derive(Default)]
struct Queue {
    busy: usize,
    waiting: VecDeque<u32>,
    served: u64,
    live: u64,
}

struct Model {
    options: Options,
    memory: Memory,
    key: FrontendKey,
    places: HashMap<SocketAddr, usize>,
    queues: Vec<Queue>,
    /// Endpoint of each client's connection, and when it began, microseconds.
    clients: Vec<(usize, u64)>,
    /// Ends of connections: time and client.
    events: BinaryHeap<Reverse<(u64, u32)>>,
    chance: u64,
}

impl Model {
    fn new(options: Options, balance: Balance) -> Self {
        let address =
            |host: u32| SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + host)), 80);
        let endpoint = |host| Endpoint::new(address(host).ip(), 80);
        let name = ServiceName {
            namespace: "model".into(),
            name: "cart".into(),
        };
        let service = Service {
            name: name.clone(),
            origin: Origin::Line {
                file: Arc::default(),
                line: 1,
            },
            addresses: Addresses::Fixed(vec![VIP.into()]),
            external: Vec::new(),
            ports: vec![ServicePort {
                name: String::new(),
                port: 80,
                protocol: Protocol::Tcp,
                node_port: None,
                endpoints: (0..options.endpoints).map(endpoint).collect(),
            }],
            internal_traffic: InternalTraffic::Cluster,
            affinity: None,
            close_stale_tcp: None,
            traffic: Traffic {
                balance,
                ..Traffic::default()
            },
            unserved: Vec::new(),
        };
        let services = [(name, Arc::new(service))].into();
        let world = World {
            services,
            complete: true,
            ..World::default()
        };
        let tables =
            compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).expect("it fits");
        let mut memory = Memory::default();
        memory
            .apply(&diff(&Tables::default(), &tables))
            .expect("writes to memory succeed");
        memory.set_seed(options.seed);
        Self {
            memory,
            key: FrontendKey {
                addr: IpAddr::V4(VIP).into(),
                port: 80_u16.to_be(),
                protocol: protocol::TCP,
                pad: 0,
            },
            places: (0..options.endpoints)
                .map(|host| (address(host), host as usize))
                .collect(),
            queues: (0..options.endpoints).map(|_| Queue::default()).collect(),
            clients: vec![(0, 0); options.clients as usize],
            events: BinaryHeap::new(),
            chance: options.seed * 2 + 1,
            options,
        }
    }

    fn run(mut self) -> SimulationResult {
        let end = self.options.seconds * MICROSECONDS;
        (0..self.options.clients).for_each(|client| self.connect(client, 0));
        let (mut took, mut imbalance, mut samples, mut next_sample) =
            (Vec::new(), 0.0, 0.0, end / 10);
        while let Some(Reverse((now, client))) = self.events.pop() {
            if now >= end {
                break;
            }
            if now >= next_sample {
                next_sample += end / 100;
                let most = self
                    .queues
                    .iter()
                    .map(|queue| queue.live)
                    .max()
                    .unwrap_or(0) as f64;
                imbalance += most * self.queues.len() as f64 / f64::from(self.options.clients);
                samples += 1.0;
            }
            took.push(self.close(client, now));
            self.connect(client, now);
        }
        took.sort_unstable();
        let served: Vec<u64> = self.queues.iter().map(|queue| queue.served).collect();
        let slow: u64 = served.iter().take(self.options.slow as usize).sum();
        SimulationResult {
            rate: took.len() as f64 / self.options.seconds as f64,
            slow_share: slow as f64 / served.iter().sum::<u64>() as f64,
            imbalance: imbalance / samples,
            took,
        }
    }

    fn connect(&mut self, client: u32, now: u64) {
        self.memory.set_socket(client.into());
        self.memory.set_now(now * 1000);
        let Verdict::Backend { addr, port } = connect(&self.memory, &self.key) else {
            unreachable!("all endpoints work")
        };
        socket::syn_sent(&self.memory, client.into());
        socket::established(&self.memory, client.into(), 1, || true);
        let place = self.places[&SocketAddr::new(addr.into(), u16::from_be(port))];
        self.clients[client as usize] = (place, now);
        let queue = &mut self.queues[place];
        queue.live += 1;
        queue.served += 1;
        if queue.busy < self.options.workers {
            queue.busy += 1;
            self.serve(client, place, now);
        } else {
            queue.waiting.push_back(client);
        }
    }

    /// Returns how long the connection was open, microseconds.
    fn close(&mut self, client: u32, now: u64) -> u64 {
        self.memory.set_socket(client.into());
        self.memory.set_now(now * 1000);
        socket::closed(&self.memory, client.into(), true);
        let (place, begin) = self.clients[client as usize];
        let queue = &mut self.queues[place];
        queue.live -= 1;
        match queue.waiting.pop_front() {
            Some(next) => self.serve(next, place, now),
            None => queue.busy -= 1,
        }
        now - begin
    }

    fn serve(&mut self, client: u32, place: usize, now: u64) {
        let factor = if place < self.options.slow as usize {
            self.options.factor
        } else {
            1
        };
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((self.chance >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        let time = -uniform.ln() * (self.options.service * factor) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and small"
        )]
        self.events.push(Reverse((now + time as u64 + 1, client)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(balance: Balance) -> SimulationResult {
        let options = Options {
            endpoints: 5,
            clients: 64,
            slow: 1,
            factor: 10,
            workers: 16,
            service: 10_000,
            seconds: 20,
            seed: 7,
        };
        Model::new(options, balance).run()
    }

    #[test]
    fn least_connections_avoid_a_slow_endpoint() {
        let (least, random) = (outcome(Balance::LeastConnections), outcome(Balance::Random));
        assert!(
            least.rate >= 2.0 * random.rate,
            "{} and {}",
            least.rate,
            random.rate
        );
        assert!(least.slow_share <= 0.04, "{}", least.slow_share);
        let p95 = |outcome: &SimulationResult| percentile(&outcome.took, 0.95) as f64;
        assert!(
            p95(&least) <= 0.35 * p95(&random),
            "{} and {}",
            p95(&least),
            p95(&random)
        );
    }

    #[test]
    fn latency_aware_avoids_a_slow_endpoint() {
        let (aware, random) = (outcome(Balance::LatencyAware), outcome(Balance::Random));
        let p99 = |outcome: &SimulationResult| percentile(&outcome.took, 0.99) as f64;
        assert!(
            p99(&aware) <= 0.5 * p99(&random),
            "{} and {}",
            p99(&aware),
            p99(&random)
        );
    }
}
