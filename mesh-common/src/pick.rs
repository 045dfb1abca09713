//! The backend of a connect: that to which its client is bound, else one from the slots. Takes a
//! service and a client, returns a held or reserved backend.
//!
//! The first choice of the policy is taken when it is usable, which reads only its own row.
//! Otherwise the tiers are [searched](crate::search).

use crate::{
    abi::{ServiceRow, protocol, socket_state},
    affinity::{UNBOUND, bind, kept},
    atomic,
    balance::{self, Cost, compares},
    counter::Counter,
    ejection::{Health, State, milliseconds},
    evidence::{Evidence, health},
    hash::{mix, scatter},
    kernel::Kernel,
    limits::{self, Shares},
    occupancy::{self, Place, live, reserved},
    search::{ALL_FULL, UNBOUNDED, search},
    status::{Status, status, under_way},
    tiers::{Tier, written},
    two_choices::less_loaded,
    walk::Walk,
};

/// Searches of one connect. Each but the first follows when another connect took the place that was
/// found. Places are found at random, so a connect loses this often in a row only where others take
/// the last free places as fast as they become free.
const SEARCHES: u32 = 64;
/// Answer instead of a backend: a map row refers to a missing row.
pub const BROKEN: u64 = u64::MAX - 2;
/// Answer instead of a backend: the first choice is not usable.
const SEARCH: u64 = u64::MAX - 3;
/// Answer instead of a backend: the first choice is at its connection limit.
const FIRST_IS_FULL: u64 = u64::MAX - 4;
/// Answer of [`try_reserve`]: try again.
const AGAIN: u64 = u64::MAX - 5;
/// Answers from this number on are no backend.
const REASONS: u64 = FIRST_IS_FULL;

/// The global functions of this decision; see [`kernel`](crate::kernel).
pub trait Choose: Walk + Shares {
    /// [`kept`]
    fn kept(&self, service: &ServiceRow, client: u64) -> u64 {
        kept(self, service, client)
    }

    /// [`bind`]
    fn bind(&self, service: &ServiceRow, client: u64, choice: u64) -> u64 {
        bind(self, service, client, choice)
    }

    /// [`admit`]
    fn admit(&self, service: &ServiceRow, choice: u64, unbounded: bool) -> u64 {
        admit(self, service, choice, unbounded)
    }

    /// [`pick`]
    fn pick(&self, service: &ServiceRow, client: u64, key: u64) -> u64 {
        pick(self, service, client, key)
    }

    /// [`search`]
    fn search(&self, service: &ServiceRow, key: u64, first_was_full: bool) -> u64 {
        search(self, service, key, first_was_full)
    }

    /// [`reserve`]
    fn reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        reserve(self, service, index, is_bounded)
    }

    /// [`try_reserve`]
    fn try_reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        try_reserve(self, service, index, is_bounded)
    }

    /// [`limits::enter`]
    fn enter(&self, service: &ServiceRow) -> u64 {
        limits::enter(self, service)
    }

    /// [`limits::leave`]
    fn leave(&self, service: &ServiceRow, limited: u64) {
        limits::leave(self, service, limited);
    }
}

/// The backend of a connect, and what the socket holds of it.
#[derive(Clone, Copy)]
pub(crate) struct Picked {
    /// Index.
    pub index: u32,
    /// HELD, or PENDING and RESERVED, and TRIAL of [`socket_state`].
    pub holds: u64,
}

impl Picked {
    /// Decodes the answer of [`choose`]. The error is the counter of the refusal.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half of the word")]
    pub(crate) const fn of(word: u64) -> Result<Self, Counter> {
        match word {
            ALL_FULL => Err(Counter::RefusedLimit),
            BROKEN => Err(Counter::RefusedBroken),
            u64::MAX => Err(Counter::RefusedNoBackend),
            _ => Ok(Self {
                index: word as u32,
                holds: word >> 32,
            }),
        }
    }
}

