//! The agent clears expired reservations before their epoch number is used again.

use std::num::NonZeroU32;

use mesh_common::{abi::BackendEntry, settle::settle};

use super::*;
use crate::dataplane::{Counts, expired};

const MILLISECOND: u64 = 1_000_000;

/// Has the kernel clear what has expired, as the agent does now and then.
fn sweep(memory: &Memory, now: u64) {
    let (tables, counters) = (memory.dump().unwrap(), memory.counters());
    let backends = tables.backends.iter().map(|(index, row)| BackendEntry {
        row: *row,
        load: counters.backends[index],
    });
    let counts = Counts {
        backends: backends.collect(),
        services: counters.loads.values().copied().collect(),
        ..Counts::default()
    };
    memory.set_now(now);
    expired(&counts, Duration::from_nanos(now))
        .into_iter()
        .for_each(|request| settle(memory, request));
}

#[test]
fn a_reservation_that_has_expired_does_not_come_back_when_epochs_come_round() {
    const ROUND: u64 = 1 << 40;
    let mut service = near_and_far(&[1]);
    service.traffic.limits.connections_per_endpoint = NonZeroU32::new(1);
    service.traffic.limits.connections = NonZeroU32::new(1);
    let mut memory = Memory::default();
    configure(&mut memory, &world(service), SECOND);
    // The kernel never sends the SYN.
    memory.set_socket(1);
    let verdict = connect(&memory, &fixture::key(VIP));
    assert!(matches!(verdict, Verdict::Backend { .. }));
    sweep(&memory, 60 * MILLISECOND);
    assert_eq!(ask(&mut memory, 2, true), None, "it still counts");
    sweep(&memory, 60_000 * MILLISECOND);
    memory.set_now(ROUND);
    assert_ne!(ask(&mut memory, 3, true), None);
}
