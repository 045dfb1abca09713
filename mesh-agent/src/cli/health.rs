//! How health is shown in a table.

use super::render::age;
use crate::api::types::EndpointHealth;

/// `unhealthy (connection refused, 12s)`; `-` of an endpoint that nobody checks.
pub(super) fn cell(health: Option<&EndpointHealth>) -> String {
    let Some(EndpointHealth { state, reason, since_seconds, checked_seconds_ago: _, kept }) = health else {
        return "-".to_owned();
    };
    let reason = (!reason.is_empty()).then(|| reason.clone());
    let kept = kept.then(|| "all failing, kept".to_owned());
    // How long an endpoint has been well is no news.
    let since = (state == "unhealthy").then(|| age(*since_seconds));
    let notes: Vec<String> = [reason, kept, since].into_iter().flatten().collect();
    if notes.is_empty() { state.clone() } else { format!("{state} ({})", notes.join(", ")) }
}
