//! Which backend serves: the one a client is bound to, or one that the slots give.
//!
//! What a policy asks for first is taken when it is usable, which needs no more than its row. Only if it is not, the
//! tiers are [searched](search): the usable capacity of each decides whether the connect stays in it.

use crate::{
    abi::{
        AffinityKey, AffinityRow, Backend, ServiceRow, Slot, backend_state, policy, protocol, service_flags,
        socket_state,
    },
    atomic,
    balance::{self, Cost, Draw, choose, compares, connecting, live},
    connect::Verdict,
    counter::Counter,
    kernel::{Caller, Kernel},
    life,
    outlier::{self, Health, milliseconds},
};

const NANOSECONDS: u64 = 1_000_000_000;
/// A row is not written again for each of many connects in a row.
const TOUCH_AFTER: u64 = NANOSECONDS / 4;
/// Slots of a tier that are looked at to see how much of it is usable; of a larger tier, a sample.
const SAMPLE: u32 = 64;
/// Slots that are looked at in all tiers, and steps from one to the next.
const STEPS: u32 = 192;
/// Draws after one that could not be taken, before the sample decides.
const REDRAWS: u32 = 8;
/// A backend that does not take what it was chosen for is taken for full, and another is looked for so many times.
const SEARCHES: u32 = 2;
/// One of so many connects to a latency-aware service compares nobody.
const EXPLORE: u32 = 64;
/// No index.
const NOBODY: u32 = u32::MAX;

/// A backend that a connect was given, and what the socket holds of it.
pub(crate) struct Picked<'k> {
    /// Index.
    pub index: u32,
    /// Row.
    pub backend: &'k Backend,
    /// HELD, CONNECTING, PROBE of [`socket_state`].
    pub holds: u64,
}

impl Picked<'_> {
    /// To go there.
    #[inline(always)]
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict::Backend { addr: self.backend.row.addr, port: self.backend.row.port }
    }
}

/// Whether a backend takes a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does.
    Usable,
    /// Its ejection is over: one connect may try it.
    Due,
    /// It is ejected, or so many connects to it are under way that failing they would eject it.
    Ejected,
    /// It has as many connections as it may have.
    Full,
    /// The agent says that it takes none.
    Down,
}

/// Whether a backend of the service takes a connection now.
#[inline(always)]
pub fn status<K: Kernel>(kernel: &K, service: &ServiceRow, backend: &Backend) -> Status {
    if backend.row.state != backend_state::ACTIVE {
        return Status::Down;
    }
    let health = Health::of(atomic::read(&backend.health));
    let now = atomic::read(&backend.live);
    if service.failures != 0 {
        if health.is_ejected() {
            return if milliseconds(kernel.now()) >= health.until { Status::Due } else { Status::Ejected };
        }
        if on_probation(service, health, connecting(now)) {
            return Status::Ejected;
        }
    }
    if service.max_backend_connections != 0 && live(now) >= u64::from(service.max_backend_connections) {
        return Status::Full;
    }
    Status::Usable
}

/// Whether `connecting` more failures would be more than eject it.
#[inline(always)]
fn on_probation(service: &ServiceRow, health: Health, connecting: u64) -> bool {
    health.streak != 0
        && health.streak < service.failures
        && u64::from(health.streak) + connecting >= u64::from(service.failures)
}

/// A backend that is to be asked: its index in the low half of the word, in the high one PROBE of [`socket_state`] or
/// nothing. Not a reference that may be missing: on paths where nobody is chosen the compiler would leave it undefined,
/// and the verifier refuses to see that copied.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Choice(u64);

impl Choice {
    const NOBODY: Self = Self(u64::MAX);

    #[inline(always)]
    const fn of(index: u32) -> Self {
        Self(index as u64)
    }

    #[inline(always)]
    const fn probe(index: u32) -> Self {
        Self(index as u64 | socket_state::PROBE << 32)
    }

