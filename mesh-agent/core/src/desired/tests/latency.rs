//! What a client learns of latencies is for itself.

use mesh_common::kernel::Kernel as _;

use super::*;

const ATTACKER: u32 = 1;
const VICTIM: u32 = 2;
const NAMES: [&str; 3] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];

fn shop() -> Memory {
    let mut service = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &NAMES.map(|name| (name, 1)),
    );
    service.traffic.balance = Balance::LatencyAware;
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    memory.set_seed(7);
    memory
}

/// A connection that takes as many microseconds to connect, and is open for as long, as `took` says
/// of its endpoint.
fn connect(memory: &mut Memory, socket: u64, client: u32, took: impl Fn(usize) -> u64) -> usize {
    memory.set_client_id(client);
    let SocketAddr::V4(to) = ask(memory, socket, false).unwrap() else {
        unreachable!("all are IPv4")
    };
    let number = usize::from(to.ip().octets()[3]) - 1;
    let later = |memory: &Memory| memory.set_now(memory.now() + took(number) * 1_000);
    later(memory);
    socket::established(memory, socket, 1, || true);
    later(memory);
    socket::closed(memory, socket, false);
    number
}

/// Connections of the victim in per mille by endpoint, each after some of the attacker's.
fn victims_shares(
    attacks: u64,
    attackers: impl Fn(usize) -> u64,
    victims: impl Fn(usize) -> u64,
) -> [u64; 3] {
    const CONNECTS: u64 = 3_000;
    let (mut memory, mut counts) = (shop(), [0; 3]);
    for round in 0..CONNECTS {
        for attack in 0..attacks {
            connect(
                &mut memory,
                round * 1_000 + 1 + attack,
                ATTACKER,
                &attackers,
            );
        }
        counts[connect(&mut memory, round * 1_000, VICTIM, &victims)] += 1;
    }
    counts.map(|count| count * 1_000 / CONNECTS)
}

/// The attacker connects a hundred times as often, and leaves connections to one endpoint open.
#[test]
fn durations_of_one_client_decide_nothing_for_another() {
    let shares = victims_shares(
        100,
        |number| if number == 0 { 1_000_000 } else { 0 },
        |_| 5_000,
    );
    assert!(
        shares.iter().all(|share| share.abs_diff(333) < 50),
        "{shares:?}"
    );
}

/// Nor does it hide which endpoint is the slow one.
#[test]
fn a_client_still_learns_while_another_attacks() {
    let attackers = |number| if number == 2 { 1_000_000 } else { 0 };
    let shares = victims_shares(
        100,
        attackers,
        |number| if number == 0 { 50_000 } else { 5_000 },
    );
    assert!(
        shares[0] < 50 && shares[1] > 400 && shares[2] > 400,
        "{shares:?}"
    );
}
