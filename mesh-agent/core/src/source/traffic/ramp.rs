//! Reads the ramps of new and of draining endpoints.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    model::{Drain, Ratio, SlowStart},
    source::{
        duration::{DAY, duration},
        field::Field,
        value,
    },
};

/// One, in the unit of [`Ratio`].
const ONE: u32 = 1_000_000;

/// Reads `slowStart`.
pub fn slow_start(field: Field<'_>) -> Option<SlowStart> {
    let field = field.mapping()?;
    field.only(&["alpha", "tick"]);
    let bounds = |field| {
        ratio(
            field,
            1..=ONE,
            "a number above 0 and at most 1, with at most 6 decimals",
        )
    };
    let alpha = field.or("alpha", Ratio(ONE / 10), bounds);
    let tick = tick(field);
    Some(SlowStart {
        alpha: alpha?,
        tick: tick?,
    })
}

/// Reads `drain`.
pub fn drain(field: Field<'_>) -> Option<Drain> {
    let field = field.mapping()?;
    field.only(&["beta", "tick"]);
    let bounds = |field| {
        ratio(
            field,
            0..=ONE - 1,
            "a number from 0 and below 1, with at most 6 decimals",
        )
    };
    let beta = field.or("beta", Ratio(ONE / 2), bounds);
    let tick = tick(field);
    Some(Drain {
        beta: beta?,
        tick: tick?,
    })
}

fn ratio(field: Field<'_>, bounds: RangeInclusive<u32>, what: &str) -> Option<Ratio> {
    let ratio = value::decimal(field, 6).filter(|ratio| bounds.contains(ratio));
    ratio.map(Ratio).or_else(|| field.expected(what))
}

fn tick(ramp: Field<'_>) -> Option<Duration> {
    ramp.or("tick", Duration::from_secs(1), |field| {
        duration(field, Duration::from_millis(100)..=DAY)
    })
}
