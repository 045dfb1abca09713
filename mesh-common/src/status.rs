//! Decides whether a backend takes a connection now. Takes its row and the health for the client,
//! returns a [`Status`].

use crate::{
    abi::{Backend, ServiceRow, backend_state},
    atomic,
    ejection::{Health, State, milliseconds},
    evidence::{Evidence, health},
    occupancy::{connecting, epoch, live, reserved},
};

/// Answer of [`status`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The backend takes a connection.
    Usable,
    /// On probation, with as many connects in progress as may fail. Takes a connect when no other
    /// backend is usable.
    Bounded,
    /// The last backend, with as many failures as an ejection takes. Takes a connect when no other
    /// backend is usable.
    Failing,
    /// The ejection is over: one connect may become the trial.
    Due,
    /// The client has ejected it.
    Ejected,
    /// Other clients agree on an ejection.
    Agreed,
    /// At its connection limit.
    Full,
    /// The agent took it out.
    Down,
}

/// Returns whether a backend of the service takes a connection of the client in `service` now.
#[inline(always)]
pub fn status<K: Evidence>(
    kernel: &K,
    service: &ServiceRow,
    index: u32,
    backend: &Backend,
) -> Status {
    if backend.row.state != backend_state::ACTIVE {
        return Status::Down;
    }
    let word = atomic::read(&backend.live);
    let health = health(kernel, service, index, backend);
    // For a closed backend the clock is not read.
    if health != Health::default() {
        let now = kernel.now();
        if health.is_due(milliseconds(now)) {
            return Status::Due;
        }
        if health.is_ejected() {
            return if health.state == State::Agreed {
                Status::Agreed
            } else {
                Status::Ejected
            };
        }
        if health.is_failing(milliseconds(now)) {
            return Status::Failing;
        }
        if health.is_bounded(service, milliseconds(now), under_way(word, epoch(now))) {
            return Status::Bounded;
        }
    }
    let limit = u64::from(service.max_backend_connections);
    if limit != 0 && live(word) + reserved(word, service.epoch()) >= limit {
        return Status::Full;
    }
    Status::Usable
}

/// Returns the number of connects without an outcome, those before their SYN included.
#[inline(always)]
pub(crate) fn under_way(word: u64, epoch: u64) -> u64 {
    connecting(word) + reserved(word, epoch)
}