/// Chooses a backend for a new connect or flow and holds it, or reserves a place where a SYN will
/// follow. The service has slots. `client` is the client to bind where the service has session
/// affinity, `key` that of [`balance::key`].
///
/// Returns the index in the low half and bits of [`socket_state`] in the high one, or a number that
/// is no backend.
#[inline(always)]
pub(crate) fn choose<C: Choose>(kernel: &C, service: &ServiceRow, client: u64, key: u64) -> u64 {
    let first = kernel.pick(service, client, key);
    if first != SEARCH && first != FIRST_IS_FULL {
        return first;
    }
    let (mut key, mut full) = (key, first == FIRST_IS_FULL);
    let seed = u64::from(kernel.random());
    for attempt in 1..=SEARCHES {
        let found = kernel.search(service, key, full);
        if found >= REASONS {
            return found;
        }
        // The client is not bound to what a search found: its own backend or the first choice may
        // be usable again soon.
        let picked = kernel.admit(service, found, attempt == SEARCHES);
        if picked != UNBOUND {
            return picked;
        }
        full = true;
        // A new key: connects with the same key that compete for places would meet again in the
        // next search.
        key = mix(seed << 32 | u64::from(attempt));
    }
    ALL_FULL
}

/// Chooses the backend to which the client is bound, or the first choice of the policy. Returns as
/// [`choose`], or that a search has to follow.
#[inline(always)]
pub fn pick<C: Choose>(kernel: &C, service: &ServiceRow, client: u64, key: u64) -> u64 {
    let binds = service.affinity_seconds != 0;
    let mut choice = if binds {
        claimed(kernel, service, kernel.kept(service, client))
    } else {
        UNBOUND
    };
    let mut full = false;
    if choice == UNBOUND {
        let tier = Tier::first(service);
        let draw = balance::choose(kernel, service, key, tier.count, 0);
        let Some((index, backend)) = tier.drawn(kernel, draw) else {
            return BROKEN;
        };
        match status(kernel, service, index, backend) {
            Status::Usable => {
                let chance = scatter(draw.fraction);
                let index = less_loaded(kernel, service, tier, chance, index, backend);
                choice = spill(kernel, service, tier, chance, index);
            }
            Status::Due if kernel.start_trial(service, index) => {
                choice = trial(kernel, service, index);
            }
            seen => full = seen == Status::Full,
        }
        if binds && choice != UNBOUND {
            let bound = kernel.bind(service, client, choice);
            choice = if bound == choice {
                choice
            } else {
                claimed(kernel, service, bound)
            };
        }
    }
    if choice == UNBOUND {
        return if full { FIRST_IS_FULL } else { SEARCH };
    }
    match admit(kernel, service, choice, false) {
        UNBOUND => FIRST_IS_FULL,
        picked => picked,
    }
}

/// Returns a bound client's choice, unless it takes a trial and another connect of the client
/// became it.
#[inline(always)]
fn claimed<K: Evidence>(kernel: &K, service: &ServiceRow, choice: u64) -> u64 {
    let is_trial = choice != UNBOUND && choice & socket_state::TRIAL << 32 != 0;
    #[expect(clippy::cast_possible_truncation, reason = "the low half of the word")]
    if is_trial && !kernel.start_trial(service, choice as u32) {
        UNBOUND
    } else {
        choice
    }
}

/// Returns the choice of a backend whose trial this connect is, and counts the trial.
#[inline(always)]
fn trial<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32) -> u64 {
    kernel.count(service.id, Counter::Trials);
    u64::from(index) | socket_state::TRIAL << 32
}

