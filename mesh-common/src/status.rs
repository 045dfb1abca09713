//! Whether a backend takes a connection now.

use crate::{
    abi::{Backend, ServiceRow, backend_state},
    atomic,
    ejection::{Health, State, milliseconds},
    evidence::{Evidence, health},
    occupancy::{connecting, epoch, live, reserved},
};

/// Whether a backend takes a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does.
    Usable,
    /// It is on probation, and as many connects are under way as may fail. It takes one when no
    /// other backend is usable.
    Bounded,
    /// It has failed as often as an ejection takes, and is not ejected because it is the last. It
    /// takes a connect when no other backend is usable.
    Failing,
    /// Its ejection is over: one connect may try it.
    Due,
    /// It is ejected.
    Ejected,
    /// Other clients agree that it does not work.
    Agreed,
    /// It has as many connections as it may have.
    Full,
    /// The agent says that it takes none.
    Down,
}

/// Whether a backend of the service takes a connection now of the client in `service`.
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
    // A closed backend costs no look at the clock.
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

/// Connects without an outcome, those of the hook included that are about to send their SYN.
#[inline(always)]
pub(crate) fn under_way(word: u64, epoch: u64) -> u64 {
    connecting(word) + reserved(word, epoch)
}
