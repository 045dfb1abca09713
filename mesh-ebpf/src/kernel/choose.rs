//! The global functions that choose a backend and learn from the outcome of its connects: policies,
//! tiers, limits, affinity and ejection.

use mesh_common::{
    abi::{FrontendKey, ServiceRow, ShareKey},
    affinity, balance,
    evidence::{self, Evidence},
    latency::{self, Measure, Pair, Part},
    limits::{self, Shares},
    outcome::{self, Attempt, Outcomes},
    pick::{self, Choose},
    search,
    walk::{self, Progress, Walk},
};

use super::{Maps, global::global_functions};

impl<C> Evidence for Maps<C> {
    #[inline(always)]
    fn client_health(&self, service: &ServiceRow, index: u32) -> u64 {
        client_health(service, index)
    }

    #[inline(always)]
    fn start_trial(&self, service: &ServiceRow, index: u32) -> bool {
        start_trial(service, index) != 0
    }
}

global_functions! {
    fn client_health(service: *const ServiceRow; index: u32) -> u64 {
        evidence::client_health(&Maps(()), service, index)
    } or 0;

    fn start_trial(service: *const ServiceRow; index: u32) -> u32 {
        evidence::start_trial(&Maps(()), service, index).into()
    } or 0;
}

impl<C> Measure for Maps<C> {
    #[inline(always)]
    fn latencies(&self, service: &ServiceRow, one: u32, other: u32) -> u64 {
        latencies(service, one, other)
    }

    #[inline(always)]
    fn learn_latency(&self, pair: Pair, part: Part, sample: u64) {
        let Pair {
            client,
            backend,
            generation,
        } = pair;
        let is_duration = (part == Part::Duration).into();
        learn_latency(client, backend, generation, is_duration, sample);
    }
}

global_functions! {
    fn latencies(service: *const ServiceRow; one: u32, other: u32) -> u64 {
        latency::compare(&Maps(()), service, one, other)
    } or 0;
}

/// A global function without rows; see [`global_functions`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn_latency(
    client: u32,
    backend: u32,
    generation: u32,
    is_duration: u32,
    sample: u64,
) -> u32 {
    let part = if is_duration == 0 {
        Part::Handshake
    } else {
        Part::Duration
    };
    let pair = Pair {
        client,
        backend,
        generation,
    };
    latency::learn(&Maps(()), pair, part, sample);
    0
}

impl<C> Shares for Maps<C> {
    #[inline(always)]
    fn claim(&self, service: &ServiceRow) -> u64 {
        claim(service)
    }

    #[inline(always)]
    fn change_share(&self, of: ShareKey, reserved: u64, units: u64) {
        change_share(of.service, of.client, reserved, units);
    }
}

global_functions! {
    fn claim(service: *const ServiceRow) -> u64 {
        limits::claim(&Maps(()), service)
    } or 0;
}

/// A global function without rows; see [`global_functions`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn change_share(service: u32, client: u32, reserved: u64, units: u64) -> u32 {
    limits::change_share(&Maps(()), ShareKey { service, client }, reserved, units);
    0
}

impl<C> Walk for Maps<C> {
    #[inline(always)]
    fn step(&self, service: &ServiceRow, walk: &mut Progress) -> bool {
        step(service, walk) != 0
    }

    #[inline(always)]
    fn stride(&self, service: &ServiceRow, walk: &mut Progress) -> bool {
        stride(service, walk) != 0
    }

    #[inline(always)]
    fn redraw(&self, service: &ServiceRow, walk: &Progress, key: u64, attempt: u32) -> u32 {
        redraw(service, walk, key, attempt)
    }

    #[inline(always)]
    fn costs_less(&self, service: &ServiceRow, one: u32, other: u32) -> bool {
        costs_less(service, one, other) != 0
    }
}

global_functions! {
    fn step(service: *const ServiceRow, walk: *mut Progress) -> u32 {
        walk.step(&Maps(()), service).into()
    } or 0;

    fn stride(service: *const ServiceRow, walk: *mut Progress) -> u32 {
        walk::stride(&Maps(()), service, walk).into()
    } or 0;

    fn redraw(service: *const ServiceRow, walk: *const Progress; key: u64, attempt: u32) -> u32 {
        walk.redraw(&Maps(()), service, key, attempt)
    } or u32::MAX;

    fn costs_less(service: *const ServiceRow; one: u32, other: u32) -> u32 {
        balance::costs_less(&Maps(()), service, one, other).into()
    } or 0;
}

impl<C> Outcomes for Maps<C> {
    #[inline(always)]
    fn succeeded(&self, attempt: &Attempt, in_node: bool) -> bool {
        succeeded(attempt, in_node.into()) != 0
    }

