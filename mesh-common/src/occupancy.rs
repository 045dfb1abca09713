//! The number of sockets that hold a backend or a service: one word, so that a limit is checked and
//! a place taken in one step. Takes the word and a change, replaces the word.
//!
//! A TCP socket holds its backend from the moment its SYN is sent. Where a limit or a probation is
//! checked in the connect hook, the socket reserves a place there. Between hook and SYN the kernel
//! may refuse the connect (no route, no free port, another program) without a hook, so
//! reservations expire: each belongs to an epoch of 67 ms and counts in that epoch and the next. A
//! connect reads the clock once, for all its reservations and for their end.
//!
//! ```text
//!  63        50 49        44 43        38 37              20 19              0
//!  │  epoch    │   older    │   newer    │   connecting     │      live       │
//! ```
//!
//! - **live**: about a million. TCP sockets are at most as many as rows of SOCKETS, which is
//!   [`capacity::SOCKETS`](crate::abi::capacity::SOCKETS); UDP sockets count once for each service
//!   address they send to.
//! - **connecting**: twice the rows of SOCKETS; UDP sockets never connect in this sense.
//! - **newer**, **older**: reservations of `epoch` and of the epoch before, each at most 63. A
//!   further connect goes on without a reservation. So only more than 63 connects that are between
//!   hook and SYN at the same moment can exceed a limit, and connects that the kernel refuses take
//!   126 places at most.
//! - **epoch**: wraps around after 18 minutes. Expired reservations without a later one on the same
//!   word would then count again for a fifth of a second; the agent has them [cleared](correct)
//!   before.

use core::sync::atomic::AtomicU64;

use crate::atomic;

const CONNECTING_SHIFT: u32 = 20;
const NEWER_SHIFT: u32 = 38;
const OLDER_SHIFT: u32 = 44;
const EPOCH_SHIFT: u32 = 50;

/// One socket that holds the backend or service.
pub const LIVE: u64 = 1;
/// One socket whose SYN is sent and which has no outcome yet.
pub const CONNECTING: u64 = 1 << CONNECTING_SHIFT;
/// One reservation of the word's epoch.
const NEWER: u64 = 1 << NEWER_SHIFT;
/// One reservation of the epoch before.
const OLDER: u64 = 1 << OLDER_SHIFT;
/// All bits but those of reservations and their epoch.
const HELD: u64 = NEWER - 1;
/// Largest number of reservations of an epoch.
const MOST: u64 = OLDER / NEWER - 1;
/// Largest epoch.
const LAST: u64 = u64::MAX >> EPOCH_SHIFT;

/// Length of an epoch, as a power of two of nanoseconds: 67 ms. Two epochs are far longer than a
/// connect takes from hook to SYN, and than the coarse clock is late.
const EPOCH_BITS: u32 = 26;
/// Attempts to change a word that other sockets keep changing; then a reservation is left out, or
/// left to expire.
pub(crate) const ATTEMPTS: u32 = 8;

/// Result of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It counts until it is settled or expires.
    Reserved,
    /// There is room, but the word cannot count another reservation.
    Uncounted,
    /// There is no room.
    Taken,
}

/// Returns the number of sockets that hold the backend or service.
#[inline(always)]
pub const fn live(word: u64) -> u64 {
    word & (CONNECTING - 1)
}

/// Returns the number of sockets that hold the backend and wait for the outcome of their connect.
#[inline(always)]
pub const fn connecting(word: u64) -> u64 {
    (word & HELD) >> CONNECTING_SHIFT
}

/// Returns the number of reservations that count in this epoch.
#[inline(always)]
pub const fn reserved(word: u64, epoch: u64) -> u64 {
    let word = moved_on(word, epoch);
    (word >> NEWER_SHIFT & MOST) + (word >> OLDER_SHIFT & MOST)
}

/// Returns the word without its epoch: zero when no socket holds anything or has a reservation,
/// expired ones included.
#[inline(always)]
pub const fn counts(word: u64) -> u64 {
    word & ((1 << EPOCH_SHIFT) - 1)
}

/// Returns whether the word has reservations, but none that counts in this epoch.
#[inline(always)]
pub const fn has_expired(word: u64, epoch: u64) -> bool {
    counts(word) & !HELD != 0 && reserved(word, epoch) == 0
}

/// Returns the epoch of a time of the monotonic clock, nanoseconds.
#[inline(always)]
pub const fn epoch(now: u64) -> u64 {
    now >> EPOCH_BITS & LAST
}

