//! The life of a socket with a backend: it holds the backend from its SYN to its end, exactly once,
//! and the outcome of its connect goes into the health and latency of the backend. Takes events of
//! hooks, changes the socket's row and what it counts in.
//!
//! ```text
//!  connect hook      SYN sent             established             released or closed
//! ────────────► PENDING ────► HELD, CONNECTING ────► HELD ────────────────────────────► given back
//!                 │             │  └ not answered in time: FAILED, held, no longer connecting
//!                 │             └ closed by the kernel: failed; released by the program: no failure
//!                 └ refused by the kernel: a failure for its client alone; only reservations are given back
//! ```
//!
//! UDP sockets have no SYN and are HELD at once. A socket ends when its program closes it or when
//! the kernel reports the end of its connection (it closes its own sockets without another
//! hook), whichever is first: the hook that takes the bits out of the state releases the backend.

mod place;
mod state;

pub(crate) use self::state::owner;
use self::{
    place::{NANOSECONDS_PER_MICROSECOND, Place},
    state::{COOKIE, HOLDS, change, is_trial},
};
use crate::{
    abi::{SocketRecord, socket_state},
    atomic,
    kernel::Kernel,
    latency::{self, Part},
    limits::Shares,
    occupancy,
    outcome::{Outcomes, private},
};

/// Returns how the socket's last connect was answered.
#[inline(always)]
pub fn record<K: Kernel>(kernel: &K, cookie: u64) -> Option<&SocketRecord> {
    // SAFETY: the row's memory lives as long as the map; but for its state, which is atomic, it is
    // written only by `connect`, in words that are read whole.
    unsafe { kernel.socket(cookie).as_ref() }
}

/// Handles a SYN that is about to be sent: from now on the socket holds its backend and counts as
/// connecting.
#[inline(always)]
pub fn syn_sent<K: Shares>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let holds = socket_state::HELD | socket_state::CONNECTING;
    // The SYN of a connect that is not recorded, or the row of another socket, has no PENDING to
    // clear.
    if atomic::read(&socket.state) & socket_state::PENDING == 0 {
        return;
    }
    let taken = socket_state::PENDING | socket_state::RESERVED;
    if let Some(before) = change(socket, cookie, taken, holds)
        && before & socket_state::PENDING != 0
    {
        place.hold(kernel, before);
    }
}

/// Handles an established connection. `handshake` is the round trip of the last SYN, microseconds;
/// zero if it is not known. A timed socket counts from its connect instead, lost SYNs included.
/// `in_node` returns whether the socket is in the node's own network namespace.
#[inline(always)]
pub fn established<K: Outcomes>(
    kernel: &K,
    cookie: u64,
    handshake: u64,
    in_node: impl FnOnce() -> bool,
) {
    const WAITS: u64 = socket_state::CONNECTING | socket_state::FAILED;
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let mut attempt = place.attempt(socket);
    let Some(before) = change(socket, cookie, WAITS | socket_state::TRIAL, 0) else {
        return;
    };
    if before & WAITS == 0 {
        return;
    }
    let Some(backend) = place.backend(kernel) else {
        return;
    };
    if before & socket_state::CONNECTING != 0 {
        occupancy::remove(&backend.live, occupancy::CONNECTING);
    }
    // A connect that failed because its answer was late may still get it.
    if atomic::read(&backend.health) != 0 {
        attempt.is_trial = is_trial(before);
        kernel.succeeded(&attempt, in_node());
    }
    if before & socket_state::TIMED != 0 {
        let took = kernel.now().saturating_sub(place.started) / NANOSECONDS_PER_MICROSECOND;
        place.learn(kernel, backend, Part::Handshake, took);
    } else if handshake != 0 {
        latency::learn_together(backend, Part::Handshake, handshake);
    }
}

/// Handles a SYN that was not answered and is sent again. After the connect timeout of the service
/// the connect has failed: the socket stays held, but no longer counts as connecting.
#[inline(always)]
pub fn unanswered<K: Outcomes>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let mut attempt = place.attempt(socket);
    if atomic::read(&socket.state) & socket_state::CONNECTING == 0 {
        return;
    }
    let waited = kernel.coarse_now().saturating_sub(place.started);
    if kernel.is_too_long(&attempt.key, waited)
        && let Some(before) = change(
            socket,
            cookie,
            socket_state::CONNECTING,
            socket_state::FAILED,
        )
        && before & socket_state::CONNECTING != 0
        && let Some(backend) = place.backend(kernel)
    {
        occupancy::remove(&backend.live, occupancy::CONNECTING);
        attempt.is_trial = is_trial(before);
        kernel.failed(&attempt, kernel.weigh(&attempt));
    }
}

