//! A cluster whose services are watched.

use std::{fmt, path::PathBuf};

use crate::source::Source;

/// A cluster whose services are watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// Its name; absent for the local one.
    pub name: Source,
    /// The kubeconfig file; absent where the agent runs in a pod of the cluster.
    pub kubeconfig: Option<PathBuf>,
}

impl Cluster {
    /// Returns the cluster that this pod runs in.
    pub const fn own() -> Self {
        Self {
            name: None,
            kubeconfig: None,
        }
    }

    /// Returns the cluster of a kubeconfig file.
    pub const fn of_file(name: Source, path: PathBuf) -> Self {
        Self {
            name,
            kubeconfig: Some(path),
        }
    }
}

impl fmt::Display for Cluster {
    /// Formats the name of its source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "kubernetes/{name}"),
            None => f.write_str("kubernetes"),
        }
    }
}
