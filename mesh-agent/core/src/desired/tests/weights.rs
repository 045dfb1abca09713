//! The share of connects follows the weights, however many connections are open.

use super::*;

/// Numbers of connections that are open all the time.
const OPEN: [usize; 6] = [0, 1, 3, 5, 15, 63];
const CONNECTS: u64 = 20_000;
const WEIGHTS: [&[u32]; 16] = [
    &[95, 5],
    &[1, 2],
    &[1, 2, 7],
    &[1, 1],
    &[1, 1, 1, 1, 1],
    &[10, 1, 1, 1],
    &[99, 1],
    &[1, 1, 10],
    &[100, 101],
    &[9, 10],
    &[3, 4],
    &[2, 3],
    &[4, 5],
    &[20, 19, 1],
    &[50, 51, 52],
    &[1, 2, 3, 4, 5],
];

/// Weights, and which endpoints are down.
const LEFT: [(&[u32], &[usize]); 18] = [
    (&[1, 1], &[0]),
    (&[1, 1, 1], &[0]),
    (&[1, 1, 1], &[1]),
    (&[1, 1, 1], &[2]),
    (&[1, 1, 1], &[0, 2]),
    (&[1, 1, 1, 1], &[0]),
    (&[1, 1, 1, 1], &[3]),
    (&[1, 1, 1, 1], &[1, 2]),
    (&[1, 1, 1, 1], &[0, 2]),
    (&[1, 1, 1, 1, 1], &[0]),
    (&[1, 1, 1, 1, 1], &[2]),
    (&[1, 1, 1, 1, 1], &[3, 4]),
    (&[1, 1, 1, 1, 1], &[1, 3]),
    (&[1, 2, 3], &[0]),
    (&[1, 2, 3], &[2]),
    (&[3, 1, 1], &[1]),
    (&[1, 2, 3, 4], &[1]),
    (&[5, 1, 1, 2, 3], &[0, 3]),
];

/// Share of each endpoint in per cent, while `open` connections stay open. Each ends at random, and
/// another begins. An endpoint answers after as many microseconds as `took` says of its number.
fn measured(balance: Balance, weights: &[u32], open: usize, took: impl Fn(u8) -> u64) -> Vec<f64> {
    measured_without(&[], balance, weights, (open, CONNECTS), took)
}

/// Returns the same for this number of connects while the endpoints with these indexes are down.
fn measured_without(
    down: &[usize],
    balance: Balance,
    weights: &[u32],
    (open, connects): (usize, u64),
    took: impl Fn(u8) -> u64,
) -> Vec<f64> {
    let names: Vec<String> = (1..=weights.len())
        .map(|it| format!("10.0.0.{it}:80"))
        .collect();
    let endpoints: Vec<(&str, u32)> = names
        .iter()
        .map(String::as_str)
        .zip(weights.iter().copied())
        .collect();
    let mut service = fixture::with(fixture::fixed("cart", "10.96.0.1"), &endpoints);
    service.traffic.balance = balance;
    let mut memory = Memory::default();
    let mut world = world(service);
    fixture::fail(&mut world, down.iter().map(|&index| target(&names[index])));
    configure(&mut memory, &world, SECOND);
    memory.set_seed(7);
    let (mut chance, mut now) = (1_u64, 0);
    let (mut sockets, mut counts) = (Vec::new(), vec![0_u64; weights.len()]);
    for socket in 0..connects {
        memory.set_client(socket);
        let SocketAddr::V4(to) = ask(&mut memory, socket, false).unwrap() else {
            unreachable!("all are IPv4")
        };
        let number = to.ip().octets()[3] - 1;
        now += took(number) * 1_000;
        memory.set_now(now);
        socket::established(&memory, socket, took(number), || true);
        counts[usize::from(number)] += 1;
        sockets.push(socket);
        if sockets.len() > open {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let ended = sockets.swap_remove(usize::try_from(chance >> 33).unwrap() % sockets.len());
            socket::closed(&memory, ended, true);
        }
    }
    counts
        .into_iter()
        .map(|count| 100.0 * count as f64 / connects as f64)
        .collect()
}

fn expect_shares(balance: Balance, took: impl Fn(u8) -> u64) {
    for weights in WEIGHTS {
        let total: u32 = weights.iter().sum();
        for open in OPEN {
            let measured = measured(balance, weights, open, &took);
            for (share, weight) in measured.iter().zip(weights) {
                let ideal = 100.0 * f64::from(*weight) / f64::from(total);
                let close = (share - ideal).abs() <= 5.0 && *share >= 0.5 * ideal;
                assert!(
                    close,
                    "{balance:?} {weights:?} with {open} open: {measured:.1?}"
                );
            }
        }
    }
}

#[test]
fn least_connections_follows_weights_at_any_load() {
    expect_shares(Balance::LeastConnections, |_| 1_000);
}

#[test]
fn latency_aware_follows_weights_at_any_load() {
    expect_shares(Balance::LatencyAware, |_| 1_000);
}

/// Differences of microseconds between equal servers have no effect.
#[test]
fn latency_aware_follows_weights_when_endpoints_are_nearly_as_fast() {
    expect_shares(Balance::LatencyAware, |number| 60 - 7 * u64::from(number));
    expect_shares(Balance::LatencyAware, |number| {
        40_000 + 500 * u64::from(number)
    });
}

#[test]
fn latency_aware_prefers_a_faster_endpoint_when_nothing_is_open() {
    let measured = measured(Balance::LatencyAware, &[1, 1], 0, |number| {
        if number == 0 { 5_000 } else { 20_000 }
    });
    assert!(measured[0] > 95.0, "{measured:.1?}");
}

/// The others share what the endpoints that are down would get, by their weights.
#[test]
fn shares_follow_weights_among_the_endpoints_that_are_left() {
    let policies = [
        Balance::LeastConnections,
        Balance::LatencyAware,
        Balance::Random,
        Balance::RoundRobin,
        Balance::ConsistentHash(HashKey::NetworkNamespace),
    ];
    for balance in policies {
        let opens = if matches!(balance, Balance::LeastConnections | Balance::LatencyAware) {
            &OPEN[..5]
        } else {
            &[0]
        };
        for (weights, down) in LEFT {
            let total: u32 = (0..)
                .zip(weights)
                .filter(|(index, _)| !down.contains(index))
                .map(|(_, weight)| weight)
                .sum();
            for &open in opens {
                let measured = measured_without(down, balance, weights, (open, 5_000), |_| 1_000);
                for (index, (share, weight)) in measured.iter().zip(weights).enumerate() {
                    let ideal = if down.contains(&index) {
                        0.0
                    } else {
                        100.0 * f64::from(*weight) / f64::from(total)
                    };
                    let is_close = (share - ideal).abs() <= 5.0;
                    assert!(
                        is_close,
                        "{balance:?} {weights:?} without {down:?}, {open} open: {measured:.1?}"
                    );
                }
            }
        }
    }
}
