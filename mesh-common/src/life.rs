//! The life of a socket that was given a backend: it holds the backend from its connect to its end, exactly once, and
//! what becomes of its connect is the backend's health and latency.
//!
//! ```text
//! connect ──► HELD, CONNECTING ──established──► HELD ──closed──► given back
//!                    │ └─ no answer in time: failed, still held
//!                    └─ closed before: failed, unless the program closed it
//! ```
//! Whoever takes the HELD bit away gives the backend back; so it does not matter how many hooks hear of an end. The row
//! goes when the kernel tells that the connection has ended, or, where it will not tell, when the program closes the
//! socket.

use crate::{
    abi::{Backend, SocketRecord, socket_state},
    atomic,
    kernel::Kernel,
    outlier,
};

const NANOSECONDS_PER_MICROSECOND: u64 = 1000;
/// Connections that are open longer say nothing of how fast a backend answers, microseconds.
const SHORT: u64 = 1_000_000;
/// A sample moves an average by one part in so many.
const SMOOTHING: u64 = 8;
/// Longest sample, microseconds: half a minute.
const LONGEST: u64 = 1 << 25;
/// One half of a word.
const HALF: u64 = 0xffff_ffff;
/// One connecting socket in [`BackendLoad::live`](crate::abi::BackendLoad::live).
pub(crate) const CONNECTING: u64 = 1 << 32;

/// All that a socket holds.
const HOLDS: u64 = socket_state::HELD | socket_state::CONNECTING | socket_state::LIMITED;
/// Bits of a state that say whose it is.
const COOKIE: u64 = u64::MAX << socket_state::BITS;
/// Hooks that change one state at the same time; each does so a few times at most.
const ATTEMPTS: u32 = 8;

/// The part of a state that says whose it is.
#[inline(always)]
pub(crate) const fn owner(cookie: u64) -> u64 {
    cookie << socket_state::BITS
}

/// How a socket's connect was answered.
#[inline(always)]
pub fn record<K: Kernel>(kernel: &K, cookie: u64) -> Option<&SocketRecord> {
    // SAFETY: the row's memory lives as long as the map; but for its state, which is atomic, it is written only by
    // `connect`, in words that are read whole.
    unsafe { kernel.socket(cookie).as_ref() }
}

/// Clears and sets bits of a socket's state; what it was before, or none if the row is another socket's by now.
#[inline(always)]
fn change(socket: &SocketRecord, cookie: u64, clear: u64, set: u64) -> Option<u64> {
    for _ in 0..ATTEMPTS {
        let before = atomic::read(&socket.state);
        if before & COOKIE != owner(cookie) {
            return None;
        }
        if atomic::replace(&socket.state, before, before & !clear | set) {
            return Some(before);
        }
    }
    None
}

/// What `bits` of a socket's state count in [`BackendLoad::live`](crate::abi::BackendLoad::live).
#[inline(always)]
pub(crate) const fn units(bits: u64) -> u64 {
    let held = if bits & socket_state::HELD != 0 { 1 } else { 0 };
    held + if bits & socket_state::CONNECTING != 0 { CONNECTING } else { 0 }
}

/// The socket begins to connect; whether it is ours, so that the kernel shall tell of its states.
#[inline(always)]
pub fn begins<K: Kernel>(kernel: &K, cookie: u64) -> bool {
    let before = record(kernel, cookie).and_then(|socket| change(socket, cookie, 0, socket_state::WATCHED));
    before.is_some_and(|before| before & socket_state::HELD != 0)
}

/// The socket is connected.
#[inline(always)]
pub fn established<K: Kernel>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    let Some(before) = change(socket, cookie, socket_state::CONNECTING | socket_state::PROBE, 0) else { return };
    if before & socket_state::CONNECTING == 0 {
        return;
    }
    let Some(backend) = backend(kernel, socket) else { return };
    atomic::count(&backend.live, CONNECTING.wrapping_neg());
    // One that failed for want of an answer in time may still get one.
    outlier::succeeded(backend, before & socket_state::PROBE != 0);
    let took = kernel.now().saturating_sub(socket.started) / NANOSECONDS_PER_MICROSECOND;
    average(backend, took, 0);
}

