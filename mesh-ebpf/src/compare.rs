//! Functions that compare backends and learn what a client compares them by. The verifier looks at
//! each by itself, as at those in [`kernel`](crate::kernel).

use mesh_common::{
    abi::ServiceRow,
    balance,
    latency::{self, Pair, Part},
};

use crate::kernel::Maps;

/// [`latency::compare`]
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn latencies(service: *const ServiceRow, one: u32, other: u32) -> u64 {
    // SAFETY: callers pass a row; the verifier wants to see that it is there.
    match unsafe { service.as_ref() } {
        Some(service) => latency::compare(&Maps(()), service, one, other),
        None => 0,
    }
}

/// [`balance::costs_less`]
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn costs_less(service: *const ServiceRow, one: u32, other: u32) -> u32 {
    // SAFETY: as above.
    match unsafe { service.as_ref() } {
        Some(service) => balance::costs_less(&Maps(()), service, one, other).into(),
        None => 0,
    }
}

/// [`latency::learn`]
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn learn_latency(
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
    latency::learn(
        &Maps(()),
        Pair {
            client,
            backend,
            generation,
        },
        part,
        sample,
    );
    0
}
