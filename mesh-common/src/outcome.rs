//! What the outcome of a connect does to its backend.

use core::mem::MaybeUninit;

use crate::{
    abi::{Backend, FrontendKey, backend_state},
    atomic,
    counter::Counter,
    ejection::{Failure, Health, milliseconds},
    kernel::Kernel,
    search::{Walk, others},
};

/// A word that other sockets keep changing is given up after so many attempts.
const ATTEMPTS: u32 = 8;

/// A connect to the backend succeeded.
#[inline(always)]
pub(crate) fn succeeded(backend: &Backend, is_trial: bool) {
    for _ in 0..ATTEMPTS {
        let word = atomic::read(&backend.health);
        let next = Health::of(word).succeeded(is_trial).word();
        if next == word || atomic::replace(&backend.health, word, next) {
            return;
        }
    }
}

/// A connect to the backend failed. `key` is the frontend that was asked for, `id` that of its service at that time.
#[inline(always)]
pub(crate) fn failed<K: Walk>(kernel: &K, key: &FrontendKey, id: u32, index: u32, backend: &Backend, is_trial: bool) {
    kernel.count(id, Counter::Failures);
    let mut service = MaybeUninit::uninit();
    let Some(service) = kernel.service(key, &mut service) else { return };
    if service.id != id || service.failures == 0 || backend.row.state != backend_state::ACTIVE {
        return;
    }
    // Looked at beforehand, because what follows is repeated.
    let others = others(kernel, service, index);
    let failure = Failure { now: milliseconds(kernel.now()), is_trial, others };
    for _ in 0..ATTEMPTS {
        let word = atomic::read(&backend.health);
        let (next, ejects) = Health::of(word).failed(service, failure);
        if next.word() == word {
            return;
        }
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