/// A connect request was not answered, and is sent again.
#[inline(always)]
pub fn unanswered<K: Kernel>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    let state = atomic::read(&socket.state);
    if state & COOKIE != owner(cookie) || !outlier::is_failure(state) {
        return;
    }
    let Some(backend) = backend(kernel, socket) else { return };
    let waited = kernel.now().saturating_sub(socket.started);
    if outlier::is_too_long(kernel, socket, waited)
        && let Some(before) = change(socket, cookie, socket_state::PROBE, socket_state::FAILED)
    {
        outlier::failed(kernel, socket, backend, before & socket_state::PROBE != 0);
    }
}

/// The socket's TCP connection is closed, or never came to be.
#[inline(always)]
pub fn closed<K: Kernel>(kernel: &K, cookie: u64) {
    const ALL: u64 = HOLDS | socket_state::PROBE | socket_state::WATCHED;
    let Some(socket) = record(kernel, cookie) else { return };
    let Some(before) = change(socket, cookie, ALL, 0) else { return };
    if let Some(backend) = give_back(kernel, socket, before) {
        if outlier::is_failure(before) {
            outlier::failed(kernel, socket, backend, before & socket_state::PROBE != 0);
        } else if before & socket_state::CONNECTING == 0 {
            let open = kernel.now().saturating_sub(socket.started) / NANOSECONDS_PER_MICROSECOND;
            if open < SHORT {
                average(backend, open, 32);
            }
        }
    }
    kernel.forget(cookie);
}

/// The socket's program closed it. What is held is given back, unless the kernel will tell when the connection ends.
#[inline(always)]
pub fn released<K: Kernel>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    if atomic::read(&socket.state) & socket_state::WATCHED != 0 {
        change(socket, cookie, 0, socket_state::CLOSED);
    } else {
        end(kernel, socket, cookie);
        kernel.forget(cookie);
    }
}

/// Gives back whatever the socket holds.
#[inline(always)]
pub(crate) fn end<K: Kernel>(kernel: &K, socket: &SocketRecord, cookie: u64) {
    if let Some(before) = change(socket, cookie, HOLDS | socket_state::PROBE, 0) {
        give_back(kernel, socket, before);
    }
}

/// Gives back what `held` says; returns the backend if it held one that is still there.
#[inline(always)]
fn give_back<'k, K: Kernel>(kernel: &'k K, socket: &SocketRecord, held: u64) -> Option<&'k Backend> {
    if held & socket_state::LIMITED != 0
        && let Some(service) = kernel.live_service(socket.service)
    {
        atomic::count(&service.connections, 1_u64.wrapping_neg());
    }
    if held & socket_state::HELD == 0 {
        return None;
    }
    let backend = backend(kernel, socket)?;
    atomic::count(&backend.live, units(held).wrapping_neg());
    Some(backend)
}

/// The socket's backend, unless its index is another's by now.
#[inline(always)]
fn backend<'k, K: Kernel>(kernel: &'k K, socket: &SocketRecord) -> Option<&'k Backend> {
    kernel.backend(socket.backend_index).filter(|backend| backend.row.generation == socket.generation)
}

/// Exponentially weighted; the first sample is the average. `shift` says which half of the word. Of two at the same time
/// one is lost.
#[inline(always)]
fn average(backend: &Backend, sample: u64, shift: u32) {
    // Zero would mean that there is none.
    let sample = if sample >= LONGEST { LONGEST } else { sample + 1 };
    let word = atomic::read(&backend.latency);
    let old = word >> shift & HALF;
    let next = if old == 0 { sample } else { (old * (SMOOTHING - 1) + sample) / SMOOTHING };
    let next = if next == 0 { 1 } else { next };
    atomic::write(&backend.latency, word & !(HALF << shift) | next << shift);
}
