//! How many connections a service takes at the same time, and how many of them one
//! [client](crate::client) may hold.
//!
//! A service counts its sockets in LOAD. Where it bounds a client's share, the client's sockets
//! count in SHARES as well, and both counts change together: what takes or gives back a place of
//! the service does so with the client's.

use core::sync::atomic::AtomicU64;

use crate::{
    abi::{ServiceRow, ShareKey, protocol, service_flags, socket_state},
    counter::Counter,
    kernel::Kernel,
    occupancy::{self, LIVE, Place, live, reserved},
};

/// In the place of an epoch: there is no reservation.
const NO_EPOCH: u64 = u64::MAX;
/// What [`claim`] returns when the client has its share.
const TAKEN: u64 = u64::MAX;

/// The global functions of this module that others of it call; see [`kernel`](crate::kernel).
pub trait Shares: Kernel {
    /// [`claim`]
    fn claim(&self, service: &ServiceRow) -> u64 {
        claim(self, service)
    }

    /// [`change_share`]
    fn change_share(&self, of: ShareKey, reserved: u64, units: u64) {
        change_share(self, of, reserved, units);
    }
}

/// Percent of the service's connections that one client may hold; zero for all.
#[inline(always)]
pub const fn percent(service: &ServiceRow) -> u32 {
    service.flags >> service_flags::SHARE & 0x7f
}

/// Connections that one client may hold: at least one, or zero where nothing bounds them.
#[inline(always)]
pub const fn most_per_client(service: &ServiceRow) -> u64 {
    (service.max_connections as u64 * percent(service) as u64).div_ceil(100)
}

/// Takes a place for a socket of a service that has a limit, or reserves one where a SYN will
/// follow. Returns bits of
/// [`socket_state`]; zero when the connect is refused, which is counted.
///
/// A function by itself in the kernel, as [`search`](crate::search::search) is: few services have a
/// limit.
#[inline(always)]
pub fn enter<K: Shares>(kernel: &K, service: &ServiceRow) -> u64 {
    let Some(load) = kernel.live_service(service.id) else {
        kernel.count(service.id, Counter::RefusedBroken);
        return 0;
    };
    let shared = if percent(service) == 0 {
        0
    } else {
        kernel.claim(service)
    };
    if shared == TAKEN {
        kernel.count(service.id, Counter::RefusedShare);
        return 0;
    }
    if take(&load.connections, service, service.max_connections.into()) {
        return socket_state::LIMITED | shared;
    }
    if shared != 0 {
        let (reserved, units) = untaken(service);
        kernel.change_share(key(service), reserved.unwrap_or(NO_EPOCH), units);
    }
    kernel.count(service.id, Counter::RefusedLimit);
    0
}

/// Takes a place of the client's share as [`enter`] does. Returns [`socket_state::SHARED`]; zero
/// when there is no room to count the client, which then has no bound of its own; [`TAKEN`] when
/// the client has its share.
#[inline(always)]
pub fn claim<K: Kernel>(kernel: &K, service: &ServiceRow) -> u64 {
    let key = key(service);
    let mut share = kernel.share(&key);
    if share.is_none() {
        kernel.add_share(&key);
        share = kernel.share(&key);
    }
    match share {
        Some(word) if take(word, service, most_per_client(service)) => socket_state::SHARED,
        Some(_) => TAKEN,
        None => 0,
    }
}

#[inline(always)]
const fn key(service: &ServiceRow) -> ShareKey {
    ShareKey {
        service: service.id,
        client: service.client,
    }
}

/// Takes or reserves a place unless `most` sockets have one.
#[inline(always)]
fn take(word: &AtomicU64, service: &ServiceRow, most: u64) -> bool {
    let epoch = service.epoch();
    let fits = |before: u64| live(before) + reserved(before, epoch) < most;
    match service.key.protocol {
        protocol::TCP => occupancy::reserve(word, epoch, fits) != Place::Taken,
        _ => occupancy::hold(word, fits),
    }
}

/// The change that undoes a [`take`] of a moment ago.
#[inline(always)]
fn untaken(service: &ServiceRow) -> (Option<u64>, u64) {
    match service.key.protocol {
        protocol::TCP => (Some(service.epoch()), 0),
        _ => (None, LIVE.wrapping_neg()),
    }
}

/// Gives back what [`enter`] took a moment ago. A function by itself in the kernel, as that is.
#[inline(always)]
pub fn leave<K: Shares>(kernel: &K, service: &ServiceRow, limited: u64) {
    let (reserved, units) = untaken(service);
    change(kernel, limited, key(service), reserved, units);
}

/// Changes the counts that a socket with these bits of [`socket_state`] is in: by `units`, and
/// where it had a reservation of an epoch, that ends.
#[inline(always)]
pub(crate) fn change<K: Shares>(
    kernel: &K,
    held: u64,
    of: ShareKey,
    reserved: Option<u64>,
    units: u64,
) {
    if held & socket_state::LIMITED == 0 {
        return;
    }
    if let Some(service) = kernel.live_service(of.service) {
        apply(&service.connections, reserved, units);
    }
    if held & socket_state::SHARED != 0 {
        kernel.change_share(of, reserved.unwrap_or(NO_EPOCH), units);
    }
}

/// Changes what a client's share counts. A share that is not there any more has nothing to give
/// back.
///
/// A function by itself in the kernel, as [`claim`] is: its key needs a stack of its own.
#[inline(always)]
pub fn change_share<K: Kernel>(kernel: &K, of: ShareKey, reserved: u64, units: u64) {
    if let Some(word) = kernel.share(&of) {
        apply(word, (reserved != NO_EPOCH).then_some(reserved), units);
    }
}

/// Corrects what a client's share counts by so many units.
#[inline(always)]
pub(crate) fn correct_share<K: Shares>(kernel: &K, of: ShareKey, units: u64) {
    kernel.change_share(of, NO_EPOCH, units);
}

#[inline(always)]
fn apply(word: &AtomicU64, reserved: Option<u64>, units: u64) {
    match reserved {
        Some(epoch) => occupancy::settle(word, epoch, units),
        None => occupancy::add(word, units),
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_at_least_one() {
        let most = |max_connections, percent: u32| {
            let flags = percent << service_flags::SHARE
                | u32::MAX << service_flags::EPOCH
                | service_flags::TIERS;
            most_per_client(&ServiceRow {
                max_connections,
                flags,
                ..ServiceRow::zeroed()
            })
        };
        assert_eq!(
            [
                most(20, 25),
                most(20, 26),
                most(1, 1),
                most(10, 100),
                most(10, 0)
            ],
            [5, 6, 1, 10, 0]
        );
        assert_eq!(most(u32::MAX, 100), u64::from(u32::MAX));
    }
}
