//! The state word of a socket's row: what the socket holds, the epoch of its reservations, and its
//! cookie; see [`socket_state`]. Takes bits to clear and set, returns the state before.

use crate::{
    abi::{SocketRecord, socket_state},
    atomic, occupancy,
};

/// All that a socket holds or has reserved.
pub(super) const HOLDS: u64 = socket_state::HELD
    | socket_state::CONNECTING
    | socket_state::LIMITED
    | socket_state::SHARED
    | socket_state::PENDING
    | socket_state::RESERVED;
/// Bits of a state that identify the socket.
pub(super) const COOKIE: u64 = u64::MAX << socket_state::COOKIE;
/// Attempts to change a state that other hooks change; each of them does so a few times at most.
const ATTEMPTS: u32 = 8;

/// Returns the part of a state above its bits: the epoch of the socket's reservations, and its
/// cookie.
#[inline(always)]
pub(crate) const fn owner(cookie: u64, epoch: u64) -> u64 {
    cookie << socket_state::COOKIE | epoch << socket_state::BITS
}

/// Returns the epoch in a state.
#[inline(always)]
pub(super) const fn epoch(state: u64) -> u64 {
    (state & !COOKIE) >> socket_state::BITS
}

/// Clears and sets bits of a socket's state. Returns the state before, or none if the row is
/// another socket's by now.
#[inline(always)]
pub(super) fn change(socket: &SocketRecord, cookie: u64, clear: u64, set: u64) -> Option<u64> {
    for _ in 0..ATTEMPTS {
        let before = atomic::read(&socket.state);
        if before & COOKIE != owner(cookie, 0) {
            return None;
        }
        if atomic::replace(&socket.state, before, before & !clear | set) {
            return Some(before);
        }
    }
    None
}

/// Returns [`Attempt::is_trial`](crate::outcome::Attempt::is_trial) of a socket in this state.
#[inline(always)]
pub(super) fn is_trial(state: u64) -> u32 {
    (state & socket_state::TRIAL != 0).into()
}

/// Returns what `bits` of a socket's state count in
/// [`BackendLoad::live`](crate::abi::BackendLoad::live).
#[inline(always)]
pub(crate) const fn units(bits: u64) -> u64 {
    let held = if bits & socket_state::HELD != 0 {
        occupancy::LIVE
    } else {
        0
    };
    held + if bits & socket_state::CONNECTING != 0 {
        occupancy::CONNECTING
    } else {
        0
    }
}
