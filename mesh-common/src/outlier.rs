//! Ejection of backends whose connects fail, decided where they fail.
//!
//! A streak of failures ejects a backend for a while, each time in a row twice as long. When that is over, one connect,
//! the probe, may try it: its success brings the backend back, its failure ejects it again. While a backend has failed
//! but not often enough, only so few connects are let in at the same time that the streak cannot be exceeded.

use core::mem::MaybeUninit;

use crate::{
    abi::{Backend, FrontendKey, ServiceRow, backend_state},
    atomic,
    counter::Counter,
    kernel::Kernel,
    pick::is_enough_without,
};

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// Ejections in a row after which they grow no longer.
const MAX_DOUBLINGS: u8 = 16;
/// A word that others keep changing is given up after so many attempts.
const ATTEMPTS: u32 = 8;

/// What is known of a backend's health: one word, replaced as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// When the ejection is over, or the probe under way is given up: milliseconds of the monotonic clock, 40 bits; zero
    /// when the backend is not ejected.
    pub until: u64,
    /// Failures since the last success.
    pub streak: u8,
    /// Ejections in a row.
    pub ejections: u8,
}

impl Health {
    /// From the word in the map.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the word")]
    pub const fn of(word: u64) -> Self {
        Self { until: word & ((1 << 40) - 1), streak: (word >> 40) as u8, ejections: (word >> 48) as u8 }
    }

    /// As the word in the map.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.until & ((1 << 40) - 1) | (self.streak as u64) << 40 | (self.ejections as u64) << 48
    }

    /// Whether it is ejected, or about to be tried by a probe.
    #[inline(always)]
    pub const fn is_ejected(self) -> bool {
        self.until != 0
    }

    /// Ejected from `now` (milliseconds) on, once more than before.
    #[inline(always)]
    fn ejected(self, service: &ServiceRow, now: u64) -> Self {
        let doublings = if self.ejections < MAX_DOUBLINGS { self.ejections } else { MAX_DOUBLINGS };
        let pause = u64::from(service.base_ejection) << doublings;
        let longest = u64::from(service.max_ejection);
        let pause = if pause < longest { pause } else { longest };
        // Zero would mean that it is not ejected.
        let until = if now + pause == 0 { 1 } else { now + pause };
        Self { until, streak: 0, ejections: self.ejections.saturating_add(1) }
    }
}

/// Milliseconds of the monotonic clock.
#[inline(always)]
pub const fn milliseconds(now: u64) -> u64 {
    now / NANOSECONDS_PER_MILLISECOND
}

/// Makes the caller the probe of a backend whose ejection is over, if nobody was faster. Should the probe's outcome never
/// be heard of, another is let through after one more pause.
#[inline(always)]
pub(crate) fn claim(backend: &Backend, word: u64, service: &ServiceRow, now: u64) -> bool {
    let health = Health::of(word);
    let pause = if service.base_ejection == 0 { 1 } else { u64::from(service.base_ejection) };
    atomic::replace(&backend.health, word, Health { until: now + pause, ..health }.word())
}

/// A connect to the backend succeeded.
#[inline(always)]
pub(crate) fn succeeded(backend: &Backend, is_probe: bool) {
    for _ in 0..ATTEMPTS {
        let word = atomic::read(&backend.health);
        let health = Health::of(word);
        let next = match () {
            () if is_probe => Health::default(),
            // One that was let in before the ejection; only the probe may end it.
            () if health.is_ejected() || health.streak == 0 => return,
            () => Health { streak: 0, ..health },
        };
        if atomic::replace(&backend.health, word, next.word()) {
            return;
        }
    }
}

/// A connect to the backend failed. `key` is the frontend that was asked for, `id` that of its service at that time.
#[inline(always)]
pub(crate) fn failed<K: Kernel>(kernel: &K, key: &FrontendKey, id: u32, index: u32, backend: &Backend, is_probe: bool) {
    kernel.count(id, Counter::Failures);
    let mut service = MaybeUninit::uninit();
    let Some(service) = kernel.service(key, &mut service) else { return };
    if service.id != id || service.failures == 0 || backend.row.state != backend_state::ACTIVE {
        return;
    }
    let now = milliseconds(kernel.now());
    // Looked at beforehand, because what follows is repeated.
    let may_eject = is_enough_without(kernel, service, index);
    for _ in 0..ATTEMPTS {
        let word = atomic::read(&backend.health);
        let health = Health::of(word);
        let streak = health.streak.saturating_add(1);
        let (next, ejects) = match () {
            () if is_probe => (health.ejected(service, now), true),
            // One that was let in before the ejection.
            () if health.is_ejected() => return,
            () if streak >= service.failures && may_eject => (health.ejected(service, now), true),
            () => {
                (Health { streak: if streak > service.failures { service.failures } else { streak }, ..health }, false)
            }
        };
        if atomic::replace(&backend.health, word, next.word()) {
            if ejects {
                kernel.count(id, Counter::Ejections);
            }
            return;
        }
    }
}

/// Whether a connect without an answer has failed after so many nanoseconds.
#[inline(always)]
pub(crate) fn is_too_long<K: Kernel>(kernel: &K, key: &FrontendKey, waited: u64) -> bool {
    // The kernel's timers may be early by the time between the hook and the first packet, and the clock be late.
    const SLACK: u64 = 50;
    let mut service = MaybeUninit::uninit();
    let service = kernel.service(key, &mut service);
    service.is_some_and(|service| milliseconds(waited) + SLACK >= service.connect_timeout.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_all_of_it() {
        let health = Health { until: (1 << 40) - 2, streak: 255, ejections: 7 };
        assert_eq!(Health::of(health.word()), health);
        assert_eq!(Health::default().word(), 0);
    }
}
