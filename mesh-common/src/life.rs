//! The life of a socket that was given a backend: it holds the backend from its connect to its end, exactly once, and
//! what becomes of its connect is the backend's health and latency.
//!
//! ```text
//! connect ──► HELD, CONNECTING ──established──► HELD ──released or closed──► given back
//!                    │ └─ no answer in time: failed, still held
//!                    └─ closed by the kernel: failed; released by the program: nobody's fault
//! ```
//! A socket ends when its program closes it or when the kernel tells that its connection has ended (it closes sockets of
//! its own without asking anybody), whichever is first: whoever takes the bits away gives the backend back.

use crate::{
    abi::{Backend, FrontendKey, SocketRecord, protocol, socket_state},
    atomic,
    kernel::Kernel,
    outlier,
};

const NANOSECONDS_PER_MICROSECOND: u64 = 1000;
/// How much longer a connection is open says nothing of how fast a backend answers, microseconds.
const LONG: u64 = 1_000_000;
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

/// What a row says of the socket's place. Read before the state is changed, and true if that succeeds: from then on others
/// may remove the row.
#[derive(Clone, Copy)]
struct Place {
    service: u32,
    backend_index: u32,
    generation: u32,
    started: u64,
}

impl Place {
    #[inline(always)]
    fn of(socket: &SocketRecord) -> Self {
        // SAFETY: references are valid for reads; each word is read whole, now and not later.
        unsafe {
            Self {
                service: (&raw const socket.service).read_volatile(),
                backend_index: (&raw const socket.backend_index).read_volatile(),
                generation: (&raw const socket.generation).read_volatile(),
                started: (&raw const socket.started).read_volatile(),
            }
        }
    }

    /// The backend, unless its index is another's by now.
    #[inline(always)]
    fn backend<K: Kernel>(self, kernel: &K) -> Option<&Backend> {
        kernel.backend(self.backend_index).filter(|backend| backend.row.generation == self.generation)
    }

    /// Gives back what `held` says; returns the backend if it held one that is still there.
    #[inline(always)]
    fn give_back<K: Kernel>(self, kernel: &K, held: u64) -> Option<&Backend> {
        if held & socket_state::LIMITED != 0
            && let Some(service) = kernel.live_service(self.service)
        {
            atomic::count(&service.connections, 1_u64.wrapping_neg());
        }
        if held & socket_state::HELD == 0 {
            return None;
        }
        let backend = self.backend(kernel)?;
        atomic::count(&backend.live, units(held).wrapping_neg());
        Some(backend)
    }

    /// How long the socket's connection was open, where its service wants to know.
    #[inline(always)]
    fn time<K: Kernel>(self, kernel: &K, held: u64, backend: &Backend) {
        if held & (socket_state::TIMED | socket_state::CONNECTING) == socket_state::TIMED {
            let open = kernel.now().saturating_sub(self.started) / NANOSECONDS_PER_MICROSECOND;
            average(backend, if open < LONG { open } else { LONG }, 32);
        }
    }
}

/// The frontend that the socket asked for. To be read as [`Place`] is.
#[inline(always)]
fn frontend(socket: &SocketRecord) -> FrontendKey {
    // SAFETY: as in `Place::of`.
    let port = unsafe { (&raw const socket.frontend_port).read_volatile() };
    FrontendKey { addr: socket.frontend.copy(), port, protocol: protocol::TCP, pad: 0 }
}

/// What `bits` of a socket's state count in [`BackendLoad::live`](crate::abi::BackendLoad::live).
#[inline(always)]
pub(crate) const fn units(bits: u64) -> u64 {
    let held = if bits & socket_state::HELD != 0 { 1 } else { 0 };
    held + if bits & socket_state::CONNECTING != 0 { CONNECTING } else { 0 }
}

/// The socket is connected. `handshake` is the time that the last request for it took, microseconds; zero if it is not
/// known. A socket that is timed counts from its connect, lost requests included.
#[inline(always)]
pub fn established<K: Kernel>(kernel: &K, cookie: u64, handshake: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    let place = Place::of(socket);
    let Some(before) = change(socket, cookie, socket_state::CONNECTING | socket_state::PROBE, 0) else { return };
    if before & socket_state::CONNECTING == 0 {
        return;
    }
    let Some(backend) = place.backend(kernel) else { return };
    atomic::count(&backend.live, CONNECTING.wrapping_neg());
    // One that failed for want of an answer in time may still get one.
    outlier::succeeded(backend, before & socket_state::PROBE != 0);
    let took = if before & socket_state::TIMED != 0 {
        kernel.now().saturating_sub(place.started) / NANOSECONDS_PER_MICROSECOND
    } else {
        handshake
    };
    if took != 0 {
        average(backend, took, 0);
    }
}

/// A connect request was not answered, and is sent again.
#[inline(always)]
pub fn unanswered<K: Kernel>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    let (place, key) = (Place::of(socket), frontend(socket));
    if !is_failure(atomic::read(&socket.state)) {
        return;
    }
    let waited = kernel.coarse_now().saturating_sub(place.started);
    if outlier::is_too_long(kernel, &key, waited)
        && let Some(before) = change(socket, cookie, socket_state::PROBE, socket_state::FAILED)
        && is_failure(before)
    {
        fail(kernel, place, &key, before);
    }
}

/// The socket's TCP connection is closed, or never came to be, in which case `asked` says whether a request for it was
/// sent: it is not the backend's fault when there is no port or no route.
#[inline(always)]
pub fn closed<K: Kernel>(kernel: &K, cookie: u64, asked: bool) {
    let Some(socket) = record(kernel, cookie) else { return };
    let (place, key) = (Place::of(socket), frontend(socket));
    let Some(before) = change(socket, cookie, HOLDS | socket_state::PROBE, 0) else { return };
    kernel.forget(cookie);
    let Some(backend) = place.give_back(kernel, before) else { return };
    place.time(kernel, before, backend);
    if asked && is_failure(before) {
        fail(kernel, place, &key, before);
    }
}

/// The socket's program closed it.
#[inline(always)]
pub fn released<K: Kernel>(kernel: &K, cookie: u64) {
    let Some(socket) = record(kernel, cookie) else { return };
    let place = Place::of(socket);
    let Some(before) = change(socket, cookie, HOLDS | socket_state::PROBE, 0) else { return };
    kernel.forget(cookie);
    if let Some(backend) = place.give_back(kernel, before) {
        place.time(kernel, before, backend);
    }
}

/// Gives back what a socket holds that is about to connect again: nobody else changes its row meanwhile.
#[inline(always)]
pub(crate) fn end<K: Kernel>(kernel: &K, socket: &SocketRecord) {
    Place::of(socket).give_back(kernel, atomic::read(&socket.state));
}

/// Whether a socket's connect has neither succeeded nor failed yet.
#[inline(always)]
const fn is_failure(state: u64) -> bool {
    state & (socket_state::CONNECTING | socket_state::FAILED) == socket_state::CONNECTING
}

#[inline(always)]
fn fail<K: Kernel>(kernel: &K, place: Place, key: &FrontendKey, state: u64) {
    if let Some(backend) = place.backend(kernel) {
        let is_probe = state & socket_state::PROBE != 0;
        outlier::failed(kernel, key, place.service, place.backend_index, backend, is_probe);
    }
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