/// Returns the word in this epoch. A word that a socket with a later reading of the clock has moved
/// on stays as it is.
#[inline(always)]
const fn moved_on(word: u64, epoch: u64) -> u64 {
    match epoch.wrapping_sub(word >> EPOCH_SHIFT) & LAST {
        0 | LAST => word,
        1 => word & HELD | (word >> NEWER_SHIFT & MOST) << OLDER_SHIFT | epoch << EPOCH_SHIFT,
        _ => word & HELD | epoch << EPOCH_SHIFT,
    }
}

/// Returns the value of one reservation of this epoch in a word; zero when it has expired.
#[inline(always)]
const fn unit(word: u64, epoch: u64) -> u64 {
    match (word >> EPOCH_SHIFT).wrapping_sub(epoch) & LAST {
        0 => NEWER,
        1 => OLDER,
        _ => 0,
    }
}

/// Returns the number of reservations with this value.
#[inline(always)]
const fn number(word: u64, unit: u64) -> u64 {
    (if unit == NEWER {
        word >> NEWER_SHIFT
    } else {
        word >> OLDER_SHIFT
    }) & MOST
}

/// Reserves a place if `fits`, which takes the word as it was before.
#[inline(always)]
pub fn reserve(word: &AtomicU64, epoch: u64, fits: impl Fn(u64) -> bool) -> Place {
    for _ in 0..ATTEMPTS {
        if let Some(place) = try_reserve(word, epoch, &fits) {
            return place;
        }
    }
    Place::Uncounted
}

/// Reserves a place as [`reserve`], in one attempt. Returns none when another socket changed the
/// word meanwhile.
#[inline(always)]
pub(crate) fn try_reserve(
    word: &AtomicU64,
    epoch: u64,
    fits: impl Fn(u64) -> bool,
) -> Option<Place> {
    let before = atomic::read(word);
    if !fits(before) {
        return Some(Place::Taken);
    }
    let moved = moved_on(before, epoch);
    let unit = unit(moved, epoch);
    if number(moved, unit) == MOST {
        return Some(Place::Uncounted);
    }
    atomic::replace(word, before, moved + unit).then_some(Place::Reserved)
}

/// Takes a place at once, where no SYN will follow, if `fits`, which takes the word as it was
/// before. Returns whether it did.
#[inline(always)]
pub fn hold(word: &AtomicU64, fits: impl FnOnce(u64) -> bool) -> bool {
    if fits(atomic::add(word, LIVE)) {
        return true;
    }
    atomic::add(word, LIVE.wrapping_neg());
    false
}

