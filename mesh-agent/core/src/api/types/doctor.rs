//! The findings that `meshctl doctor` shows.

use serde::{Deserialize, Serialize};

/// `GET /v1/doctor`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Agent version; of `meshctl` where no agent answers.
    pub version: String,
    /// What was checked, each check with what was found.
    pub findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the check, like `clock`, or `selfProbe/connect4` for one of several objects. Stable.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// What to do; empty when nothing is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How bad a finding is, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Connects are served, but not for long or not all.
    Warning,
    /// Connects are not served as configured.
    Error,
}

impl Severity {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// Returns a check that found nothing wrong.
    pub fn ok(id: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Ok, what, "")
    }

    /// Returns what may become wrong, or is wrong for some connects.
    pub fn warning(
        id: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(id, Severity::Warning, what, remedy)
    }

    /// Returns what is wrong.
    pub fn error(
        id: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(id, Severity::Error, what, remedy)
    }

    fn new(
        id: impl Into<String>,
        severity: Severity,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            severity,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}
