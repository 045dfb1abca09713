//! Parts of the configuration that are not in force as written, and what is in force instead.

use std::fmt;

use super::{
    name::{Origin, ServiceName},
    service::Service,
};
use crate::similar_names::told;

/// An object, file or directory that is not in force as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wrong {
    /// Origin; line 1 for a whole file or directory.
    pub origin: Origin,
    /// Its name: `service shop/cart`, `the file`.
    pub name: String,
    /// Scope of the problem.
    pub scope: Scope,
    /// What is in force instead.
    pub effect: Effect,
}

impl Wrong {
    /// Creates the entry of a service.
    pub fn service(service: &Service, effect: Effect) -> Self {
        let name = format!("service {}", service.name);
        Self {
            origin: service.origin.clone(),
            name,
            scope: Scope::Object,
            effect,
        }
    }
}

impl Wrong {
    /// Returns the name, if it is a service.
    pub fn service_name(&self) -> Option<ServiceName> {
        let (namespace, name) = self.name.strip_prefix("service ")?.split_once('/')?;
        Some(ServiceName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Scope of a problem in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// One object; all others are in force as written.
    Object,
    /// A file, or an unreadable part of it. The affected objects are unknown.
    File,
    /// A directory.
    Directory,
}

/// What is in force instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effect {
    /// The last good version.
    Kept,
    /// These objects stay in force, because they may be in the unreadable part.
    Rest(Vec<String>),
    /// The other definition of the same service, at this origin.
    Other(Origin),
    /// The object without its wrong part.
    Part,
    /// Nothing is in force.
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
