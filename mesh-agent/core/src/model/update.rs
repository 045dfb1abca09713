//! The configuration of all sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    name::{Origin, ServiceName},
    service::Services,
    wrong::Wrong,
};

/// The merged configuration of all sources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Update {
    /// All services.
    pub services: Services,
    /// False while a file without a known good version cannot be read. Then services that are
    /// missing here may exist and must not be removed.
    pub complete: bool,
    /// Services of which a part has no known good version. The rows of an earlier agent may be
    /// right.
    pub uncertain: BTreeSet<ServiceName>,
    /// Errors: the first of each file, and a count of the others.
    pub errors: Vec<ConfigError>,
    /// Number of all errors, including those that are not listed.
    pub errors_total: usize,
    /// What is not in force as it is written, and what is in force instead.
    pub wrong: Vec<Wrong>,
    /// Notes about objects that are left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// Services that are left alone.
    pub left_out: BTreeMap<ServiceName, LeftOut>,
}

/// A service that is left alone: it opted out, or connects to it need no translation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is written.
    pub origin: Origin,
    /// Reason.
    pub reason: String,
}

/// An error in the configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigError {
    /// File and line; line 1 if the error is about the whole file.
    pub origin: Origin,
    /// Path of the field, like `services[2].ports[0].port`; empty if the error is not in a field.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.origin, self.reason)
        } else {
            write!(f, "{}: {}: {}", self.origin, self.field, self.reason)
        }
    }
}

/// A note about a part of the configuration that is not served.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigNote {
    /// Where it is written.
    pub origin: Origin,
    /// What is left out, and the reason.
    pub message: String,
}

impl fmt::Display for ConfigNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}
