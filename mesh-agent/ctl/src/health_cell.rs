//! Formats health for a table cell.

use super::render::age;
use crate::api::types::EndpointHealth;

/// Returns `unhealthy (connection refused, 12s)`; `-` for an endpoint without a health check.
pub(super) fn short(health: Option<&EndpointHealth>) -> String {
    // The time is shown for unhealthy endpoints only.
    health.map_or("-".to_owned(), |health| text(health, health.is_unhealthy()))
}

/// Like [`short`], always with the time since the last change.
pub(super) fn long(health: &EndpointHealth) -> String {
    text(health, true)
}

fn text(health: &EndpointHealth, with_time: bool) -> String {
    let EndpointHealth {
        state,
        reason,
        since_seconds,
        checked_seconds_ago: _,
        kept,
    } = health;
    let reason = (!reason.is_empty()).then(|| reason.clone());
    let kept = kept.then(|| "kept: all fail".to_owned());
    let since = (with_time && health.is_checked()).then(|| age(*since_seconds));
    let notes: Vec<String> = [reason, kept, since].into_iter().flatten().collect();
    if notes.is_empty() {
        state.clone()
    } else {
        format!("{state} ({})", notes.join(", "))
    }
}
