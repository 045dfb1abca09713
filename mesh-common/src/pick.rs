//! Which backend serves a connect: the one that a client is bound to, or one that the slots give.
//!
//! What a policy asks for first is taken when it is usable, which needs no more than its row. Only
//! if it is not, the tiers are [searched](crate::search).

use crate::{
    abi::{ServiceRow, protocol, socket_state},
    affinity::{UNBOUND, bind, kept},
    atomic,
    balance::{self, Cost, compares},
    counter::Counter,
    ejection::{Health, State, milliseconds},
    evidence::{Evidence, health},
    hash::scatter,
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
/// found, a moment after it was seen to be free. Places are found at random, so a connect loses
/// this often in a row only where others come for the last free places as fast as they become free.
const SEARCHES: u32 = 64;
/// In the place of a backend: a row refers to one that is missing.
pub const BROKEN: u64 = u64::MAX - 2;
/// In the place of a backend: the first choice cannot be taken.
const SEARCH: u64 = u64::MAX - 3;
/// The same, because it has as many connections as it may have.
const FIRST_IS_FULL: u64 = u64::MAX - 4;
/// Numbers from here on name no backend.
const REASONS: u64 = FIRST_IS_FULL;

/// The functions that the kernel programs call by themselves; see [`search`](crate::search).
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

    /// [`limits::enter`]
    fn enter(&self, service: &ServiceRow) -> u64 {
        limits::enter(self, service)
    }

    /// [`limits::leave`]
    fn leave(&self, service: &ServiceRow, limited: u64) {
        limits::leave(self, service, limited);
    }
}

/// A backend that a connect was given, and what the socket has of it.
#[derive(Clone, Copy)]
pub(crate) struct Picked {
    /// Index.
    pub index: u32,
    /// HELD, or PENDING and RESERVED, and TRIAL of [`socket_state`].
    pub holds: u64,
}

impl Picked {
    /// From the answer of [`choose`], or the counter of the reason why there is none.
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
/// follow. The service has slots. `client` is the client to be bound where the service has session
/// affinity, `key` that of [`balance::key`].
///
/// Returns the index in the low half and bits of [`socket_state`] in the high one, or a number that
/// names no backend.
#[inline(always)]
pub(crate) fn choose<C: Choose>(kernel: &C, service: &ServiceRow, client: u64, key: u64) -> u64 {
    let first = kernel.pick(service, client, key);
    if first != SEARCH && first != FIRST_IS_FULL {
        return first;
    }
    let (mut key, mut full) = (key, first == FIRST_IS_FULL);
    for attempt in 1..=SEARCHES {
        let found = kernel.search(service, key, full);
        if found >= REASONS {
            return found;
        }
        // A client with session affinity is not bound to a stopgap.
        let picked = kernel.admit(service, found, attempt == SEARCHES);
        if picked != UNBOUND {
            return picked;
        }
        full = true;
        // Connects of one key that race for places would meet again at the next.
        key = kernel.random().into();
    }
    ALL_FULL
}

/// What the policy asks for first, or the backend that the client is bound to. Returns as
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

/// What a client is bound to, unless that takes a trial and another connect of the client became
/// it.
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

#[inline(always)]
fn trial<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32) -> u64 {
    kernel.count(service.id, Counter::Trials);
    u64::from(index) | socket_state::TRIAL << 32
}

/// Leaves the tier where it is much busier than the next; else stays with the backend `best`.
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
/// when other connects were faster: it is full by now, or has its bound of connects under way.
/// `unbounded` ignores the latter.
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
    // Only a bound needs a reservation: where there is none, a TCP socket counts from its SYN
    // alone.
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

/// Takes a place at a backend that has a limit or, where `is_bounded` says so, a bound of connects
/// under way. Returns RESERVED of [`socket_state`] where it was reserved, or [`u64::MAX`] when
/// there is none.
///
/// A function by itself in the kernel, as [`search`](crate::search::search) is: few connects need
/// it.
#[inline(always)]
pub fn reserve<K: Evidence>(kernel: &K, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
    let Some(backend) = kernel.backend(index) else {
        return UNBOUND;
    };
    let health = if is_bounded {
        health(kernel, service, index, backend)
    } else {
        Health::default()
    };
    let limit = u64::from(service.max_backend_connections);
    let now = kernel.coarse_now();
    let epoch = if service.has_limits() {
        service.epoch()
    } else {
        occupancy::epoch(now)
    };
    let now = milliseconds(now);
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
    match occupancy::reserve(&backend.live, epoch, fits) {
        Place::Reserved => socket_state::RESERVED,
        Place::Uncounted => 0,
        Place::Taken => UNBOUND,
    }
}
