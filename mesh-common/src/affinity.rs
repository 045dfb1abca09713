//! Session affinity: the backend to which a client is bound. Takes a service and a client, reads
//! and writes the client's row of AFFINITY, returns a choice of backend.

use crate::{
    abi::{AffinityKey, AffinityRow, ServiceRow, service_flags, socket_state},
    evidence::Evidence,
    kernel::Kernel,
    status::{Status, status},
    tiers::written,
};

const NANOSECONDS: u64 = 1_000_000_000;
/// Time after which another use is written to the row: a burst of connects writes it once.
const TOUCH_AFTER: u64 = NANOSECONDS / 4;

/// The client has no backend.
pub(crate) const UNBOUND: u64 = u64::MAX;

/// Returns the key of a client of a service with session affinity.
#[inline(always)]
pub fn affinity_key(service: &ServiceRow, client: u64) -> AffinityKey {
    let local = u32::from(service.flags & service_flags::LOCAL != 0);
    AffinityKey {
        client,
        service: service.id,
        variant: u32::from(service.key.addr.is_v4()) | local << 1,
    }
}

/// Returns whether a row that was last used `idle` nanoseconds ago still binds its client.
#[inline(always)]
pub fn is_in_time(service: &ServiceRow, idle: u64) -> bool {
    idle < u64::from(service.affinity_seconds) * NANOSECONDS
}

/// Returns index and generation of a backend in one word, as in [`AffinityRow`].
#[inline(always)]
fn word<K: Kernel>(kernel: &K, choice: u64) -> u64 {
    let index = choice & 0xffff_ffff;
    let generation = kernel
        .backend(index as u32)
        .map_or(0, |backend| backend.row.generation);
    index | u64::from(generation) << 32
}

/// Returns the backend to which the client is bound if it takes connections and the last use was
/// recent enough, in the form of a [`search`](crate::search::search)'s answer; else [`u64::MAX`].
///
/// This and [`bind`] are global functions: their rows need their own stack frames.
#[inline(always)]
pub fn kept<K: Evidence>(kernel: &K, service: &ServiceRow, client: u64) -> u64 {
    let (key, now) = (affinity_key(service, client), kernel.now());
    let Some(row) = kernel.affinity(&key) else {
        return UNBOUND;
    };
    // Another connect may have used the row after this one read the clock.
    let idle = now.saturating_sub(row.used_at);
    if !is_in_time(service, idle) {
        return UNBOUND;
    }
    let choice = still_taking(kernel, service, row.backend);
    if choice != UNBOUND && idle > TOUCH_AFTER {
        kernel.move_affinity(
            &key,
            row.backend,
            &AffinityRow {
                used_at: now,
                ..row
            },
        );
    }
    choice
}

/// Binds the client to a choice. Returns the row's choice: of several concurrent first connects one
/// binds the client, and the others take its choice.
#[inline(always)]
pub fn bind<K: Evidence>(kernel: &K, service: &ServiceRow, client: u64, choice: u64) -> u64 {
    let (key, now) = (affinity_key(service, client), kernel.now());
    let row = AffinityRow {
        backend: word(kernel, choice),
        used_at: now,
        owner: service.client,
        pad: 0,
    };
    match kernel.affinity(&key) {
        // Another connect bound the client after `kept` read the row.
        Some(bound)
            if is_in_time(service, now.saturating_sub(bound.used_at))
                && bound.backend != row.backend =>
        {
            let theirs = still_taking(kernel, service, bound.backend);
            if theirs != UNBOUND {
                return theirs;
            }
            kernel.move_affinity(&key, bound.backend, &row);
        }
        Some(bound) => kernel.move_affinity(&key, bound.backend, &row),
        // Without a row the client has no affinity.
        None if !kernel.add_affinity(&key, &row) => return choice,
        None => {}
    }
    match kernel.affinity(&key) {
        Some(winner) if winner.backend != row.backend => {
            still_taking(kernel, service, winner.backend)
        }
        _ => choice,
    }
}

/// Returns the backend of a row if it takes a connection. If its ejection is over, the answer has
/// TRIAL set: the calling connect must become its trial. Rows are recycled while they are read, so
/// the backend's service and generation are compared.
#[inline(always)]
fn still_taking<K: Evidence>(kernel: &K, service: &ServiceRow, word: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the word"
    )]
    let (index, generation) = (word as u32, (word >> 32) as u32);
    let Some(backend) = written(kernel, index) else {
        return UNBOUND;
    };
    if backend.row.generation != generation || backend.row.service != service.id {
        return UNBOUND;
    }
    match status(kernel, service, index, backend) {
        Status::Usable => index.into(),
        Status::Due => u64::from(index) | socket_state::TRIAL << 32,
        _ => UNBOUND,
    }
}

#[cfg(test)]
mod tests;
