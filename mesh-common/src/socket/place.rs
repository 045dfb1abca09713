//! What a socket holds at its backend and its service: taken, given back, and learned from.

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
/// How much longer a connection is open says nothing of how fast a backend answers, microseconds.
const LONG: u64 = 1_000_000;

/// What a row says of the socket's place. Read before the state is changed, and true if that
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

    /// The backend, unless its index is another's by now.
    #[inline(always)]
    pub(super) fn backend<K: Kernel>(self, kernel: &K) -> Option<&Backend> {
        kernel
            .backend(self.backend_index)
            .filter(|backend| backend.row.generation == self.generation)
    }

    /// Whose connections the socket counts among.
    #[inline(always)]
    const fn share(self) -> ShareKey {
        ShareKey {
            service: self.service,
            client: self.client,
        }
    }

    /// The connect, in case it has an outcome: [`is_trial`] is known by then. Written at once, in
    /// one piece, which takes less stack than to keep each part until it is needed.
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

    /// Gives back what `held` says; returns the backend if the socket held one that is still there.
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

    /// Turns reservations into what a socket with a SYN under way holds.
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

    /// The socket's client learns, and all clients together.
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

    /// How long the socket's connection was open, where its service wants to know.
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

/// The frontend that the socket asked for. To be read as [`Place`] is.
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
