//! The life of a socket that was given a backend: it holds the backend from its SYN to its end,
//! exactly once, and the outcome of its connect becomes the backend's health and latency.
//!
//! ```text
//!  connect hook      SYN sent             established             released or closed
//! ────────────► PENDING ────► HELD, CONNECTING ────► HELD ────────────────────────────► given back
//!                 │             │  └ not answered in time: FAILED, held, no longer connecting
//!                 │             └ closed by the kernel: failed; released by the program: no failure
//!                 └ refused by the kernel: a failure for its client alone; only reservations are given back
//! ```
//! UDP sockets have no SYN and are HELD at once. A socket ends when its program closes it or when
//! the kernel tells that its connection has ended (it closes sockets of its own without telling any
//! other hook), whichever is first: the hook that takes the bits out of the state gives the backend
//! back.

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

/// How a socket's connect was answered.
#[inline(always)]
pub fn record<K: Kernel>(kernel: &K, cookie: u64) -> Option<&SocketRecord> {
    // SAFETY: the row's memory lives as long as the map; but for its state, which is atomic, it is
    // written only by `connect`, in words that are read whole.
    unsafe { kernel.socket(cookie).as_ref() }
}

/// The socket's SYN is about to be sent: from now on it holds its backend and counts as connecting.
#[inline(always)]
pub fn syn_sent<K: Shares>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let place = Place::of(socket);
    let holds = socket_state::HELD | socket_state::CONNECTING;
    // A SYN of another connect than the recorded one, or a row that is another socket's, has no
    // PENDING to clear.
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

/// The socket is connected. `handshake` is the time that the last request for it took,
/// microseconds; zero if it is not known. A socket that is timed counts from its connect, lost
/// requests included. `in_node` says whether it is in the node's own network namespace.
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
    // A connect that failed for want of an answer in time may still get one.
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

/// A connect request was not answered, and is sent again. After the time that the service allows it
/// has failed: it stays held, but does not count as connecting any more.
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

/// The socket's TCP connection is closed, or never came to be, in which case `failed` says whether
/// a request for it was sent and refused or given up by the kernel: it is not the backend's fault
/// when there is no port or no route, or when the program changed its mind.
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

/// The socket's program closed it. `is_unconnected` says whether the socket is in no state of a
/// connection: if its SYN was never sent either, the kernel refused its connect after our hook, as
/// it does without a route. Another client's connect may have one, so that fails for this client
/// alone.
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

/// The socket seems to be gone or not connected, and no hook told so. If it connects again, it
/// knows from now on that others may give back what it holds.
#[inline(always)]
pub fn suspected<K: Kernel>(kernel: &K, cookie: u64) {
    if let Some(socket) = record(kernel, cookie) {
        change(socket, cookie, 0, socket_state::SUSPECTED);
    }
}

/// Gives back what a socket holds that has been [`suspected`] for so long that every hook knows.
/// Its row stays: a hook may have it in hand.
#[inline(always)]
pub fn settled<K: Shares>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else {
        return;
    };
    let (place, before) = (Place::of(socket), atomic::read(&socket.state));
    let after = before & !(HOLDS | socket_state::SUSPECTED) | socket_state::SETTLED;
    // If the socket connects at this moment it is neither.
    if before & COOKIE == owner(cookie, 0)
        && before & socket_state::SUSPECTED != 0
        && atomic::replace(&socket.state, before, after)
    {
        place.give_back(kernel, before);
    }
}

/// Removes the row of a socket that was [`settled`] so long ago that no hook has it in hand.
#[inline(always)]
pub fn forgotten<K: Shares>(kernel: &K, cookie: u64) {
    if let Some(socket) = record(kernel, cookie)
        && atomic::read(&socket.state) & socket_state::SETTLED != 0
    {
        drop(kernel, socket, cookie);
    }
}

/// Does what [`end`] does for a socket that holds a backend and nothing else, as most do; false for
/// others.
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

/// Releases what the previous connect of a socket holds. Its row is written anew or removed by the
/// same hook: the socket's lock keeps other hooks from it meanwhile, and where the agent may give
/// back the same, the first of both does.
#[inline(always)]
pub fn end<K: Shares>(kernel: &K, socket: &SocketRecord, cookie: u64) {
    let (place, state) = (Place::of(socket), atomic::read(&socket.state));
    if state & socket_state::SUSPECTED == 0 {
        place.give_back(kernel, state);
    } else if let Some(before) = change(socket, cookie, HOLDS, 0) {
        place.give_back(kernel, before);
    }
}

/// The same, without the row.
#[inline(always)]
pub(crate) fn drop<K: Shares>(kernel: &K, socket: &SocketRecord, cookie: u64) {
    let client = Place::of(socket).client;
    end(kernel, socket, cookie);
    kernel.forget(cookie, client);
}

/// Holds again what [`end`] released a moment ago, whatever others have taken since.
#[inline(always)]
pub(crate) fn resume<K: Shares>(kernel: &K, socket: &SocketRecord) {
    Place::of(socket).take_back(kernel, atomic::read(&socket.state));
}
