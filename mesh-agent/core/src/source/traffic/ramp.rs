//! The ramps of new and of draining endpoints.

use std::{ops::RangeInclusive, time::Duration};

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use crate::{
    model::{Drain, Ratio, SlowStart},
    source::{
        document::Value,
        duration::{DAY, Time},
        setting::{Kind, Plain, Wrong},
        value::decimal,
    },
};

/// One, in the unit of [`Ratio`].
const ONE: u32 = 1_000_000;

/// Default of the ticks.
const TICK: Duration = Duration::from_secs(1);

/// With each tick, a new endpoint gets the part `alpha` of the weight that it still lacks.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SlowStart")]
pub struct SlowStartForm {
    /// Part of the missing weight that an endpoint gets with each tick.
    alpha: Plain<Alpha>,
    /// Time from one step to the next.
    tick: Plain<Time<100, DAY>>,
}

/// With each tick, a draining endpoint keeps the part `beta` of its weight.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Drain")]
pub struct DrainForm {
    /// Part of its weight that an endpoint keeps with each tick.
    beta: Plain<Beta>,
    /// Time from one step to the next.
    tick: Plain<Time<100, DAY>>,
}

impl Default for SlowStartForm {
    fn default() -> Self {
        Self {
            alpha: Plain::default_to(Ratio(ONE / 10)),
            tick: Plain::default_to(TICK),
        }
    }
}

impl Default for DrainForm {
    fn default() -> Self {
        Self {
            beta: Plain::default_to(Ratio(ONE / 2)),
            tick: Plain::default_to(TICK),
        }
    }
}

impl SlowStartForm {
    /// Converts to the model.
    pub fn model(self) -> Option<SlowStart> {
        Some(SlowStart {
            alpha: self.alpha.value()?,
            tick: self.tick.value()?,
        })
    }
}

impl DrainForm {
    /// Converts to the model.
    pub fn model(self) -> Option<Drain> {
        Some(Drain {
            beta: self.beta.value()?,
            tick: self.tick.value()?,
        })
    }
}

/// A ratio above 0 and at most 1.
struct Alpha;

impl Kind for Alpha {
    type Value = Ratio;

    fn read(value: &Value<'_>) -> Result<Ratio, Wrong> {
        let what = "a number above 0 and at most 1, with at most 6 decimals";
        ratio(value, &(1..=ONE), what)
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "number", "exclusiveMinimum": 0, "maximum": 1, "x-range": "above 0, at most 1"
        })
    }

    fn json(value: &Ratio) -> serde_json::Value {
        decimal_of(*value)
    }
}

/// A ratio from 0 and below 1.
struct Beta;

impl Kind for Beta {
    type Value = Ratio;

    fn read(value: &Value<'_>) -> Result<Ratio, Wrong> {
        let what = "a number from 0 and below 1, with at most 6 decimals";
        ratio(value, &(0..=ONE - 1), what)
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "number", "minimum": 0, "exclusiveMaximum": 1, "x-range": "from 0, below 1"
        })
    }

    fn json(value: &Ratio) -> serde_json::Value {
        decimal_of(*value)
    }
}

fn ratio(
    value: &Value<'_>,
    bounds: &RangeInclusive<u32>,
    what: &'static str,
) -> Result<Ratio, Wrong> {
    decimal(value, 6)
        .filter(|ratio| bounds.contains(ratio))
        .map(Ratio)
        .ok_or(Wrong::expected(what))
}

fn decimal_of(ratio: Ratio) -> serde_json::Value {
    (f64::from(ratio.0) / f64::from(ONE)).into()
}
