//! The search for a backend when the first choice is not usable. [`pick`](crate::pick) calls it;
//! the [walk](crate::walk) looks at the slots. It returns the index of a backend, or why there is
//! none: only after every slot of every tier was looked at.

use crate::{
    abi::{ServiceRow, socket_state},
    counter::Counter,
    ejection::Others,
    evidence::{Evidence, health},
    walk::{NONE, Progress, Walk, walk},
};

/// Draws in the tier that serves, before the backend that the walk found is taken.
const REDRAWS: u32 = 8;
/// Answer: no backend is usable.
pub const NO_BACKEND: u64 = u64::MAX;
/// Answer: no backend is usable, and some are at their connection limit.
pub const ALL_FULL: u64 = u64::MAX - 1;
/// In the high half of a [`search`]'s answer, beside bits of [`socket_state`]: ignore the bound of
/// a backend on probation, because there is no other.
pub(crate) const UNBOUNDED: u64 = 1 << socket_state::BITS;

/// Returns what is usable without the backend `except`: the client may eject it when enough of the
/// first tier is usable, or any backend of a farther tier. Also returns whether clients may agree
/// on the ejection, which always takes enough of the first tier.
#[inline(always)]
pub(crate) fn others<K: Walk>(kernel: &K, service: &ServiceRow, except: u32) -> (Others, bool) {
    let mut found = Progress::new(kernel.random().into(), except);
    walk(kernel, service, &mut found);
    if found.best == NONE && found.spare == NONE {
        return (Others::AreNone, false);
    }
    let is_farther = found.best != NONE && found.tiers > 1;
    let others = if is_farther || found.within != 0 {
        Others::Suffice
    } else {
        Others::AreFew
    };
    (others, found.within_agreed != 0)
}

/// Returns the index of another backend than the first choice in the low half, and TRIAL of
/// [`socket_state`] in the high half where the connect becomes a trial or is a last resort; or
/// [`ALL_FULL`] or [`NO_BACKEND`].
///
/// A global function.
#[inline(always)]
pub fn search<K: Walk>(kernel: &K, service: &ServiceRow, key: u64, first_was_full: bool) -> u64 {
    let mut found = Progress::new(key, NONE);
    walk(kernel, service, &mut found);
    if found.trial != 0 {
        if kernel.start_trial(service, found.except) {
            kernel.count(service.id, Counter::Trials);
            return trial(found.except);
        }
        // Another connect of the client became the trial.
        found.trial = 0;
        walk(kernel, service, &mut found);
    }
    let panics = found.panics(service);
    if found.best != NONE && panics == NONE {
        if first_was_full {
            kernel.count(service.id, Counter::Overflows);
        }
        if found.tiers > 1 {
            kernel.count(service.id, Counter::Failovers);
        }
        // The policy draws again, so that the connects of unusable backends go to the others by
        // their weights.
        for attempt in 1..=REDRAWS {
            let index = kernel.redraw(service, &found, key, attempt);
            if index != NONE {
                return index.into();
            }
        }
        return found.best.into();
    }
    last_resort(kernel, service, &found, first_was_full)
}

/// Returns a backend that is not usable by the rules, because no tier has a usable one. The answer is
/// that of [`search`].
#[inline(always)]
fn last_resort<K: Evidence>(
    kernel: &K,
    service: &ServiceRow,
    found: &Progress,
    first_was_full: bool,
) -> u64 {
    if found.best != NONE {
        kernel.count(service.id, Counter::Panics);
        return trial(found.panics(service));
    }
    if found.spare != NONE {
        return found.spare.into();
    }
    if found.bounded != NONE {
        return u64::from(found.bounded) | UNBOUNDED << 32;
    }
    if found.resort != NONE {
        let backend = kernel.backend(found.resort);
        if backend
            .is_some_and(|backend| health(kernel, service, found.resort, backend).is_ejected())
        {
            kernel.count(service.id, Counter::Panics);
        }
        return trial(found.resort);
    }
    if found.full != 0 || first_was_full {
        ALL_FULL
    } else {
        NO_BACKEND
    }
}

/// Returns the answer for a connect that is a trial.
#[inline(always)]
fn trial(index: u32) -> u64 {
    u64::from(index) | socket_state::TRIAL << 32
}

#[cfg(test)]
mod tests;
