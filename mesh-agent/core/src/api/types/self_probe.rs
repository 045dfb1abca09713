//! The results of the agent's self-probe.

use serde::{Deserialize, Serialize};

/// What the self-probe found about one hook when it connected last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookProbe {
    /// Hook name, like `connect4`.
    pub hook: String,
    /// `works`, `fails` or `unknown`, when it could not be probed.
    pub state: String,
    /// Why it fails or could not be probed; empty when it works.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Time at which it worked last, seconds since 1970; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_unix_seconds: Option<u64>,
}

/// [`HookProbe::state`]
pub mod probe_state {
    /// The program of the hook did its part.
    pub const WORKS: &str = "works";
    /// It did not run, or did something else.
    pub const FAILS: &str = "fails";
    /// It could not be probed.
    pub const UNKNOWN: &str = "unknown";
}