    #[inline(always)]
    fn weigh(&self, attempt: &Attempt) -> u32 {
        weigh(attempt)
    }

    #[inline(always)]
    fn failed(&self, attempt: &Attempt, weighed: u32) -> bool {
        failed(attempt, weighed) != 0
    }

    #[inline(always)]
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

    #[inline(always)]
    fn doubt(&self, service: &ServiceRow, index: u32, now: u64, until: u64, vote: u32) -> bool {
        doubt(service, index, now, until, vote) != 0
    }

    #[inline(always)]
    fn is_too_long(&self, key: &FrontendKey, waited: u64) -> bool {
        is_too_long(key, waited) != 0
    }
}

global_functions! {
    fn succeeded(attempt: *const Attempt; in_node: u32) -> u32 {
        outcome::succeeded(&Maps(()), attempt, in_node != 0).into()
    } or 0;

    fn weigh(attempt: *const Attempt) -> u32 {
        outcome::weigh(&Maps(()), attempt)
    } or u32::MAX;

    fn failed(attempt: *const Attempt; weighed: u32) -> u32 {
        outcome::failed(&Maps(()), attempt, weighed).into()
    } or 0;

    fn after_failure(
        service: *const ServiceRow; before: u64, now: u64, started: u64, how: u32
    ) -> u64 {
        outcome::after_failure(service, before, now, started, how)
    } or u64::MAX;

    fn doubt(service: *const ServiceRow; index: u32, now: u64, until: u64, vote: u32) -> u32 {
        outcome::doubt(&Maps(()), service, index, now, until, vote).into()
    } or 0;

    fn is_too_long(key: *const FrontendKey; waited: u64) -> u32 {
        outcome::is_too_long(&Maps(()), key, waited).into()
    } or 0;
}

impl<C> Choose for Maps<C> {
    #[inline(always)]
    fn kept(&self, service: &ServiceRow, client: u64) -> u64 {
        kept(service, client)
    }

    #[inline(always)]
    fn bind(&self, service: &ServiceRow, client: u64, choice: u64) -> u64 {
        bind(service, client, choice)
    }

    #[inline(always)]
    fn admit(&self, service: &ServiceRow, choice: u64, unbounded: bool) -> u64 {
        admit(service, choice, unbounded.into())
    }

    #[inline(always)]
    fn pick(&self, service: &ServiceRow, client: u64, key: u64) -> u64 {
        pick(service, client, key)
    }

    #[inline(always)]
    fn search(&self, service: &ServiceRow, key: u64, first_was_full: bool) -> u64 {
        search(service, key, first_was_full.into())
    }

    #[inline(always)]
    fn try_reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        try_reserve(service, index.into(), is_bounded.into())
    }

    #[inline(always)]
    fn reserve(&self, service: &ServiceRow, index: u32, is_bounded: bool) -> u64 {
        reserve(service, index.into(), is_bounded.into())
    }

    #[inline(always)]
    fn enter(&self, service: &ServiceRow) -> u64 {
        enter(service)
    }

    #[inline(always)]
    fn leave(&self, service: &ServiceRow, limited: u64) {
        leave(service, limited);
    }
}

global_functions! {
    fn kept(service: *const ServiceRow; client: u64) -> u64 {
        affinity::kept(&Maps(()), service, client)
    } or u64::MAX;

    fn bind(service: *const ServiceRow; client: u64, choice: u64) -> u64 {
        affinity::bind(&Maps(()), service, client, choice)
    } or u64::MAX;

    fn admit(service: *const ServiceRow; choice: u64, unbounded: u64) -> u64 {
        pick::admit(&Maps(()), service, choice, unbounded != 0)
    } or u64::MAX;

    fn pick(service: *const ServiceRow; client: u64, key: u64) -> u64 {
        pick::pick(&Maps(()), service, client, key)
    } or u64::MAX;

    fn search(service: *const ServiceRow; key: u64, first_was_full: u64) -> u64 {
        search::search(&Maps(()), service, key, first_was_full != 0)
    } or u64::MAX;

    fn try_reserve(service: *const ServiceRow; index: u64, is_bounded: u64) -> u64 {
        pick::try_reserve(&Maps(()), service, index as u32, is_bounded != 0)
    } or u64::MAX;

    fn reserve(service: *const ServiceRow; index: u64, is_bounded: u64) -> u64 {
        pick::reserve(&Maps(()), service, index as u32, is_bounded != 0)
    } or u64::MAX;

    fn enter(service: *const ServiceRow) -> u64 {
        limits::enter(&Maps(()), service)
    } or 0;

    fn leave(service: *const ServiceRow; limited: u64) -> u32 {
        limits::leave(&Maps(()), service, limited);
        0
    } or 0;
}
