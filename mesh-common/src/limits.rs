//! Connection limits: of a service, and of one [client](crate::client)'s share of it. Takes a place
//! for a socket before a backend is chosen, and gives it back at the socket's end.
//!
//! A service counts its sockets in LOAD. Where it limits a client's share, the client's sockets
//! also count in SHARES, and both counts change together: what takes or gives back a place of the
//! service does the same for the client.

use core::sync::atomic::AtomicU64;

use crate::{
    abi::{ServiceRow, ShareKey, protocol, socket_state},
    counter::Counter,
    kernel::Kernel,
    occupancy::{self, LIVE, Place, live, reserved},
};

/// Stands for an epoch where there is no reservation.
const NO_EPOCH: u64 = u64::MAX;
/// Answer of [`claim`] when the client is at its limit.
const TAKEN: u64 = u64::MAX;

/// The global functions that change a client's share; see [`kernel`](crate::kernel).
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

/// Takes a place for a socket of a service that has a limit for all or for each client, or reserves
/// one where a SYN will follow. Returns bits of [`socket_state`]; zero when the connect is refused, which is counted.
///
/// A global function: few services have a limit.
#[inline(always)]
pub fn enter<K: Shares>(kernel: &K, service: &ServiceRow) -> u64 {
    let Some(load) = kernel.live_service(service.id) else {
        kernel.count(service.id, Counter::RefusedBroken);
        return 0;
    };
    let shared = if service.max_client_connections == 0 {
        0
    } else {
        kernel.claim(service)
    };
    if shared == TAKEN {
        kernel.count(service.id, Counter::RefusedShare);
        return 0;
    }
    let most = match service.max_connections {
        0 => u64::MAX,
        most => most.into(),
    };
    if take(&load.connections, service, most) {
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
/// when there is no row for the client, which then has no limit of its own; [`TAKEN`] when the
/// client is at its limit.
#[inline(always)]
pub fn claim<K: Kernel>(kernel: &K, service: &ServiceRow) -> u64 {
    let key = key(service);
    let mut share = kernel.share(&key);
    if share.is_none() {
        kernel.add_share(&key);
        share = kernel.share(&key);
    }
    match share {
        Some(word) if take(word, service, service.max_client_connections.into()) => {
            socket_state::SHARED
        }
        Some(_) => TAKEN,
        None => 0,
    }
}

/// Returns the key of the client's share.
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

/// Returns the change that undoes a [`take`] of a moment ago.
#[inline(always)]
fn untaken(service: &ServiceRow) -> (Option<u64>, u64) {
    match service.key.protocol {
        protocol::TCP => (Some(service.epoch()), 0),
        _ => (None, LIVE.wrapping_neg()),
    }
}

/// Gives back what [`enter`] took a moment ago. A global function.
#[inline(always)]
pub fn leave<K: Shares>(kernel: &K, service: &ServiceRow, limited: u64) {
    let (reserved, units) = untaken(service);
    change(kernel, limited, key(service), reserved, units);
}

/// Changes the counts of a socket with these bits of [`socket_state`] by `units`, and ends its
/// reservation of an epoch, if any.
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

/// Changes the count of a client's share. A share without a row has nothing to give back.
///
/// A global function: its key needs its own stack frame.
#[inline(always)]
pub fn change_share<K: Kernel>(kernel: &K, of: ShareKey, reserved: u64, units: u64) {
    if let Some(word) = kernel.share(&of) {
        apply(word, (reserved != NO_EPOCH).then_some(reserved), units);
    }
}

/// Corrects the count of a client's share by `units`.
#[inline(always)]
pub(crate) fn correct_share<K: Shares>(kernel: &K, of: ShareKey, units: u64) {
    kernel.change_share(of, NO_EPOCH, units);
}

/// Changes a word by `units`, and ends a reservation, if any.
#[inline(always)]
fn apply(word: &AtomicU64, reserved: Option<u64>, units: u64) {
    match reserved {
        Some(epoch) => occupancy::settle(word, epoch, units),
        None => occupancy::add(word, units),
    }
}
