//! Names of services, and where configuration is written.

use std::{fmt, path::PathBuf, sync::Arc};

/// `namespace/name` of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceName {
    /// Kubernetes namespace; `default` where none is given.
    pub namespace: String,
    /// Name within the namespace.
    pub name: String,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where a part of the configuration is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// A line of a file, from one; line 1 for the whole file.
    Line {
        /// Path as configured.
        file: Arc<PathBuf>,
        /// Line.
        line: u32,
    },
    /// An object of a cluster, in words: `Service shop/cart`.
    Object(Arc<PathBuf>),
    /// A file or directory that the agent keeps.
    State(Arc<PathBuf>),
}

impl Origin {
    /// Returns what holds it: the file or object. Errors are counted for each.
    pub const fn document(&self) -> &Arc<PathBuf> {
        match self {
            Self::Line { file, .. } | Self::Object(file) | Self::State(file) => file,
        }
    }

    /// Returns the line: 0 for an object, which has no lines.
    pub const fn line(&self) -> u32 {
        match self {
            Self::Line { line, .. } => *line,
            Self::Object(_) => 0,
            Self::State(_) => 1,
        }
    }

    /// Returns another line of the same document, if it has lines.
    pub fn at(&self, line: u32) -> Self {
        match self {
            Self::Line { file, .. } => Self::Line {
                file: Arc::clone(file),
                line,
            },
            Self::Object(_) | Self::State(_) => self.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&place(&self.document().display().to_string(), self.line()))
    }
}

/// Formats an origin: `file:line`, or the object alone where there are no lines.
pub fn place(document: &str, line: u32) -> String {
    match line {
        0 => document.to_owned(),
        line => format!("{document}:{line}"),
    }
}
