//! The effect of a connect's outcome on its backend: on the record of the client, and on the
//! agreement of all clients. Takes an [`Attempt`] that succeeded or failed, writes OUTCOMES and the
//! backend's row.

use core::mem::MaybeUninit;

use crate::{
    abi::{FrontendKey, ServiceRow, backend_state},
    agreement::{Agreement, Standing, vote_of},
    atomic,
    counter::Counter,
    ejection::{Failure, Health, Others, milliseconds},
    evidence::{Record, agree, lift},
    kernel::Kernel,
    search::others,
    walk::Walk,
};

/// Attempts to change a record that other sockets of the client keep changing; then the failure is
/// dropped.
const ATTEMPTS: u32 = 4;

/// The global functions of this module; see [`kernel`](crate::kernel).
pub trait Outcomes: Walk {
    /// [`succeeded`]
    fn succeeded(&self, attempt: &Attempt, in_node: bool) -> bool {
        succeeded(self, attempt, in_node)
    }

    /// [`weigh`]
    fn weigh(&self, attempt: &Attempt) -> u32 {
        weigh(self, attempt)
    }

    /// [`failed`]
    fn failed(&self, attempt: &Attempt, weighed: u32) -> bool {
        failed(self, attempt, weighed)
    }

    /// [`after_failure`]
    fn after_failure(
        &self,
        service: &ServiceRow,
        before: u64,
        now: u64,
        started: u64,
        how: u32,
    ) -> u64 {
        after_failure(service, before, now, started, how)
    }

    /// [`doubt`]
    fn doubt(&self, service: &ServiceRow, index: u32, now: u64, until: u64, vote: u32) -> bool {
        doubt(self, service, index, now, until, vote)
    }

    /// [`is_too_long`]
    fn is_too_long(&self, key: &FrontendKey, waited: u64) -> bool {
        is_too_long(self, key, waited)
    }
}

/// A connect with an outcome.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attempt {
    /// The frontend to which the program connected.
    pub key: FrontendKey,
    /// Id of its service at that time.
    pub service: u32,
    /// Backend index.
    pub backend: u32,
    /// [`generation`](crate::abi::BackendRow::generation) of the backend at that time.
    pub generation: u32,
    /// The [client](crate::client) that connected.
    pub client: u32,
    /// One for the trial of an ejected backend, or a connect of last resort.
    pub is_trial: u32,
    /// When the connect was made, nanoseconds of the monotonic clock.
    pub started: u64,
}

impl Attempt {
    /// Returns whether the outcome decides the state of an ejected backend: the connect was a
    /// trial, or was made after the pause.
    #[inline(always)]
    const fn tries(&self, health: Health) -> bool {
        tries(self.is_trial != 0, self.started, health)
    }
}

#[inline(always)]
const fn tries(is_trial: bool, started: u64, health: Health) -> bool {
    is_trial || health.is_due(milliseconds(started))
}

/// Handles a connect that succeeded. `in_node` says whether the node itself can reach the backend
/// then, because the client is in its network namespace: in another namespace the address may lead
/// elsewhere.
///
/// This, [`weigh`] and [`failed`] are global functions.
#[inline(always)]
pub fn succeeded<K: Kernel>(kernel: &K, attempt: &Attempt, in_node: bool) -> bool {
    let Some(backend) = kernel.backend(attempt.backend) else {
        return false;
    };
    let word = atomic::read(&backend.health);
    let now = milliseconds(kernel.now());
    let agreement = Agreement::of(word).at(now);
    let record = Record::of(kernel, attempt.client, attempt.backend, attempt.generation);
    let before = record.with(agreement, now);
    let next = before.succeeded(attempt.tries(before));
    if agreement.standing == Standing::Clear || next != Health::default() {
        return false;
    }
    if agreement.standing == Standing::Doubted {
        if record.is_there() {
            kernel.drop_outcome(&record.key);
        }
        return true;
    }
    // The record keeps this success for as long as other clients eject the backend.
    record.replace(kernel, next);
    if in_node {
        lift(backend);
    }
    true
}

/// What the other backends permit, in the word that [`weigh`] returns.
mod allowed {
    /// A variant of [`Others`](crate::ejection::Others).
    pub(super) const ARE_NONE: u32 = 0;
    pub(super) const ARE_FEW: u32 = 1;
    pub(super) const SUFFICE: u32 = 2;
    pub(super) const OTHERS: u32 = 3;
    /// Clients may agree on an ejection.
    pub(super) const MAY_AGREE: u32 = 4;
    /// The failure is the client's alone: the client does not vote.
    pub(super) const PRIVATE: u32 = 8;
    /// In the argument of [`after_failure`](super::after_failure): the connect was a trial, or one
    /// of last resort.
    pub(super) const IS_TRIAL: u32 = 16;
    /// The service has changed, and the failure does not count.
    pub(super) const NO_ACCOUNT: u32 = u32::MAX;
}

/// Returns the service of a failed connect as it is now, with the client in its row, unless the id
/// is in another use or the service no longer ejects.
#[inline(always)]
fn concerned<'a, K: Kernel>(
    kernel: &K,
    attempt: &Attempt,
    row: &'a mut MaybeUninit<ServiceRow>,
) -> Option<&'a ServiceRow> {
    // A copy on the stack: Linux 6.1 takes no other memory as the key of a map.
    let key = core::hint::black_box(attempt.key);
    kernel.service(&key, row)?;
    // SAFETY: a row that was found is written.
    let service = unsafe { row.assume_init_mut() };
    service.client = attempt.client;
    (service.id == attempt.service && service.failures != 0).then_some(service)
}

