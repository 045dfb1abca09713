use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use mesh_common::{
    abi::capacity::{FLOWS_AT_FIRST, FLOWS_PER_SOCKET},
    connect::{Verdict, connect},
    datagram::{asked_for, send},
    kernel::Caller as _,
    occupancy::live,
    socket,
};

use super::*;
use crate::{
    desired::{World, compile, fixture, plan::diff},
    model::{Affinity, AffinityClient, Service},
};

const SECOND: u64 = 1_000_000_000;

fn configure(memory: &mut Memory, services: impl IntoIterator<Item = Service>) {
    let world = World {
        services: fixture::services(services),
        complete: true,
        ..World::default()
    };
    let current = memory.dump().unwrap();
    // Each call has another time, so that reused indexes get another generation.
    let now = Duration::from_secs(1 + current.names.len() as u64 + current.backends.len() as u64);
    memory
        .apply(&diff(
            &current,
            &compile(&world, now, &current, Memory::CAPACITY).unwrap(),
        ))
        .unwrap();
}

fn dns(endpoints: &[(&str, u32)]) -> Service {
    fixture::with(fixture::udp(fixture::fixed("dns", "10.96.0.1")), endpoints)
}

const VIP: &str = "10.96.0.1:80";
const TWO: [(&str, u32); 2] = [("10.0.0.1:53", 1), ("10.0.0.2:53", 1)];

fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Backend { addr, port } => format!("{addr}:{}", u16::from_be(port)),
        other => format!("{other:?}"),
    }
}

/// Asks with random numbers that select both halves of the slots.
fn answers(memory: &Memory, mut ask: impl FnMut() -> Verdict) -> BTreeSet<String> {
    let draws = [0, u32::MAX / 3, u32::MAX / 2 + 1, u32::MAX];
    draws
        .map(|random| {
            memory.set_random(random);
            text(ask())
        })
        .into()
}

#[test]
fn datagrams_of_a_socket_stay_with_their_endpoint_while_it_serves() {
    let mut memory = Memory::default();
    configure(&mut memory, [dns(&TWO)]);
    let key = fixture::udp_key(VIP);
    assert_eq!(answers(&memory, || connect(&memory, &key)).len(), 2);
    let first = answers(&memory, || send(&memory, &key));
    assert_eq!(first, ["10.0.0.1:53".to_owned()].into());
    configure(&mut memory, [dns(&[TWO[0], ("10.0.0.3:53", 9)])]);
    assert_eq!(answers(&memory, || send(&memory, &key)), first);
    configure(&mut memory, [dns(&[("10.0.0.3:53", 9)])]);
    assert_eq!(
        answers(&memory, || send(&memory, &key)),
        ["10.0.0.3:53".to_owned()].into()
    );
    configure(&mut memory, [dns(&[])]);
    assert_eq!(
        answers(&memory, || send(&memory, &key)),
        ["Refused".to_owned()].into()
    );
    assert_eq!(
        memory.counters().services[&0][..2],
        [6, 4],
        "one connect for each endpoint, one for each refusal"
    );
}

#[test]
fn a_flow_ends_when_another_service_gets_its_address() {
    let mut memory = Memory::default();
    configure(&mut memory, [dns(&TWO[..1])]);
    let key = fixture::udp_key(VIP);
    assert_eq!(text(send(&memory, &key)), "10.0.0.1:53");
    let moved = fixture::with(fixture::fixed("dns", "10.96.0.9"), &TWO[..1]);
    let heir = fixture::with(fixture::udp(fixture::fixed("heir", "10.96.0.1")), &TWO[1..]);
    configure(&mut memory, [moved, heir]);
    assert_eq!(text(send(&memory, &key)), "10.0.0.2:53");
}

#[test]
fn a_reply_comes_from_the_service_that_was_asked_last() {
    let mut memory = Memory::default();
    let twin = fixture::with(fixture::udp(fixture::fixed("twin", "10.96.0.2")), &TWO[..1]);
    configure(&mut memory, [dns(&TWO[..1]), twin]);
    let endpoint = fixture::udp_key(TWO[0].0);
    let seen = |memory: &Memory| {
        // SAFETY: the flows live as long as `memory`, and no other reference to them does.
        let flows = unsafe { &*memory.flows(false) };
        asked_for(memory, flows, &endpoint)
            .map(|(addr, port)| format!("{addr}:{}", u16::from_be(port)))
    };
    for vip in [VIP, "10.96.0.2:80", VIP] {
        send(&memory, &fixture::udp_key(vip));
        assert_eq!(seen(&memory).as_deref(), Some(vip));
    }
    assert_eq!(send(&memory, &endpoint), Verdict::Untouched);
    assert_eq!(seen(&memory), None);
}

