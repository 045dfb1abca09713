//! How many sockets hold a backend or a service: one word, so that a limit is checked and a place taken in one step.
//!
//! A TCP socket holds its backend from the moment its SYN is sent. Where a limit or a probation is checked in the connect
//! hook, the socket reserves a place there. Between hook and SYN the kernel may refuse the connect (no route, no free
//! port, another program) and tells no hook, so reservations expire: each belongs to an epoch of about a quarter of a
//! second, and only those of the present epoch count.
//!
//! ```text
//!  63        56 55            44 43              24 23              0
//!  │  epoch    │   reserved     │   connecting     │      live       │
//! ```

use core::sync::atomic::AtomicU64;

use crate::atomic;

const CONNECTING_SHIFT: u32 = 24;
const RESERVED_SHIFT: u32 = 44;
const EPOCH_SHIFT: u32 = 56;

/// One socket that holds the backend or service.
pub const LIVE: u64 = 1;
/// One socket whose SYN is sent and which has no outcome yet.
pub const CONNECTING: u64 = 1 << CONNECTING_SHIFT;
/// One reservation.
const RESERVED: u64 = 1 << RESERVED_SHIFT;
/// All but reservations and their epoch.
const HELD: u64 = RESERVED - 1;

/// Nanoseconds of an epoch, as a power of two: 268 ms.
const EPOCH_BITS: u32 = 28;
/// Sockets that change one word at the same time; after so many attempts a reservation is left to expire.
const ATTEMPTS: u32 = 8;

/// Sockets that hold the backend or service.
#[inline(always)]
pub const fn live(word: u64) -> u64 {
    word & (CONNECTING - 1)
}

/// Sockets that hold the backend and wait for the outcome of their connect.
#[inline(always)]
pub const fn connecting(word: u64) -> u64 {
    (word & HELD) >> CONNECTING_SHIFT
}

/// Reservations of this epoch.
#[inline(always)]
pub const fn reserved(word: u64, epoch: u64) -> u64 {
    if word >> EPOCH_SHIFT == epoch { word >> RESERVED_SHIFT & ((1 << (EPOCH_SHIFT - RESERVED_SHIFT)) - 1) } else { 0 }
}

/// The epoch of a moment of the monotonic clock, nanoseconds.
#[inline(always)]
pub const fn epoch(now: u64) -> u64 {
    now >> EPOCH_BITS & 0xff
}

/// Reserves a place if `fits`, which is given the word as it was before. Returns whether it did.
#[inline(always)]
pub fn reserve(word: &AtomicU64, epoch: u64, fits: impl FnOnce(u64) -> bool) -> bool {
    let seen = atomic::read(word);
    if seen >> EPOCH_SHIFT != epoch {
        // When another socket was faster, it began the same epoch or the next reservation does.
        atomic::replace(word, seen, seen & HELD | epoch << EPOCH_SHIFT);
    }
    if fits(atomic::add(word, RESERVED)) {
        return true;
    }
    atomic::add(word, RESERVED.wrapping_neg());
    false
}

/// Takes a place at once, where no SYN will follow, if `fits`; as [`reserve`].
#[inline(always)]
pub fn hold(word: &AtomicU64, fits: impl FnOnce(u64) -> bool) -> bool {
    if fits(atomic::add(word, LIVE)) {
        return true;
    }
    atomic::add(word, LIVE.wrapping_neg());
    false
}

/// Turns a reservation of this epoch into `units` of [`LIVE`] and [`CONNECTING`]. An expired one has nothing to give back.
#[inline(always)]
pub fn settle(word: &AtomicU64, epoch: u64, units: u64) {
    for _ in 0..ATTEMPTS {
        let before = atomic::read(word);
        let given_back = if reserved(before, epoch) == 0 { 0 } else { RESERVED };
        if atomic::replace(word, before, before.wrapping_add(units).wrapping_sub(given_back)) {
            return;
        }
    }
    atomic::count(word, units);
}

/// Adds `units` of [`LIVE`] and [`CONNECTING`].
#[inline(always)]
pub fn add(word: &AtomicU64, units: u64) {
    atomic::count(word, units);
}

/// Takes `units` away.
#[inline(always)]
pub fn remove(word: &AtomicU64, units: u64) {
    atomic::count(word, units.wrapping_neg());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn below(limit: u64, epoch: u64) -> impl FnOnce(u64) -> bool {
        move |before| live(before) + reserved(before, epoch) < limit
    }

    #[test]
    fn a_reservation_counts_until_it_is_settled() {
        let word = AtomicU64::new(0);
        assert!(reserve(&word, 7, below(1, 7)));
        assert!(!reserve(&word, 7, below(1, 7)));
        settle(&word, 7, LIVE + CONNECTING);
        let now = word.load(Relaxed);
        assert_eq!((live(now), connecting(now), reserved(now, 7)), (1, 1, 0));
        assert!(!reserve(&word, 7, below(1, 7)), "the place is held now");
        remove(&word, LIVE + CONNECTING);
        assert!(reserve(&word, 7, below(1, 7)));
    }

    #[test]
    fn a_reservation_expires_with_its_epoch() {
        let word = AtomicU64::new(0);
        assert!(reserve(&word, 7, below(1, 7)));
        assert_eq!(reserved(word.load(Relaxed), 8), 0);
        assert!(reserve(&word, 8, below(1, 8)));
        settle(&word, 7, 0);
        assert_eq!(reserved(word.load(Relaxed), 8), 1, "the expired one takes nothing from the others");
        settle(&word, 8, 0);
        assert_eq!((live(word.load(Relaxed)), reserved(word.load(Relaxed), 8)), (0, 0));
    }

    #[test]
    fn a_place_without_a_syn_is_held_at_once() {
        let word = AtomicU64::new(0);
        assert!(hold(&word, below(1, 0)));
        assert!(!hold(&word, below(1, 0)));
        remove(&word, LIVE);
        assert_eq!(word.load(Relaxed), 0);
    }

    #[test]
    fn epochs_follow_the_clock() {
        assert_eq!([0, (1 << 28) - 1, 1 << 28, 256 << 28].map(epoch), [0, 0, 1, 0]);
    }
}