    #[inline(always)]
    const fn is_nobody(self) -> bool {
        self.0 == u64::MAX
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half of the word")]
    const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Index and generation in one word, as [`AffinityRow`] has them.
    #[inline(always)]
    fn word<K: Kernel>(self, kernel: &K) -> u64 {
        let generation = kernel.backend(self.index()).map_or(0, |backend| backend.row.generation);
        u64::from(self.index()) | u64::from(generation) << 32
    }
}

/// A backend for a new connect or flow, and held for it; or the counter of the reason why there is none. The service has
/// slots.
#[inline(always)]
pub(crate) fn pick<'k, C: Caller>(caller: &'k C, service: &ServiceRow) -> Result<Picked<'k>, Counter> {
    let key = balance::key(caller, service);
    let binds = service.affinity_seconds != 0;
    let client = if binds { caller.client(service.flags & service_flags::AFFINITY_BY_CGROUP != 0) } else { 0 };
    let mut choice = if binds { Choice(caller.kept(service, client)) } else { Choice::NOBODY };
    let mut full = false;
    if choice.is_nobody() {
        let tier = Tier::first(service);
        let draw = choose(caller, service, key, tier.count, 0);
        let Some((index, backend)) = tier.drawn(caller, draw) else { return Err(Counter::RefusedBroken) };
        match status(caller, service, backend) {
            Status::Usable => choice = Choice::of(best(caller, service, draw.fraction, index, backend)),
            Status::Due => choice = probe(caller, service, index, backend),
            seen => full = seen == Status::Full,
        }
        if binds && !choice.is_nobody() {
            choice = Choice(caller.bind(service, client, choice.0));
        }
    }
    if !choice.is_nobody() {
        if let Some(picked) = admit(caller, service, choice) {
            return Ok(picked);
        }
        full = true;
    }
    for _ in 0..SEARCHES {
        let found = caller.search(service, key, full);
        let Ok(index) = u32::try_from(found) else {
            return Err(if found == ALL_FULL { Counter::RefusedLimit } else { Counter::RefusedNoBackend });
        };
        let choice = Choice::of(index);
        // A client with session affinity is not bound to a stopgap.
        if let Some(picked) = admit(caller, service, choice) {
            return Ok(picked);
        }
        full = true;
    }
    Err(Counter::RefusedLimit)
}

/// A backend that somebody wrote: the kernel would answer port 0 with EINVAL.
#[inline(always)]
fn written<K: Kernel>(kernel: &K, index: u32) -> Option<&Backend> {
    kernel.backend(index).filter(|backend| backend.row.port != 0)
}

/// Slots that stand beside each other: the backends that are equally near.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tier {
    base: u32,
    count: u32,
    /// TIERS of [`service_flags`] when a link to the next tier follows, or IN_A_ROW.
    flags: u32,
}

impl Tier {
    #[inline(always)]
    fn first(service: &ServiceRow) -> Self {
        let flags = service.flags & (service_flags::TIERS | service_flags::IN_A_ROW);
        Self { base: service.slot_base, count: service.slot_count, flags }
    }

    #[inline(always)]
    fn next<K: Kernel>(self, kernel: &K) -> Option<Self> {
        if !self.has_more() {
            return None;
        }
        let link = kernel.slot(self.base.wrapping_add(self.count)).filter(|slot| slot.link != 0)?;
        Some(Self { base: link.backend, count: link.alias, flags: link.threshold * service_flags::TIERS })
    }

    #[inline(always)]
    const fn has_more(self) -> bool {
        self.flags & service_flags::TIERS != 0
    }

    #[inline(always)]
    fn slot<K: Kernel>(self, kernel: &K, slot: u32) -> Option<Slot> {
        let at = self.base.wrapping_add(slot);
        if self.flags & service_flags::IN_A_ROW != 0 { Some(Slot::full(at)) } else { kernel.slot(at) }
    }

    /// Who was drawn.
    #[inline(always)]
    fn drawn<K: Kernel>(self, kernel: &K, draw: Draw) -> Option<(u32, &Backend)> {
        let slot = self.slot(kernel, draw.slot)?;
        let index = balance::side(&slot, draw.fraction);
        Some((index, written(kernel, index)?))
    }