/// Turns a reservation of `epoch` into `units` of [`LIVE`] and [`CONNECTING`]. An expired
/// reservation has nothing to give back.
#[inline(always)]
pub fn settle(word: &AtomicU64, epoch: u64, units: u64) {
    for _ in 0..ATTEMPTS {
        let before = atomic::read(word);
        let unit = unit(before, epoch);
        let given_back = if number(before, unit) == 0 { 0 } else { unit };
        if atomic::replace(
            word,
            before,
            before.wrapping_add(units).wrapping_sub(given_back),
        ) {
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

/// Adds `units`, which may be negative, and clears reservations that have expired.
#[inline(always)]
pub fn correct(word: &AtomicU64, epoch: u64, units: u64) {
    for _ in 0..ATTEMPTS {
        let before = atomic::read(word);
        if atomic::replace(word, before, moved_on(before, epoch).wrapping_add(units)) {
            return;
        }
    }
    atomic::count(word, units);
}

/// Subtracts `units`.
#[inline(always)]
pub fn remove(word: &AtomicU64, units: u64) {
    atomic::count(word, units.wrapping_neg());
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering::Relaxed, vec::Vec};

    use super::*;
    use crate::abi::capacity;

    fn below(limit: u64, epoch: u64) -> impl Fn(u64) -> bool {
        move |before| live(before) + reserved(before, epoch) < limit
    }

    #[test]
    fn a_reservation_counts_until_it_is_settled() {
        let word = AtomicU64::new(0);
        assert_eq!(reserve(&word, 7, below(1, 7)), Place::Reserved);
        assert_eq!(reserve(&word, 7, below(1, 7)), Place::Taken);
        settle(&word, 7, LIVE + CONNECTING);
        let now = word.load(Relaxed);
        assert_eq!((live(now), connecting(now), reserved(now, 7)), (1, 1, 0));
        assert_eq!(
            reserve(&word, 7, below(1, 7)),
            Place::Taken,
            "the place is held now"
        );
        remove(&word, LIVE + CONNECTING);
        assert_eq!(reserve(&word, 7, below(1, 7)), Place::Reserved);
    }

    #[test]
    fn a_reservation_expires_after_the_next_epoch() {
        let word = AtomicU64::new(0);
        assert_eq!(reserve(&word, 7, below(1, 7)), Place::Reserved);
        assert_eq!(
            reserve(&word, 8, below(1, 8)),
            Place::Taken,
            "its SYN may be about to be sent"
        );
        assert_eq!(reserve(&word, 9, below(1, 9)), Place::Reserved);
        settle(&word, 7, 0);
        assert_eq!(
            reserved(word.load(Relaxed), 9),
            1,
            "the expired one takes nothing from the others"
        );
        settle(&word, 9, 0);
        assert_eq!(counts(word.load(Relaxed)), 0);
    }

    #[test]
    fn reservations_of_two_epochs_are_told_apart() {
        for order in [[7, 8], [8, 7]] {
            let word = AtomicU64::new(0);
            for epoch in [order[0], order[1], 7, 8, 8] {
                assert_eq!(reserve(&word, epoch, below(5, epoch)), Place::Reserved);
            }
            assert_eq!(
                [7, 8, 9, 10].map(|epoch| reserved(word.load(Relaxed), epoch)),
                [5, 5, 3, 0],
                "{order:?}"
            );
            for epoch in [8, 7, 8, 7, 8] {
                settle(&word, epoch, LIVE);
            }
            assert_eq!(counts(word.load(Relaxed)), 5 * LIVE);
        }
    }

    #[test]
    fn more_reservations_than_can_be_counted_change_nothing_else() {
        let (word, held) = (AtomicU64::new(0), 3 * (LIVE + CONNECTING));
        add(&word, held);
        for epoch in [LAST, 0] {
            let places: Vec<Place> = (0..10_000)
                .map(|_| reserve(&word, epoch, below(20_000, epoch)))
                .collect();
            assert_eq!(
                places.iter().filter(|it| **it == Place::Reserved).count(),
                63
            );
            assert_eq!(places.last(), Some(&Place::Uncounted));
        }
        assert_eq!(reserved(word.load(Relaxed), 0), 126);
        assert_eq!(reserve(&word, 0, below(129, 0)), Place::Taken);
        assert_eq!(
            [1, 2].map(|epoch| reserved(word.load(Relaxed), epoch)),
            [63, 0]
        );
        assert_eq!(word.load(Relaxed) & HELD, held);
    }

    #[test]
    fn an_expired_reservation_does_not_come_back_within_minutes() {
        let word = AtomicU64::new(0);
        assert_eq!(reserve(&word, epoch(0), below(1, 0)), Place::Reserved);
        let milliseconds = (135..15 * 60_000)
            .filter(|now| reserved(word.load(Relaxed), epoch(now * 1_000_000)) != 0);
        assert_eq!(milliseconds.count(), 0);
    }

    #[test]
    fn expired_reservations_are_cleared_and_others_stay() {
        let word = AtomicU64::new(3 * LIVE);
        assert_eq!(reserve(&word, 7, below(9, 7)), Place::Reserved);
        assert_eq!(
            [7, 8, 9].map(|epoch| has_expired(word.load(Relaxed), epoch)),
            [false, false, true]
        );
        correct(&word, 8, LIVE.wrapping_neg());
        assert_eq!(
            (live(word.load(Relaxed)), reserved(word.load(Relaxed), 8)),
            (2, 1)
        );
        correct(&word, 9, CONNECTING);
        assert_eq!(counts(word.load(Relaxed)), 2 * LIVE + CONNECTING);
        assert!(!has_expired(word.load(Relaxed), 9));
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
    fn every_recorded_socket_can_hold_one_backend() {
        assert!(u64::from(capacity::SOCKETS) < NEWER / CONNECTING);
        assert!(u64::from(capacity::SOCKETS) < CONNECTING / LIVE);
    }

    #[test]
    fn epochs_follow_the_clock() {
        assert_eq!(
            [0, (1 << 26) - 1, 1 << 26, 1 << 40].map(epoch),
            [0, 0, 1, 0]
        );
    }
}
