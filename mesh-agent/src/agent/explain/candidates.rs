//! Returns the status of each backend, and its reason.

use std::{collections::BTreeMap, net::SocketAddr, ops::Range};

use mesh_common::{
    abi::{Backend, BackendRow, ServiceRow, backend_state},
    ejection::{Health, milliseconds},
    evidence::Evidence as _,
    kernel::Kernel as _,
    occupancy::{connecting, live},
    status::{Status, status},
};

use super::table_copy::TableCopy;
use crate::{
    api::types::{Candidate, Tier, candidate_status},
    dataplane::{Dataplane as _, memory::Memory},
};

/// Returns the tiers of a frontend, and the other backends of its service in that address family.
pub(super) fn candidates(copy: &TableCopy) -> (Vec<Tier>, Vec<Candidate>) {
    let backends = copy.memory.dump().expect("memory can be read").backends;
    let shares: Vec<BTreeMap<u32, f64>> =
        copy.tiers.iter().map(|tier| shares(copy, tier)).collect();
    let tiers = shares
        .iter()
        .filter(|shares| !shares.is_empty())
        .map(|shares| tier(copy, shares))
        .collect();
    let is_v4 = copy.row.key.addr.is_v4();
    let elsewhere = |index: &u32, row: &BackendRow| {
        row.addr.is_v4() == is_v4 && !shares.iter().any(|shares| shares.contains_key(index))
    };
    let others = backends.iter().filter(|(index, row)| elsewhere(index, row));
    (
        tiers,
        others
            .filter_map(|(&index, _)| other(copy, index))
            .collect(),
    )
}

/// Returns each backend's share of the draws within a tier.
fn shares(copy: &TableCopy, tier: &Range<u32>) -> BTreeMap<u32, f64> {
    let mut shares = BTreeMap::new();
    for slot in copy.slots(tier) {
        let own = if slot.backend == slot.alias {
            1.0
        } else {
            f64::from(slot.threshold) / 2_f64.powi(32)
        };
        *shares.entry(slot.backend).or_default() += own / tier.len() as f64;
        *shares.entry(slot.alias).or_default() += (1.0 - own) / tier.len() as f64;
    }
    shares
}

fn tier(copy: &TableCopy, shares: &BTreeMap<u32, f64>) -> Tier {
    let all = shares.iter().filter_map(|(&index, share)| {
        let (status, candidate) = candidate(&copy.memory, &copy.row, index)?;
        Some((
            status,
            Candidate {
                draws_percent: percent(*share),
                ..candidate
            },
        ))
    });
    let found: Vec<(Status, Candidate)> = all.collect();
    let weight = |it: &(Status, Candidate)| f64::from(it.1.effective_weight);
    // A full backend is healthy, and keeps its share.
    let is_healthy = |it: &&(Status, Candidate)| matches!(it.0, Status::Usable | Status::Full);
    // An empty sum of floats is -0.
    let usable = 0.0 + found.iter().filter(is_healthy).map(weight).sum::<f64>();
    let total = 0.0 + found.iter().map(weight).sum::<f64>();
    let usable_percent = if total > 0.0 {
        percent(usable / total)
    } else {
        0.0
    };
    Tier {
        usable_percent,
        backends: found.into_iter().map(|(_, candidate)| candidate).collect(),
    }
}

fn other(copy: &TableCopy, index: u32) -> Option<Candidate> {
    let (status, candidate) = candidate(&copy.memory, &copy.row, index)?;
    Some(match status {
        Status::Down => candidate,
        _ => Candidate {
            reason: "not in the slots of this frontend".to_owned(),
            ..candidate
        },
    })
}

/// Returns a backend as the kernel sees it.
fn candidate(memory: &Memory, service: &ServiceRow, index: u32) -> Option<(Status, Candidate)> {
    let backend = memory.backend(index)?;
    let status = status(memory, service, index, backend);
    let word = load(backend);
    let row = &backend.row;
    let candidate = Candidate {
        endpoint: SocketAddr::new(row.addr.into(), u16::from_be(row.port)).to_string(),
        index,
        weight: None,
        effective_weight: row.weight.into(),
        connections: live(word),
        connecting: connecting(word),
        status: name(status).to_owned(),
        reason: reason(memory, service, index, backend, status),
        draws_percent: 0.0,
    };
    Some((status, candidate))
}

fn load(backend: &Backend) -> u64 {
    backend.live.load(std::sync::atomic::Ordering::Relaxed)
}

const fn name(status: Status) -> &'static str {
    match status {
        Status::Usable => candidate_status::USABLE,
        Status::Due => candidate_status::DUE,
        Status::Ejected | Status::Agreed => candidate_status::EJECTED,
        Status::Bounded => candidate_status::PROBATION,
        Status::Failing => candidate_status::FAILING,
        Status::Full => candidate_status::FULL,
        Status::Down => candidate_status::DOWN,
    }
}

fn reason(
    memory: &Memory,
    service: &ServiceRow,
    index: u32,
    backend: &Backend,
    status: Status,
) -> String {
    let health = Health::of(memory.client_health(service, index));
    let word = load(backend);
    match status {
        Status::Usable
            if service.failures > 0 && u32::from(health.streak) >= u32::from(service.failures) =>
        {
            format!(
                "usable; failed {} times in a row, not ejected because no other endpoint is left",
                health.streak
            )
        }
        Status::Usable if health.streak > 0 && service.failures > 0 => {
            format!(
                "usable; {} of {} failures that eject it",
                health.streak, service.failures
            )
        }
        Status::Usable => "usable".to_owned(),
        Status::Due => "its ejection is over: one trial connect may reach it".to_owned(),
        Status::Ejected => ejected(service, health, milliseconds(memory.now())),
        Status::Agreed => agreed(health, milliseconds(memory.now())),
        Status::Failing => format!(
            "failed {} times in a row; not ejected, because no other endpoint is usable",
            health.streak
        ),
        Status::Bounded => format!(
            "on probation: {} of {} failures that eject it, and {} connecting",
            health.streak,
            service.failures,
            connecting(word)
        ),
        Status::Full => format!(
            "full: {} of {} connections",
            live(word),
            service.max_backend_connections
        ),
        Status::Down => down(backend.row.state).to_owned(),
    }
}

/// `now` is milliseconds of the monotonic clock.
fn ejected(service: &ServiceRow, health: Health, now: u64) -> String {
    let (seconds, ejections) = (left(health, now), health.ejections);
    match ejections {
        0 | 1 => format!(
            "ejected for {seconds:.1} s more after {} failures",
            service.failures
        ),
        _ => format!("ejected for {seconds:.1} s more, {ejections} times in a row by now"),
    }
}

/// See [`ejected`].
fn agreed(health: Health, now: u64) -> String {
    format!(
        "ejected for {:.1} s more: clients agree that it fails",
        left(health, now)
    )
}

/// Returns the remaining seconds, rounded up to tenths.
fn left(health: Health, now: u64) -> f64 {
    health.until.saturating_sub(now).div_ceil(100) as f64 / 10.0
}

const fn down(state: u16) -> &'static str {
    match state {
        backend_state::DRAINING => "draining: it gets no new connections",
        backend_state::RETIRED => "removed from the configuration",
        _ => "notReady",
    }
}

/// Returns a fraction as percent with two decimal places.
pub(super) fn percent(part: f64) -> f64 {
    (part * 10_000.0).round() / 100.0
}
