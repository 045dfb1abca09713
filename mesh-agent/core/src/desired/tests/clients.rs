//! One client holds no more than its share of a service's connections, and releases it with them.

use std::num::NonZeroU32;

use mesh_common::{
    abi::ShareKey,
    counter::Counter,
    occupancy::{LIVE, counts},
    settle::{Request, settle},
};

use super::*;

/// Nanoseconds of a second.
const NANOSECONDS: u64 = 1_000_000_000;
const ATTACKER: u32 = 7;
const VICTIM: u32 = 8;

/// A node with a service of 20 connections, of which a client may hold this part.
fn node(percent: Option<u8>) -> Memory {
    let mut service = near_and_far(&[3]);
    service.traffic.limits.connections = NonZeroU32::new(20);
    service.traffic.limits.percent_per_client = percent;
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    memory.set_seed(7);
    memory.set_now(NANOSECONDS);
    memory
}

/// Whether a connect of this client's socket is answered; its SYN is sent.
fn connects(memory: &mut Memory, client: u32, socket: u64) -> bool {
    memory.set_client_id(client);
    ask(memory, socket, false).is_some()
}

/// Whether a connect of this client's socket is answered whose SYN the kernel does not send.
fn reserves(memory: &Memory, client: u32, socket: u64) -> bool {
    memory.set_client_id(client);
    memory.set_socket(socket);
    matches!(connect(memory, &fixture::key(VIP)), Verdict::Backend { .. })
}

fn id(memory: &Memory) -> u32 {
    *memory.counters().loads.keys().next().expect("one service")
}

/// What the service and the shares of clients count.
fn held(memory: &Memory) -> (u64, Vec<(u32, u64)>) {
    let counters = memory.counters();
    let shares = counters
        .shares
        .iter()
        .map(|(of, &word)| (of.client, counts(word)));
    (
        counts(counters.loads[&id(memory)].connections),
        shares.collect(),
    )
}

fn refused(memory: &Memory) -> [u64; 2] {
    let counters = memory.counters().services[&id(memory)];
    [Counter::RefusedShare, Counter::RefusedLimit].map(|counter| counters[counter.index()])
}

#[test]
fn a_client_holds_no_more_than_its_share_and_others_have_theirs() {
    let mut memory = node(Some(25));
    let answered = (1..=100)
        .filter(|&socket| connects(&mut memory, ATTACKER, socket))
        .count();
    assert_eq!((answered, refused(&memory)), (5, [95, 0]));
    let answered = (200..205)
        .filter(|&socket| connects(&mut memory, VICTIM, socket))
        .count();
    assert_eq!((answered, refused(&memory)), (5, [95, 0]));
    assert_eq!(held(&memory), (10, vec![(ATTACKER, 5), (VICTIM, 5)]));
    for socket in (1..=100).chain(200..205) {
        socket::released(&memory, socket, || false);
    }
    assert_eq!(held(&memory), (0, vec![(ATTACKER, 0), (VICTIM, 0)]));
}

#[test]
fn without_a_share_one_client_may_hold_every_connection() {
    let mut memory = node(None);
    let answered = (1..=100)
        .filter(|&socket| connects(&mut memory, ATTACKER, socket))
        .count();
    assert_eq!(
        (
            answered,
            connects(&mut memory, VICTIM, 200),
            refused(&memory)
        ),
        (20, false, [0, 81])
    );
    assert_eq!(held(&memory), (20, vec![]), "no share is counted");
}

#[test]
fn a_full_service_takes_nothing_of_a_share() {
    let mut memory = node(Some(50));
    for client in [1, 2] {
        let sockets = u64::from(client) * 100;
        let answered = (sockets..sockets + 10)
            .filter(|&socket| connects(&mut memory, client, socket))
            .count();
        assert_eq!(answered, 10);
    }
    assert!(!connects(&mut memory, VICTIM, 300));
    assert_eq!(
        (held(&memory), refused(&memory)),
        ((20, vec![(1, 10), (2, 10), (VICTIM, 0)]), [0, 1])
    );
}

#[test]
fn a_connect_that_never_sends_a_syn_gives_its_part_of_the_share_back() {
    let mut memory = node(Some(25));
    for socket in 1..=5 {
        assert!(reserves(&memory, ATTACKER, socket));
    }
    assert!(!reserves(&memory, ATTACKER, 6), "reservations count");
    // One is closed, one connects again, and those that no hook tells of expire.
    socket::released(&memory, 1, || true);
    assert!(reserves(&memory, ATTACKER, 2));
    assert!(reserves(&memory, ATTACKER, 6));
    assert!(!reserves(&memory, ATTACKER, 7));
    memory.set_now(2 * NANOSECONDS);
    assert!(connects(&mut memory, ATTACKER, 8));
    assert_eq!(held(&memory), (LIVE, vec![(ATTACKER, LIVE)]));
}

#[test]
fn a_passed_socket_counts_for_the_client_that_connected_it_first() {
    let mut memory = node(Some(25));
    assert!(connects(&mut memory, ATTACKER, 1));
    assert!(connects(&mut memory, VICTIM, 1), "it connects again");
    assert_eq!(held(&memory), (1, vec![(ATTACKER, 1)]));
}

#[test]
fn a_wrong_share_is_corrected_and_one_that_is_gone_left_alone() {
    let mut memory = node(Some(25));
    assert!(connects(&mut memory, ATTACKER, 1));
    let of = |client| ShareKey {
        service: id(&memory),
        client,
    };
    for (client, live) in [(ATTACKER, 3), (ATTACKER, -2), (VICTIM, 1)] {
        settle(
            &memory,
            Request::Share {
                of: of(client),
                live,
            },
        );
    }
    assert_eq!(held(&memory), (1, vec![(ATTACKER, 2)]));
}

#[test]
fn the_last_place_of_a_share_is_one() {
    let memory = node(Some(1));
    let row = memory
        .dump()
        .expect("memory can be read")
        .services
        .values()
        .copied()
        .next()
        .expect("one");
    assert_eq!(row.max_client_connections, 1);
    assert!(reserves(&memory, ATTACKER, 1));
    assert!(!reserves(&memory, ATTACKER, 2));
    assert!(reserves(&memory, VICTIM, 3));
}
