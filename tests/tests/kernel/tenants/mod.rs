//! Clients of several tenants on one node: none can affect the others.

mod agreement;
mod all_at_once;
mod attack_variants;
mod attacks;
mod endpoint_shares;
mod full_size;
mod identity;
mod latency;
mod many_failures;
mod quotas;
mod shares;

use std::{
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use mesh_common::client::short;
use mesh_tests::{
    client::{ConnectReport, Loop},
    place::Place,
};

/// Duration of each attack.
const TIME: Duration = Duration::from_secs(10);

/// Returns the client id of a cgroup that is directly below one that holds clients.
fn id(client: &Place) -> u32 {
    short(
        client
            .cgroup
            .path()
            .metadata()
            .expect("the cgroup exists")
            .ino(),
    )
}

/// Repeats a check of the victims while attacks run, and once more after their end. Returns the
/// reports of the attackers.
fn while_attacked(attacks: Vec<Loop<'_>>, mut check: impl FnMut()) -> Vec<ConnectReport> {
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        check();
    }
    let reports = attacks.into_iter().map(Loop::stop).collect();
    check();
    reports
}

/// Returns the number of connects and datagrams of an attacker.
fn attempts(report: &ConnectReport) -> u64 {
    report.total_answers() + report.errors.values().sum::<u64>()
}