    /// A weighted choice, and its neighbour where that is `not`.
    #[inline(always)]
    fn draw_other<K: Kernel>(self, kernel: &K, random: u32, not: u32) -> Option<(u32, &Backend)> {
        let draw = balance::draw(random, self.count);
        let slot = self.slot(kernel, draw.slot)?;
        let mut index = balance::side(&slot, draw.fraction);
        if index == not {
            let next = draw.slot + 1;
            index = self.slot(kernel, if next < self.count { next } else { 0 })?.backend;
        }
        if index == not {
            return None;
        }
        Some((index, written(kernel, index)?))
    }
}

/// For policies that compare, the less loaded of what was drawn and another of its tier; or one of the next tier where
/// that is much less busy. `chance` is what the first draw left of its random number.
#[inline(always)]
fn best<K: Kernel>(kernel: &K, service: &ServiceRow, chance: u32, first: u32, backend: &Backend) -> u32 {
    let chance = balance::scatter(chance);
    if !compares(service.policy) || explores(service, chance) {
        return first;
    }
    let tier = Tier::first(service);
    let mut best = first;
    let mut cost = Cost::of(backend, service.policy);
    if tier.count > 1
        && let Some((second, backend)) = tier.draw_other(kernel, chance, first)
    {
        let other = Cost::of(backend, service.policy);
        if other.is_below(cost) && status(kernel, service, backend) == Status::Usable {
            (best, cost) = (second, other);
        }
    }
    if service.spill != 0
        && let Some(next) = tier.next(kernel)
        && let Some((far, backend)) = next.draw_other(kernel, balance::scatter(chance), best)
        && cost.is_much_above(Cost::of(backend, service.policy), service.spill)
        && status(kernel, service, backend) == Status::Usable
    {
        kernel.count(service.id, Counter::Failovers);
        best = far;
    }
    best
}

/// Whether a backend is taken unseen. One whose latency was bad once would never be asked again, and never be seen to be
/// better, where there are always others.
#[inline(always)]
const fn explores(service: &ServiceRow, chance: u32) -> bool {
    service.policy == policy::LATENCY_AWARE && chance.is_multiple_of(EXPLORE)
}

/// Holds a backend for a socket, unless others were faster and it is full by now.
#[inline(always)]
fn admit<'k, K: Kernel>(kernel: &'k K, service: &ServiceRow, choice: Choice) -> Option<Picked<'k>> {
    let backend = written(kernel, choice.index())?;
    let is_tcp = service.key.protocol == protocol::TCP;
    let holds = socket_state::HELD | if is_tcp { socket_state::CONNECTING } else { 0 };
    let units = life::units(holds);
    let before = atomic::add(&backend.live, units);
    let health = Health::of(atomic::read(&backend.health));
    let limit = u64::from(service.max_backend_connections);
    if (limit != 0 && live(before) >= limit)
        || (service.failures != 0 && on_probation(service, health, connecting(before)))
    {
        atomic::add(&backend.live, units.wrapping_neg());
        return None;
    }
    atomic::count(&backend.connects, 1);
    Some(Picked { index: choice.index(), backend, holds: holds | choice.0 >> 32 })
}

/// Gives back what [`pick`] held.
#[inline(always)]
pub(crate) fn dismiss(picked: &Picked<'_>) {
    atomic::add(&picked.backend.live, life::units(picked.holds).wrapping_neg());
}

/// An ejected backend whose time is up, if this is the one connect that may try it.
#[inline(always)]
fn probe<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32, backend: &Backend) -> Choice {
    let word = atomic::read(&backend.health);
    let now = milliseconds(kernel.now());
    let is_due = Health::of(word).is_ejected() && now >= Health::of(word).until;
    if service.key.protocol != protocol::TCP || !is_due || !outlier::claim(backend, word, service, now) {
        return Choice::NOBODY;
    }
    kernel.count(service.id, Counter::Probes);
    Choice::probe(index)
}

