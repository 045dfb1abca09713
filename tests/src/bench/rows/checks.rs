//! Measures the processor time of active health checks.

use std::{fs, net::TcpListener, thread, time::Duration};

use super::{super::table::Row, Scale};
use crate::{Node, netns::Netns, service};

const ENDPOINTS: u32 = 2000;

pub(super) fn cpu(scale: &Scale) -> Vec<Row> {
    let node = Node::setup()
        .flags("--health-check-allowed-networks 127.0.0.0/8")
        .start();
    let port = listen(&node.place().netns);
    let check = "health: {tcp: {}, interval: 5s, timeout: 1s}";
    let mut cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with(check);
    for host in 0..ENDPOINTS {
        let address = format!("127.8.{}.{}:{port}", host / 250, host % 250 + 1);
        cart = cart.at(address.parse().expect("an address"));
    }
    node.write("cart.yaml", cart);
    // One whole round of checks, as a warm-up.
    thread::sleep(Duration::from_secs(6));
    let pid = node.status().pid;
    let mut shares = Vec::new();
    for _ in 0..scale.rounds {
        let before = ticks(pid);
        thread::sleep(Duration::from_secs(5));
        // USER_HZ is 100 on every Linux.
        shares.push((ticks(pid) - before) as f64 / 500.0);
    }
    vec![Row::at_most("CPU of the agent, of one core", &shares, 0.03)]
}

/// Accepts connections on every loopback address until the process ends.
fn listen(netns: &Netns) -> u16 {
    let listener = netns
        .run(|| TcpListener::bind("0.0.0.0:0"))
        .expect("no other process is in this namespace");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port();
    thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// User and system time of a process.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the agent runs");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    [11, 12]
        .map(|field| fields[field].parse::<u64>().expect("a number of ticks"))
        .iter()
        .sum()
}
