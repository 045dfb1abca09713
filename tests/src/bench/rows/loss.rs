//! Measures how many connects fail when endpoints are lost under load.

use std::{
    thread,
    time::{Duration, Instant},
};

use mesh_common::counter::Counter;

use super::{
    super::{client::connect, endpoint::Endpoint, table::Row},
    Scale, Scene, VIP, netns,
};
use crate::{Node, service};

const CLIENTS: usize = 64;
/// Packets to 10.200.0.9 leave through one end of a veth pair. The other end drops them, because they
/// have another MAC address.
const BLACK_HOLE: &str = "ip link add hole0 type veth peer name hole1 && ip addr add 10.200.0.1/24 dev hole0 && \
    ip link set hole0 up && ip link set hole1 up && ip neigh add 10.200.0.9 lladdr 02:00:00:00:00:09 dev hole0";
/// Failures in a row that eject an endpoint, by default.
const STREAK: u64 = 3;

pub(super) fn killed(scale: &Scale) -> Vec<Row> {
    let measure = |stop_agent: bool| -> Vec<f64> {
        (0..scale.rounds)
            .map(|_| {
                let mut scene = Scene::new("balance: leastConnections", 16, &[1, 1, 1]);
                if stop_agent {
                    scene.node.stop_agent();
                }
                let dying = scene.endpoints.remove(0);
                let place = scene.node.place();
                let outcome = thread::scope(|scope| {
                    let clients = scope.spawn(|| {
                        connect(
                            place,
                            VIP,
                            CLIENTS,
                            Duration::from_millis(1500),
                            Duration::ZERO,
                        )
                    });
                    thread::sleep(Duration::from_millis(500));
                    drop(dying);
                    clients.join().expect("clients do not panic")
                });
                println!(
                    "    {} answered, {} connects failed, agent stopped: {stop_agent}",
                    outcome.ok, outcome.failed
                );
                outcome.failed as f64
            })
            .collect()
    };
    vec![
        Row::at_most(
            "failed connects, agent alive",
            &measure(false),
            STREAK as f64,
        ),
        Row::at_most(
            "failed connects, agent stopped",
            &measure(true),
            STREAK as f64,
        ),
    ]
}

pub(super) fn black_hole(scale: &Scale) -> Vec<Row> {
    let scene = Scene::new("outlier: {baseEjection: 1s, maxEjection: 2s}", 16, &[1, 1]);
    let made = scene
        .node
        .place()
        .command("sh")
        .args(["-c", BLACK_HOLE])
        .output()
        .expect("sh starts");
    if !made.status.success() {
        println!(
            "    not measured: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
        return Vec::new();
    }
    let mut cart = service("shop/cart").address("10.96.0.10").tcp(80);
    cart = cart
        .with("outlier: {baseEjection: 1s, maxEjection: 2s}")
        .at("10.200.0.9:80".parse().expect("an address"));
    for endpoint in &scene.endpoints {
        cart = cart.at(endpoint.address);
    }
    scene.node.write("cart.yaml", cart);
    scene.wait_until_served(3);
    let before = scene.connect(16, Duration::from_secs(4));
    println!(
        "    until it is ejected: {} stalled of {}",
        before.stalled,
        before.ok + before.failed
    );
    let trials = || scene.node.port("shop/cart").counters[Counter::Trials];
    let beyond: Vec<f64> = (0..scale.rounds)
        .map(|_| {
            let known = trials();
            let after = scene.connect(16, Duration::from_secs(5));
            let trials = trials() - known;
            println!(
                "    afterwards: {} stalled of {}, {trials} trials",
                after.stalled,
                after.ok + after.failed
            );
            after.stalled.saturating_sub(trials) as f64
        })
        .collect();
    vec![Row::at_most(
        "stalled connects after the ejection, beyond the trials",
        &beyond,
        0.0,
    )]
}

pub(super) fn zone(scale: &Scale) -> Vec<Row> {
    let (mut failed, mut late, mut rush) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let node = Node::setup().flags("--zone a").start();
        let start =
            |host| Endpoint::start(&node.place().netns, host, 0, 16, Duration::from_millis(2));
        let (near, far): (Vec<Endpoint>, Vec<Endpoint>) =
            ((1..4).map(start).collect(), (4..7).map(start).collect());
        let settings =
            "locality: {order: [zone]}\n  outlier: {baseEjection: 500ms, maxEjection: 1s}";
        let mut cart = service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with(settings);
        for (endpoints, zone) in [(&near, "zone: a"), (&far, "zone: b")] {
            for endpoint in endpoints {
                cart = cart.at_described(endpoint.address, zone);
            }
        }
        node.write("cart.yaml", cart);
        let scene = Scene {
            node,
            endpoints: far,
        };
        scene.wait_until_served(6);
        let place = scene.node.place();
        thread::scope(|scope| {
            let clients = scope.spawn(|| {
                connect(
                    place,
                    VIP,
                    CLIENTS,
                    Duration::from_millis(5000),
                    Duration::ZERO,
                )
            });
            thread::sleep(Duration::from_millis(700));
            let (lost, addresses) = (
                Instant::now(),
                near.iter().map(|it| it.address).collect::<Vec<_>>(),
            );
            drop(near);
            let served = || scene.served().iter().sum::<u64>();
            let known = served();
            while served() < known + 50 && lost.elapsed() < Duration::from_secs(3) {
                thread::sleep(Duration::from_millis(1));
            }
            late.push(lost.elapsed().as_secs_f64());
            thread::sleep(Duration::from_millis(700));
            let restart = |(host, address): (u8, &std::net::SocketAddr)| {
                Endpoint::start(
                    netns(&scene),
                    host,
                    address.port(),
                    16,
                    Duration::from_millis(2),
                )
            };
            let back: Vec<Endpoint> = (1_u8..).zip(&addresses).map(restart).collect();
            rush.push(busiest(&scene, &back));
            let outcome = clients.join().expect("clients do not panic");
            println!(
                "    {} answered, {} connects failed",
                outcome.ok, outcome.failed
            );
            // Failures until the ejections, and then the trials of endpoints that are still dead.
            failed.push(
                outcome
                    .failed
                    .saturating_sub(scene.node.port("shop/cart").counters[Counter::Trials])
                    as f64,
            );
        });
    }
    vec![
        Row::at_most(
            "failed connects beyond the trials, of three endpoints",
            &failed,
            (3 * STREAK) as f64,
        ),
        Row::at_most("seconds until the far zone serves", &late, 1.0),
        Row::at_most(
            "most that a returning endpoint gets in 100 ms, of its share of the zone",
            &rush,
            2.5,
        ),
    ]
}

/// Returns the largest share of the connects of any 100 ms that one returning endpoint got, times the
/// number of returning endpoints.
fn busiest(scene: &Scene, back: &[Endpoint]) -> f64 {
    let count = || -> Vec<u64> { back.iter().map(Endpoint::served).collect() };
    let all = || scene.served().iter().sum::<u64>() + count().iter().sum::<u64>();
    let (mut most, mut known, mut total) = (0.0_f64, count(), all());
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        let (now, sum) = (count(), all());
        let largest = now
            .iter()
            .zip(&known)
            .map(|(now, before)| now - before)
            .max()
            .unwrap_or(0);
        most = most.max(largest as f64 / (sum - total).max(1) as f64 * back.len() as f64);
        (known, total) = (now, sum);
    }
    most
}