/// A walk over the slots of a service, one [step](Self::step) at a time: how much of a tier is usable, and whom to take
/// there.
///
/// In the kernel a step, a redraw and the [search] are functions that the verifier looks at once and by themselves, whatever their
/// callers know; what is behind the pointers that they are given it takes for unknown numbers. Inline, it would follow
/// every combination of what it knows through all steps, which is too much.
#[repr(C)]
pub struct Search {
    /// Weight of those that work.
    usable: u32,
    /// Weight of all that were looked at.
    total: u32,
    /// What speaks against the best.
    cost: Cost,
    /// One that can be taken: the first, or the least loaded where the policy compares.
    best: u32,
    /// The first that is ejected.
    ejected: u32,
    /// As `ejected`, in the tiers before.
    last_resort: u32,
    /// How many are full, in all tiers so far.
    full: u32,
    /// Tiers before this one.
    depth: u32,
    tier: Tier,
    /// Slot that is next.
    at: u32,
    /// Slots of this tier that are still to be looked at.
    left: u32,
    /// Index that is not to be taken.
    except: u32,
    /// Zero: the verifier wants every byte of what it is shown written.
    pad: u32,
    /// The caller, for consistent hashing.
    key: u64,
}

/// Attempts that are none: to find where in a tier to begin, and whether to stay there.
const BEGINS: u32 = 1 << 16;
const STAYS: u32 = 1 << 17;

impl Search {
    /// Begins with the first tier.
    #[inline(always)]
    fn begin<K: Kernel>(kernel: &K, service: &ServiceRow, tier: Tier, key: u64) -> Self {
        Self {
            usable: 0,
            total: 0,
            cost: Cost::NONE,
            best: NOBODY,
            ejected: NOBODY,
            last_resort: NOBODY,
            full: 0,
            depth: 0,
            tier,
            at: balance::draw(balance::chance(kernel, service, key, BEGINS), tier.count).slot,
            left: if tier.count < SAMPLE { tier.count } else { SAMPLE },
            except: NOBODY,
            pad: 0,
            key,
        }
    }

    /// Looks at one more slot, or goes on to the next tier; false when the walk is over.
    #[inline(always)]
    pub fn step<K: Kernel>(&mut self, kernel: &K, service: &ServiceRow) -> bool {
        if self.left != 0 {
            self.left -= 1;
            let at = if self.at >= self.tier.count { 0 } else { self.at };
            self.at = at + 1;
            if let Some(slot) = self.tier.slot(kernel, at)
                && let Some(backend) = written(kernel, slot.backend)
            {
                self.weigh(kernel, service, slot.backend, backend);
            }
            return true;
        }
        if self.last_resort == NOBODY {
            self.last_resort = self.ejected;
        }
        if self.best != NOBODY && (!self.tier.has_more() || self.keeps(kernel, service)) {
            return false;
        }
        let Some(tier) = self.tier.next(kernel) else { return false };
        (self.usable, self.total, self.best, self.ejected) = (0, 0, NOBODY, NOBODY);
        self.depth += 1;
        self.tier = tier;
        let chance = balance::chance(kernel, service, self.key, BEGINS | self.depth);
        self.at = balance::draw(chance, tier.count).slot;
        self.left = if tier.count < SAMPLE { tier.count } else { SAMPLE };
        true
    }

    #[inline(always)]
    fn weigh<K: Kernel>(&mut self, kernel: &K, service: &ServiceRow, index: u32, backend: &Backend) {
        let cost = Cost::of(backend, service.policy);
        let share = balance::share(service.policy, backend.row.weight);
        self.total += share;
        if index == self.except {
            return;
        }
        match status(kernel, service, backend) {
            Status::Usable => {
                self.usable += share;
                if self.best == NOBODY || (compares(service.policy) && cost.is_below(self.cost)) {
                    (self.best, self.cost) = (index, cost);
                }
            }
            Status::Full => {
                // It works, and has its share.
                self.usable += share;
                self.full += 1;
            }
            Status::Due | Status::Ejected if self.ejected == NOBODY => self.ejected = index,
            Status::Due | Status::Ejected | Status::Down => {}
        }
    }

