//! Durations with a unit, as users write them: `500ms`, `10s`, `5m`.

use std::time::Duration;

use jiff::SignedDuration;

/// Parses a duration that is not negative.
pub fn parse(text: &str) -> Option<Duration> {
    let parsed: SignedDuration = text.parse().ok()?;
    parsed.try_into().ok()
}
