//! Reads durations of a document within bounds.

use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;

use super::{document::Value, field::Field};
use crate::duration;

/// Longest duration of most settings.
pub const DAY: Duration = Duration::from_hours(24);

/// Reads a duration in whole milliseconds within these bounds.
pub fn duration(field: Field<'_>, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    if matches!(field.value(), Value::Number(_)) {
        return field.expected("a duration with its unit, like 500ms, 10s or 5m");
    }
    let parsed = match field.value() {
        Value::Text(text) => duration::parse(text),
        _ => None,
    };
    let whole = |duration: &Duration| duration.subsec_nanos().is_multiple_of(1_000_000);
    parsed
        .filter(|parsed| bounds.contains(parsed) && whole(parsed))
        .or_else(|| {
            let (least, most) = (shown(*bounds.start()), shown(*bounds.end()));
            field.expected(&format!(
                "a duration from {least} to {most} in whole milliseconds"
            ))
        })
}

/// Formats a duration as a user would write it.
pub fn shown(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(
        |_| format!("{duration:?}"),
        |duration| format!("{duration:#}"),
    )
}