    /// Whether a connect whose first choice was not usable stays in the tier all the same. Together with those whose
    /// first choice was usable, the tier keeps `usable / (failover · total)` of the connects, as Envoy's priority levels
    /// do with an overprovisioning factor of 1 / failover.
    #[inline(always)]
    fn keeps<K: Kernel>(&self, kernel: &K, service: &ServiceRow) -> bool {
        let (usable, total, failover) = (u64::from(self.usable), u64::from(self.total), u64::from(service.failover));
        if usable * 100 >= failover * total {
            return true;
        }
        // u (1 − f) / (f (1 − u)), with u = usable / total and f = failover / 100
        let odds = usable * (100 - failover);
        let against = failover * (total - usable);
        let chance = balance::chance(kernel, service, self.key, STAYS | self.depth);
        u64::from(chance) * against < odds << 32
    }

    /// What the policy asks for in this tier at its `attempt`, if that can be taken, else [`NOBODY`].
    #[inline(always)]
    pub fn redraw<K: Kernel>(&self, kernel: &K, service: &ServiceRow, key: u64, attempt: u32) -> u32 {
        match self.tier.drawn(kernel, choose(kernel, service, key, self.tier.count, attempt)) {
            Some((index, backend)) if status(kernel, service, backend) == Status::Usable => index,
            _ => NOBODY,
        }
    }

    /// Whether ejections are to be ignored: too little is left, and there is nowhere else to go.
    #[inline(always)]
    fn panics(&self, service: &ServiceRow) -> bool {
        let too_little = u64::from(self.usable) * 100 < u64::from(service.panic) * u64::from(self.total);
        self.best == NOBODY || (!self.tier.has_more() && self.ejected != NOBODY && too_little)
    }
}

/// Whether enough is usable without the backend `except`: a share of the first tier, or anybody in a farther one.
#[inline(always)]
pub(crate) fn is_enough_without<K: Kernel>(kernel: &K, service: &ServiceRow, except: u32) -> bool {
    let mut walk = Search::begin(kernel, service, Tier::first(service), u64::from(kernel.random()));
    walk.except = except;
    for _ in 0..STEPS {
        if !kernel.step(service, &mut walk) {
            break;
        }
    }
    let (total, usable) = (u64::from(walk.total), u64::from(walk.usable));
    let is_within = (total - usable) * 100 <= total * u64::from(service.max_ejected);
    walk.best != NOBODY && (walk.depth != 0 || is_within)
}

/// Nobody can be taken.
const NOBODY_FOUND: u64 = u64::MAX;
/// Nobody can be taken, and some of them because they are full.
const ALL_FULL: u64 = u64::MAX - 1;

/// The first choice cannot be taken: the index of another of its tier, or of the next; or one of two numbers that are
/// none.
#[inline(always)]
pub fn search<K: Kernel>(kernel: &K, service: &ServiceRow, key: u64, first_was_full: bool) -> u64 {
    let mut walk = Search::begin(kernel, service, Tier::first(service), key);
    for _ in 0..STEPS {
        if !kernel.step(service, &mut walk) {
            break;
        }
    }
    if walk.panics(service) {
        if walk.last_resort == NOBODY {
            return if walk.full != 0 || first_was_full { ALL_FULL } else { NOBODY_FOUND };
        }
        kernel.count(service.id, Counter::Panics);
        return walk.last_resort.into();
    }
    if first_was_full {
        kernel.count(service.id, Counter::Overflows);
    }
    if walk.depth != 0 {
        kernel.count(service.id, Counter::Failovers);
    }
    if !compares(service.policy) {
        // The policy is asked again, so that what cannot be taken falls to the others by their weights.
        for attempt in 1..=REDRAWS {
            let index = kernel.redraw(service, &walk, key, attempt);
            if index != NOBODY {
                return index.into();
            }
        }
    }
    walk.best.into()
}