/// Counts a failed connect, and returns what the other backends permit. The answer is an argument
/// of [`failed`], whose stack frame has no room for the search.
#[inline(always)]
pub fn weigh<K: Walk>(kernel: &K, attempt: &Attempt) -> u32 {
    kernel.count(attempt.service, Counter::Failures);
    let mut row = MaybeUninit::uninit();
    let Some(service) = concerned(kernel, attempt, &mut row) else {
        return allowed::NO_ACCOUNT;
    };
    let (others, may_agree) = others(kernel, service, attempt.backend);
    let others = match others {
        Others::AreNone => allowed::ARE_NONE,
        Others::AreFew => allowed::ARE_FEW,
        Others::Suffice => allowed::SUFFICE,
    };
    others | if may_agree { allowed::MAY_AGREE } else { 0 }
}

/// Marks the answer of [`weigh`]: the failure is the client's alone.
#[inline(always)]
pub(crate) const fn private(weighed: u32) -> u32 {
    weighed | allowed::PRIVATE
}

/// Handles a connect that failed. `weighed` is the answer of [`weigh`].
#[inline(always)]
pub fn failed<K: Outcomes>(kernel: &K, attempt: &Attempt, weighed: u32) -> bool {
    let mut row = MaybeUninit::uninit();
    let Some(service) = concerned(kernel, attempt, &mut row) else {
        return false;
    };
    let Some(backend) = kernel.backend(attempt.backend) else {
        return false;
    };
    let is_it =
        backend.row.generation == attempt.generation && backend.row.state == backend_state::ACTIVE;
    if !is_it || weighed == allowed::NO_ACCOUNT {
        return false;
    }
    let is_trial = if attempt.is_trial == 0 {
        0
    } else {
        allowed::IS_TRIAL
    };
    let votes = if weighed & allowed::PRIVATE != 0 {
        0
    } else if weighed & allowed::MAY_AGREE != 0 {
        vote_of(attempt.client) | MAY_EJECT
    } else {
        vote_of(attempt.client)
    };
    let now = milliseconds(kernel.now());
    // Before the record is read: a concurrent failure may have written the record but not the doubt
    // yet, and would be lost.
    kernel.doubt(service, attempt.backend, now, now, 0);
    for _ in 0..ATTEMPTS {
        // The record before the health that follows from it: when another connect changes it in
        // between, it is not replaced.
        let record = Record::of(kernel, attempt.client, attempt.backend, attempt.generation);
        let before = kernel.client_health(service, attempt.backend);
        let after = kernel.after_failure(service, before, now, attempt.started, weighed | is_trial);
        if after == UNCHANGED {
            return false;
        }
        let ejects = after & EJECTS != 0;
        let next = Health::of(after & !EJECTS);
        if !record.replace(kernel, next) {
            continue;
        }
        let vote = if ejects { votes } else { 0 };
        let agrees = kernel.doubt(service, attempt.backend, now, next.until, vote);
        if ejects {
            kernel.count(attempt.service, Counter::Ejections);
        }
        if agrees {
            kernel.count(attempt.service, Counter::Ejections);
        }
        return true;
    }
    false
}

/// In an answer of [`after_failure`], above the word: this is an ejection.
const EJECTS: u64 = 1 << 63;
/// Answer of [`after_failure`]: the word stays as it is.
const UNCHANGED: u64 = u64::MAX;

/// Returns the [`Health`] word after a connect that was made at `started` nanoseconds and failed at
/// `now` milliseconds, and whether this is an ejection. `how` is the answer of [`weigh`], and
/// whether the connect was a trial.
///
/// This and [`doubt`] are global functions, so that the verifier checks them once and not for each
/// attempt to change the record.
#[inline(always)]
pub fn after_failure(service: &ServiceRow, before: u64, now: u64, started: u64, how: u32) -> u64 {
    let others = match how & allowed::OTHERS {
        allowed::ARE_NONE => Others::AreNone,
        allowed::ARE_FEW => Others::AreFew,
        _ => Others::Suffice,
    };
    let before = Health::of(before).unless_forgotten(now);
    let failure = Failure {
        now,
        is_trial: tries(how & allowed::IS_TRIAL != 0, started, before),
        others,
    };
    let (next, ejects) = before.failed(service, failure);
    if next == before {
        return UNCHANGED;
    }
    next.word() | if ejects { EJECTS } else { 0 }
}

/// In the `vote` of [`doubt`]: enough capacity is left for all clients.
const MAY_EJECT: u32 = 1 << 31;

/// Lets the agreement about a backend doubt it until `until`, and counts the `vote` of a client that
/// ejected it unless that is zero. Returns whether the vote ejects for all clients.
#[inline(always)]
pub fn doubt<K: Kernel>(
    kernel: &K,
    service: &ServiceRow,
    index: u32,
    now: u64,
    until: u64,
    vote: u32,
) -> bool {
    let Some(backend) = kernel.backend(index) else {
        return false;
    };
    agree(backend, |known| {
        let doubted = known.doubted(now, until);
        if vote == 0 {
            (doubted, false)
        } else {
            doubted.voted(service, now, vote & !MAY_EJECT, vote & MAY_EJECT != 0)
        }
    })
}

/// Returns whether a connect without an answer has failed after waiting `waited` nanoseconds.
#[inline(always)]
pub fn is_too_long<K: Kernel>(kernel: &K, key: &FrontendKey, waited: u64) -> bool {
    // The kernel's timers may fire early by the time between the hook and the first packet, and the
    // coarse clock is late.
    const SLACK: u64 = 50;
    let mut room = MaybeUninit::uninit();
    // As in `concerned`.
    let key = core::hint::black_box(*key);
    let service = kernel.service(&key, &mut room);
    service.is_some_and(|service| milliseconds(waited) + SLACK >= service.connect_timeout.into())
}

#[cfg(test)]
mod tests;
