//! What of the configuration is not in force as it is written, and what is in force instead.

use std::fmt;

use super::{Origin, Service, ServiceName};
use crate::similar::told;

/// Something that is wrong, as a whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wrong {
    /// Where it is written; line 1 where a whole file or directory is meant.
    pub origin: Origin,
    /// What is wrong: `service shop/cart`, `the file`.
    pub name: String,
    /// How much is wrong.
    pub scope: Scope,
    /// What is in force instead.
    pub effect: Effect,
}

impl Wrong {
    /// A service that is wrong.
    pub fn service(service: &Service, effect: Effect) -> Self {
        let name = format!("service {}", service.name);
        Self { origin: service.origin.clone(), name, scope: Scope::Object, effect }
    }
}

impl Wrong {
    /// The service that it is, if it is one.
    pub fn service_name(&self) -> Option<ServiceName> {
        let (namespace, name) = self.name.strip_prefix("service ")?.split_once('/')?;
        Some(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// How much of the configuration is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// One object; all others are in force as they are written.
    Object,
    /// A file, or a part of it that cannot be parsed: which objects that harms is not known.
    File,
    /// A directory.
    Directory,
}

/// What is in force instead of what is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effect {
    /// The last good version.
    Kept,
    /// These objects that were there before, and may be in what cannot be read.
    Rest(Vec<String>),
    /// The other definition of the same service, there.
    Other(Origin),
    /// The object as it is written, but for what is wrong.
    Part,
    /// Nothing.
    LeftOut,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("its last good version stays in force"),
            Self::Rest(names) => {
                let names = told(names.iter().cloned());
                write!(f, "what the file no longer has stays in force: {names}")
            }
            Self::Other(origin) => write!(f, "it is left out: the one in {origin} is in force"),
            Self::Part => f.write_str("the rest of it is in force"),
            Self::LeftOut => f.write_str("it is left out: no good version of it is known"),
        }
    }
}