/// The row of a client of a service with session affinity.
#[inline(always)]
fn affinity_key(service: &ServiceRow, client: u64) -> AffinityKey {
    let local = u32::from(service.flags & service_flags::LOCAL != 0);
    AffinityKey { client, service: service.id, variant: u32::from(service.key.addr.is_v4()) | local << 1 }
}

/// Whether a client that used its row then comes back in time.
#[inline(always)]
fn is_in_time(service: &ServiceRow, idle: u64) -> bool {
    idle < u64::from(service.affinity_seconds) * NANOSECONDS
}

/// The [choice](Choice) that a client of a service with session affinity is bound to, as long as that takes connections
/// and the client came back in time.
///
/// This and [`bind`] are functions by themselves in the kernel, as [`search`] is: their rows need a stack of their own.
#[inline(always)]
pub fn kept<K: Kernel>(kernel: &K, service: &ServiceRow, client: u64) -> u64 {
    let (key, now) = (affinity_key(service, client), kernel.now());
    let Some(row) = kernel.affinity(&key) else { return Choice::NOBODY.0 };
    // Another connect may have used it since this one looked at the clock.
    let idle = now.saturating_sub(row.used_at);
    if !is_in_time(service, idle) {
        return Choice::NOBODY.0;
    }
    let choice = still_taking(kernel, service, row.backend);
    if !choice.is_nobody() && idle > TOUCH_AFTER {
        kernel.move_affinity(&key, row.backend, &AffinityRow { backend: row.backend, used_at: now });
    }
    choice.0
}

/// Binds the client to a [choice](Choice) from now on; returns that of the row. Of several first connects at the same time
/// one binds it, the others follow.
#[inline(always)]
pub fn bind<K: Kernel>(kernel: &K, service: &ServiceRow, client: u64, choice: u64) -> u64 {
    let (key, now, fresh) = (affinity_key(service, client), kernel.now(), Choice(choice));
    let row = AffinityRow { backend: fresh.word(kernel), used_at: now };
    match kernel.affinity(&key) {
        // Somebody else has bound it since `kept` looked.
        Some(bound) if is_in_time(service, now.saturating_sub(bound.used_at)) && bound.backend != row.backend => {
            let theirs = still_taking(kernel, service, bound.backend);
            if !theirs.is_nobody() {
                return theirs.0;
            }
            kernel.move_affinity(&key, bound.backend, &row);
        }
        Some(bound) => kernel.move_affinity(&key, bound.backend, &row),
        // Without a row the client is balanced like any other.
        None if !kernel.add_affinity(&key, &row) => return choice,
        None => {}
    }
    match kernel.affinity(&key) {
        Some(winner) if winner.backend != row.backend => still_taking(kernel, service, winner.backend).0,
        _ => choice,
    }
}

/// Rows of this kind of map are recycled while they are read, so the backend must prove that it is this service's.
#[inline(always)]
fn still_taking<K: Kernel>(kernel: &K, service: &ServiceRow, word: u64) -> Choice {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    let (index, generation) = (word as u32, (word >> 32) as u32);
    let Some(backend) = written(kernel, index) else { return Choice::NOBODY };
    if backend.row.generation != generation || backend.row.service != service.id {
        return Choice::NOBODY;
    }
    match status(kernel, service, backend) {
        Status::Usable => Choice::of(index),
        Status::Due => probe(kernel, service, index, backend),
        _ => Choice::NOBODY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_has_no_byte_that_nobody_writes() {
        // Eleven words of 32 bits, what has a type of its own, and the key.
        assert_eq!(size_of::<Cost>(), 16);
        assert_eq!(size_of::<Tier>(), 12);
        assert_eq!(size_of::<Search>(), 11 * 4 + size_of::<Cost>() + size_of::<Tier>() + 8);
    }
}