/// Handles the end of a TCP connection, or of a connect. For a connect `failed` says whether a SYN
/// was sent and then refused or given up by the kernel: without a port or a route, or when the
/// program changed its mind, the backend did not fail.
#[inline(always)]
pub fn closed<K: Outcomes + Shares>(kernel: &K, cookie: u64, failed: bool) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let mut attempt = place.attempt(socket);
    let Some(before) = change(socket, cookie, HOLDS | socket_state::TRIAL, 0) else {
        return;
    };
    kernel.forget(cookie, place.client);
    let Some(backend) = place.give_back(kernel, before) else {
        return;
    };
    place.time(kernel, before, backend);
    if failed && before & socket_state::CONNECTING != 0 {
        attempt.is_trial = is_trial(before);
        kernel.failed(&attempt, kernel.weigh(&attempt));
    }
}

/// Handles a socket that its program closed. `is_unconnected` returns whether the socket is in no
/// state of a connection: if its SYN was never sent either, the kernel refused its connect after
/// the hook, as it does without a route. Connects of other clients may have a route, so this is a
/// failure for this client alone.
#[inline(always)]
pub fn released<K: Outcomes + Shares>(
    kernel: &K,
    cookie: u64,
    is_unconnected: impl FnOnce() -> bool,
) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let mut attempt = place.attempt(socket);
    let Some(before) = change(socket, cookie, HOLDS | socket_state::TRIAL, 0) else {
        return;
    };
    kernel.forget(cookie, place.client);
    if let Some(backend) = place.give_back(kernel, before) {
        place.time(kernel, before, backend);
    }
    if before & socket_state::PENDING != 0 && is_unconnected() {
        attempt.is_trial = is_trial(before);
        kernel.failed(&attempt, private(kernel.weigh(&attempt)));
    }
}

/// Marks a socket that seems to be gone or not connected, without a hook having reported it. A
/// later connect of the socket then knows that others may release what it holds.
#[inline(always)]
pub fn suspected<K: Kernel>(kernel: &K, cookie: u64) {
    if let Some(socket) = record(kernel, cookie) {
        change(socket, cookie, 0, socket_state::SUSPECTED);
    }
}

/// Releases what a socket holds that was [`suspected`] long enough for every hook to see it. The
/// row stays, because a hook may be using it.
#[inline(always)]
pub fn settled<K: Shares>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let (place, before) = (Place::of(socket), atomic::read(&socket.state));
    let after = before & !(HOLDS | socket_state::SUSPECTED) | socket_state::SETTLED;
    // A socket that connects at this moment has another state, and is not settled.
    if before & COOKIE == owner(cookie, 0)
        && before & socket_state::SUSPECTED != 0
        && atomic::replace(&socket.state, before, after)
    {
        place.give_back(kernel, before);
    }
}

/// Removes the row of a socket that was [`settled`] so long ago that no hook is using it.
#[inline(always)]
pub fn forgotten<K: Shares>(kernel: &K, cookie: u64) {
    if let Some(socket) = record(kernel, cookie)
        && atomic::read(&socket.state) & socket_state::SETTLED != 0
    {
        drop(kernel, socket, cookie);
    }
}

/// Does what [`end`] does for a socket that holds a backend and nothing else, as most do. Returns
/// false for other sockets.
#[inline(always)]
pub(crate) fn end_held<K: Kernel>(kernel: &K, socket: &SocketRecord) -> bool {
    const OTHERS: u64 = HOLDS & !socket_state::HELD | socket_state::SUSPECTED;
    let (place, state) = (Place::of(socket), atomic::read(&socket.state));
    if state & (OTHERS | socket_state::HELD) != socket_state::HELD {
        return false;
    }
    if let Some(backend) = place.backend(kernel) {
        occupancy::remove(&backend.live, occupancy::LIVE);
    }
    true
}

/// Releases what the previous connect of a socket holds. The same hook rewrites or removes the row:
/// the socket's lock keeps other hooks away meanwhile, and where the agent may release the same,
/// the first of both does.
#[inline(always)]
pub fn end<K: Shares>(kernel: &K, socket: &SocketRecord, cookie: u64) {
    let (place, state) = (Place::of(socket), atomic::read(&socket.state));
    if state & socket_state::SUSPECTED == 0 {
        place.give_back(kernel, state);
    } else if let Some(before) = change(socket, cookie, HOLDS, 0) {
        place.give_back(kernel, before);
    }
}

/// Does what [`end`] does, and removes the row.
#[inline(always)]
pub(crate) fn drop<K: Shares>(kernel: &K, socket: &SocketRecord, cookie: u64) {
    let client = Place::of(socket).client;
    end(kernel, socket, cookie);
    kernel.forget(cookie, client);
}

/// Holds again what [`end`] released a moment ago, regardless of limits.
#[inline(always)]
pub(crate) fn resume<K: Shares>(kernel: &K, socket: &SocketRecord) {
    Place::of(socket).take_back(kernel, atomic::read(&socket.state));
}

#[cfg(test)]
mod tests;