/// Returns a backend of the next tier where this tier is much busier than the next; else `best`.
#[inline(always)]
fn spill<K: Evidence>(kernel: &K, service: &ServiceRow, tier: Tier, chance: u32, best: u32) -> u64 {
    if service.spill == 0 || !compares(service.policy) {
        return best.into();
    }
    let Some(backend) = written(kernel, best) else {
        return best.into();
    };
    let cost = Cost::of(backend);
    if let Some(next) = tier.next(kernel)
        && let Some((far, backend)) = next.draw_other(kernel, scatter(!chance), best)
        && cost.is_much_above(Cost::of(backend), service.spill)
    {
        match status(kernel, service, far, backend) {
            Status::Usable => {
                kernel.count(service.id, Counter::Failovers);
                return far.into();
            }
            Status::Due if kernel.start_trial(service, far) => return trial(kernel, service, far),
            _ => {}
        }
    }
    best.into()
}

/// Holds a backend for a socket, or reserves a place, and counts the connect. Returns [`u64::MAX`]
/// when other connects were faster: the backend is full by now, or has its bound of connects in
/// progress. `unbounded` ignores that bound.
#[inline(always)]
pub fn admit<C: Choose>(kernel: &C, service: &ServiceRow, choice: u64, unbounded: bool) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half of the word")]
    let index = choice as u32;
    let Some(backend) = written(kernel, index) else {
        return UNBOUND;
    };
    let health = health(kernel, service, index, backend);
    let is_bounded =
        health.state == State::Probation && !unbounded && choice >> 32 & UNBOUNDED == 0;
    let is_tcp = service.key.protocol == protocol::TCP;
    let mut holds = if is_tcp {
        socket_state::PENDING
    } else {
        socket_state::HELD
    };
    // Only a limit or a bound needs a reservation. Otherwise a TCP socket counts from its SYN on.
    if service.max_backend_connections != 0 || is_bounded {
        let reserved = kernel.reserve(service, index, is_bounded);
        if reserved == UNBOUND {
            return UNBOUND;
        }
        holds |= reserved & socket_state::RESERVED;
    } else if !is_tcp {
        occupancy::add(&backend.live, occupancy::LIVE);
    }
    atomic::count(&backend.connects, 1);
    choice & !(UNBOUNDED << 32) | holds << 32
}

/// Takes a place at a backend that has a connection limit or, if `is_bounded`, a bound of connects
/// in progress. Returns RESERVED of [`socket_state`] where a place was reserved, or [`u64::MAX`]
/// when there is none.
///
/// A global function: few connects need it.
#[inline(always)]
pub fn reserve<C: Choose>(kernel: &C, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
    for _ in 0..occupancy::ATTEMPTS {
        let place = kernel.try_reserve(service, index, is_bounded);
        if place != AGAIN {
            return place;
        }
    }
    0
}

/// Takes a place as [`reserve`], in one attempt. Returns [`AGAIN`] when another connect changed the
/// backend's count meanwhile.
///
/// A global function: the verifier checks one attempt, not all in a row.
#[inline(always)]
pub fn try_reserve<K: Evidence>(
    kernel: &K,
    service: &ServiceRow,
    index: u32,
    is_bounded: bool,
) -> u64 {
    let Some(backend) = kernel.backend(index) else {
        return UNBOUND;
    };
    let health = if is_bounded {
        health(kernel, service, index, backend)
    } else {
        Health::default()
    };
    let limit = u64::from(service.max_backend_connections);
    let nanoseconds = kernel.coarse_now();
    let epoch = if service.has_limits() {
        service.epoch()
    } else {
        occupancy::epoch(nanoseconds)
    };
    let now = milliseconds(nanoseconds);
    let fits = |before: u64| {
        (limit == 0 || live(before) + reserved(before, epoch) < limit)
            && !health.is_bounded(service, now, under_way(before, epoch))
    };
    if service.key.protocol != protocol::TCP {
        return if occupancy::hold(&backend.live, fits) {
            0
        } else {
            UNBOUND
        };
    }
    match occupancy::try_reserve(&backend.live, epoch, fits) {
        Some(Place::Reserved) => socket_state::RESERVED,
        Some(Place::Uncounted) => 0,
        Some(Place::Taken) => UNBOUND,
        None => AGAIN,
    }
}