#[test]
fn a_socket_that_sends_to_too_many_services_keeps_the_latest() {
    let mut memory = Memory::default();
    let many = (0..=FLOWS_PER_SOCKET).map(|number| {
        let service = fixture::fixed(&format!("dns-{number:03}"), &format!("10.96.1.{number}"));
        fixture::with(fixture::udp(service), &TWO)
    });
    configure(&mut memory, many);
    for number in 0..=FLOWS_PER_SOCKET {
        let key = fixture::udp_key(&format!("10.96.1.{number}:80"));
        assert_eq!(
            answers(&memory, || send(&memory, &key)).len(),
            1,
            "service {number}"
        );
    }
    // The last took the place of the first in the second record, so the first asks again.
    memory.set_random(u32::MAX);
    let replaced = FLOWS_AT_FIRST;
    let ask = |number: usize| {
        text(send(
            &memory,
            &fixture::udp_key(&format!("10.96.1.{number}:80")),
        ))
    };
    assert_eq!(
        [replaced - 1, replaced + 2].map(ask),
        ["10.0.0.1:53", "10.0.0.1:53"]
    );
    assert_eq!(ask(replaced), "10.0.0.2:53");
}

fn sticky(endpoints: &[(&str, u32)]) -> Service {
    let affinity = Affinity {
        client: AffinityClient::NetworkNamespace,
        timeout: Duration::from_secs(10),
    };
    Service {
        affinity: Some(affinity),
        ..cart(endpoints)
    }
}

#[test]
fn a_client_stays_with_its_endpoint_as_long_as_it_comes_back_in_time() {
    let mut memory = Memory::default();
    configure(&mut memory, [sticky(&TWO)]);
    let key = fixture::key(VIP);
    let ask = |memory: &Memory, client: u64, now: u64, random: u32| {
        memory.set_client(client);
        memory.set_now(now * SECOND);
        memory.set_random(random);
        text(connect(memory, &key))
    };
    assert_eq!(ask(&memory, 1, 100, 0), "10.0.0.1:53");
    assert_eq!(
        ask(&memory, 2, 100, u32::MAX),
        "10.0.0.2:53",
        "clients are told apart"
    );
    assert_eq!(ask(&memory, 1, 109, u32::MAX), "10.0.0.1:53");
    assert_eq!(
        ask(&memory, 1, 118, u32::MAX),
        "10.0.0.1:53",
        "every use counts anew"
    );
    assert_eq!(ask(&memory, 1, 129, u32::MAX), "10.0.0.2:53", "too late");
    configure(&mut memory, [sticky(&TWO[..1])]);
    assert_eq!(
        ask(&memory, 1, 130, u32::MAX),
        "10.0.0.1:53",
        "its endpoint left"
    );
    configure(&mut memory, [sticky(&TWO)]);
    assert_eq!(ask(&memory, 1, 131, u32::MAX), "10.0.0.1:53");
}

#[test]
fn a_binding_counts_for_the_client_of_the_socket() {
    let mut memory = Memory::default();
    configure(
        &mut memory,
        [
            sticky(&TWO),
            Service {
                affinity: sticky(&[]).affinity,
                ..dns(&TWO)
            },
        ],
    );
    memory.set_client_id(7);
    connect(&memory, &fixture::key(VIP));
    send(&memory, &fixture::udp_key(VIP));
    let owners: Vec<u32> = memory
        .affinity
        .borrow()
        .values()
        .map(|row| row.owner)
        .collect();
    assert_eq!(owners, [7, 7]);
}

fn cart(endpoints: &[(&str, u32)]) -> Service {
    fixture::with(fixture::fixed("cart", "10.96.0.1"), endpoints)
}

/// Returns the service with a limit of connections.
fn limited(connections: u32, mut service: Service) -> Service {
    service.traffic.limits.connections = NonZeroU32::new(connections);
    service
}

fn connections(memory: &Memory) -> Vec<u64> {
    memory
        .counters()
        .loads
        .values()
        .map(|load| live(load.connections))
        .collect()
}

#[test]
fn a_socket_that_sends_on_to_another_endpoint_counts_once() {
    let mut memory = Memory::default();
    configure(&mut memory, [limited(1, dns(&TWO[..1]))]);
    let key = fixture::udp_key(VIP);
    for endpoint in [TWO[0], TWO[1], TWO[0]] {
        configure(&mut memory, [limited(1, dns(&[endpoint]))]);
        assert_eq!(text(send(&memory, &key)), endpoint.0);
        assert_eq!(connections(&memory), [1]);
    }
    // SAFETY: the flows live as long as `memory`, and no other reference to them does.
    mesh_common::datagram::released(&memory, unsafe { &*memory.flows(false) }, None);
    assert_eq!(connections(&memory), [0]);
}

#[test]
fn a_socket_that_connects_again_counts_once() {
    let mut memory = Memory::default();
    configure(&mut memory, [limited(1, cart(&TWO))]);
    let key = fixture::key(VIP);
    for _ in 0..3 {
        assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
        socket::syn_sent(&memory, 0);
        assert_eq!(connections(&memory), [1]);
    }
    socket::released(&memory, 0, || false);
    assert_eq!(connections(&memory), [0]);
}

#[test]
fn a_reused_id_of_a_limited_service_is_not_refused_for_ever() {
    let mut memory = Memory::default();
    configure(&mut memory, [limited(1, cart(&TWO))]);
    let key = fixture::key(VIP);
    assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
    socket::syn_sent(&memory, 0);
    configure(&mut memory, []);
    configure(&mut memory, [limited(2, cart(&TWO))]);
    socket::released(&memory, 0, || false);
    assert_eq!(connections(&memory), [0]);
    assert!(matches!(connect(&memory, &key), Verdict::Backend { .. }));
}
