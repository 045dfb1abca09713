//! Errors in the settings.

use super::text::Parsed;

/// All errors in the settings, one line each: `FILE:LINE: SETTING: REASON`, or `--FLAG (or
/// MESH_FLAG): REASON`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// Formats an error of a flag: `--max-services (or MESH_MAX_SERVICES): expected ...`
pub fn named(flag: &str, reason: &str) -> String {
    format!(
        "--{flag} (or MESH_{}): {reason}",
        flag.to_uppercase().replace('-', "_")
    )
}

/// Returns the error of a setting that is given once.
pub fn reason<T>(given: Option<&Parsed<T>>) -> Vec<&String> {
    given.and_then(|it| it.as_ref().err()).into_iter().collect()
}

/// Returns the errors of a setting that may be given several times.
pub fn reasons<T>(given: &[Parsed<T>]) -> Vec<&String> {
    given.iter().filter_map(|it| it.as_ref().err()).collect()
}
