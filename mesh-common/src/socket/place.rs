//! A socket's place at its backend and service: taken, given back, and timed. Takes a copy of the
//! row and bits of its state, changes counts and averages.

use super::state::{epoch, units};
use crate::{
    abi::{Backend, FrontendKey, ShareKey, SocketRecord, protocol, socket_state},
    kernel::Kernel,
    latency::{self, Measure, Pair, Part},
    limits::{self, Shares},
    occupancy,
    outcome::Attempt,
};

pub(super) const NANOSECONDS_PER_MICROSECOND: u64 = 1000;
/// Longest sample of the time for which a connection is open, microseconds. How much longer it is open
/// says nothing about its backend.
const LONG: u64 = 1_000_000;

/// What a row says of the socket's place. Read before the state is changed, and valid if that
/// succeeds: from then on others may remove the row.
#[derive(Clone, Copy)]
pub(super) struct Place {
    service: u32,
    backend_index: u32,
    generation: u32,
    pub client: u32,
    pub started: u64,
}

impl Place {
    /// Reads the place.
    #[inline(always)]
    pub(super) fn of(socket: &SocketRecord) -> Self {
        // SAFETY: references are valid for reads; each word is read whole, now and not later.
        unsafe {
            Self {
                service: (&raw const socket.service).read_volatile(),
                backend_index: (&raw const socket.backend_index).read_volatile(),
                generation: (&raw const socket.generation).read_volatile(),
                client: (&raw const socket.client).read_volatile(),
                started: (&raw const socket.started).read_volatile(),
            }
        }
    }

    /// Returns the backend, unless its index is in another use by now.
    #[inline(always)]
    pub(super) fn backend<K: Kernel>(self, kernel: &K) -> Option<&Backend> {
        kernel
            .backend(self.backend_index)
            .filter(|backend| backend.row.generation == self.generation)
    }

    /// Returns the key of the client's share in which the socket counts.
    #[inline(always)]
    const fn share(self) -> ShareKey {
        ShareKey {
            service: self.service,
            client: self.client,
        }
    }

    /// Returns the connect, in case it has an outcome; its `is_trial` is set then. Written at once,
    /// in one piece: to keep each part until it is needed takes more stack.
    #[inline(always)]
    pub(super) fn attempt(self, socket: &SocketRecord) -> Attempt {
        let Self {
            service,
            backend_index,
            generation,
            client,
            started,
        } = self;
        Attempt {
            key: frontend(socket),
            service,
            backend: backend_index,
            generation,
            client,
            is_trial: 0,
            started,
        }
    }

    /// Releases what the bits `held` say. Returns the backend if the socket held one that still
    /// exists.
    #[inline(always)]
    pub(super) fn give_back<K: Shares>(self, kernel: &K, held: u64) -> Option<&Backend> {
        if held & socket_state::PENDING != 0 {
            self.cancel(kernel, held);
            return None;
        }
        limits::change(
            kernel,
            held,
            self.share(),
            None,
            occupancy::LIVE.wrapping_neg(),
        );
        if held & socket_state::HELD == 0 {
            return None;
        }
        let backend = self.backend(kernel)?;
        occupancy::remove(&backend.live, units(held));
        Some(backend)
    }

    /// Undoes [`Self::give_back`] for a UDP socket.
    #[inline(always)]
    pub(super) fn take_back<K: Shares>(self, kernel: &K, held: u64) {
        limits::change(kernel, held, self.share(), None, occupancy::LIVE);
        if held & socket_state::HELD != 0
            && let Some(backend) = self.backend(kernel)
        {
            occupancy::add(&backend.live, occupancy::LIVE);
        }
    }

    /// Gives back the reservations of a socket whose SYN was not sent.
    #[inline(always)]
    pub(super) fn cancel<K: Shares>(self, kernel: &K, held: u64) {
        let epoch = epoch(held);
        limits::change(kernel, held, self.share(), Some(epoch), 0);
        if held & socket_state::RESERVED != 0
            && let Some(backend) = self.backend(kernel)
        {
            occupancy::settle(&backend.live, epoch, 0);
        }
    }

    /// Turns reservations into what a socket with a SYN in flight holds.
    #[inline(always)]
    pub(super) fn hold<K: Shares>(self, kernel: &K, before: u64) {
        let epoch = epoch(before);
        limits::change(kernel, before, self.share(), Some(epoch), occupancy::LIVE);
        let Some(backend) = self.backend(kernel) else {
            return;
        };
        let units = occupancy::LIVE + occupancy::CONNECTING;
        if before & socket_state::RESERVED != 0 {
            occupancy::settle(&backend.live, epoch, units);
        } else {
            occupancy::add(&backend.live, units);
        }
    }

    /// Adds a latency sample, of the client and of all clients together.
    #[inline(always)]
    pub(super) fn learn<K: Measure>(self, kernel: &K, backend: &Backend, part: Part, sample: u64) {
        let Self {
            backend_index,
            generation,
            client,
            ..
        } = self;
        kernel.learn_latency(
            Pair {
                client,
                backend: backend_index,
                generation,
            },
            part,
            sample,
        );
        latency::learn_together(backend, part, sample);
    }

    /// Adds the time for which the connection was open, where the socket is timed.
    #[inline(always)]
    pub(super) fn time<K: Measure>(self, kernel: &K, held: u64, backend: &Backend) {
        if held & (socket_state::TIMED | socket_state::CONNECTING | socket_state::FAILED)
            == socket_state::TIMED
        {
            let open = kernel.now().saturating_sub(self.started) / NANOSECONDS_PER_MICROSECOND;
            self.learn(
                kernel,
                backend,
                Part::Duration,
                if open < LONG { open } else { LONG },
            );
        }
    }
}

/// Returns the frontend to which the socket connected. Read as [`Place`] is.
#[inline(always)]
fn frontend(socket: &SocketRecord) -> FrontendKey {
    // SAFETY: as in `Place::of`.
    let port = unsafe { (&raw const socket.frontend_port).read_volatile() };
    FrontendKey {
        addr: socket.frontend.copy(),
        port,
        protocol: protocol::TCP,
        pad: 0,
    }
}
