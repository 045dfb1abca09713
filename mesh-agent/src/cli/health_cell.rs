//! How health is shown in a table.

use super::render::age;
use crate::api::types::EndpointHealth;

/// `unhealthy (connection refused, 12s)`; `-` of an endpoint without a health check.
pub(super) fn short(health: Option<&EndpointHealth>) -> String {
    // How long an endpoint has been well is no news.
    health.map_or("-".to_owned(), |health| {
        text(health, health.state == "unhealthy")
    })
}

/// The same, always with the time since when.
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
    let since = (with_time && state != "unchecked").then(|| age(*since_seconds));
    let notes: Vec<String> = [reason, kept, since].into_iter().flatten().collect();
    if notes.is_empty() {
        state.clone()
    } else {
        format!("{state} ({})", notes.join(", "))
    }
}
