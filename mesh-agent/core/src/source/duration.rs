//! Durations with a unit, within bounds.

use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;
use schemars::{Schema, json_schema};

use super::{
    document::Value,
    field::{Field, expected},
    setting::{self, Kind, Wrong},
    time_pattern::outside,
};
use crate::duration;

/// Longest duration of most settings, in milliseconds.
pub const DAY: u64 = 24 * 60 * 60 * 1000;

/// The form of a duration, for messages.
const WITH_UNIT: &str = "a duration with its unit, like 500ms, 10s or 5m";

/// A duration in whole milliseconds within bounds.
pub struct Time<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Kind for Time<MIN, MAX> {
    type Value = Duration;

    fn read(value: &Value<'_>) -> Result<Duration, Wrong> {
        within(value, &bounds(MIN, MAX))
    }

    fn schema() -> Schema {
        let bounds = bounds(MIN, MAX);
        let range = format!("{}–{}", shown(*bounds.start()), shown(*bounds.end()));
        // A number with its unit.
        json_schema!({
            "type": "string",
            "pattern": "[0-9] *[:A-Za-zµμ]",
            "errorMessage": expected(WITH_UNIT),
            // Not `not`: editors show no message of ours for it.
            "if": {"type": "string", "pattern": outside(MIN, MAX)},
            "then": {"pattern": "^$", "errorMessage": expected(&form(&bounds))},
            "x-range": range
        })
    }

    fn json(value: &Duration) -> serde_json::Value {
        shown(*value).into()
    }
}

/// Reads a duration in whole milliseconds within these bounds.
pub fn duration(field: Field<'_>, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    setting::shown(field, within(field.value(), &bounds))
}

fn bounds(min: u64, max: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(min)..=Duration::from_millis(max)
}

fn within(value: &Value<'_>, bounds: &RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    if matches!(value, Value::Number(_)) {
        return Err(Wrong::expected(WITH_UNIT));
    }
    let whole = |duration: &Duration| duration.subsec_nanos().is_multiple_of(1_000_000);
    value
        .text()
        .and_then(duration::parse)
        .filter(|parsed| bounds.contains(parsed) && whole(parsed))
        .ok_or_else(|| Wrong::expected(form(bounds)))
}

/// Returns the form of a duration within bounds, for messages.
fn form(bounds: &RangeInclusive<Duration>) -> String {
    let (least, most) = (shown(*bounds.start()), shown(*bounds.end()));
    format!("a duration from {least} to {most} in whole milliseconds")
}

/// Formats a duration as a user would write it.
pub fn shown(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(
        |_| format!("{duration:?}"),
        |duration| format!("{duration:#}"),
    )
}
