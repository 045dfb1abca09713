//! Tracks the lists of all objects of a kind, with which an API server begins and begins again.

use std::collections::{BTreeMap, BTreeSet};

use super::KINDS;
use crate::source::object::{Key, Kind};

/// The lists of one cluster.
#[derive(Default)]
pub struct Lists {
    /// Objects that the present list has not named yet.
    unnamed: BTreeMap<Kind, BTreeSet<Key>>,
    /// Kinds that were listed to the end at least once.
    done: BTreeSet<Kind>,
}

impl Lists {
    /// Starts a list; `known` objects may be gone.
    pub fn begin(&mut self, kind: Kind, known: impl Iterator<Item = Key>) {
        self.unnamed.insert(kind, known.collect());
    }

    /// Notes that an object exists.
    pub fn note(&mut self, key: &Key) {
        if let Some(unnamed) = self.unnamed.get_mut(&key.kind()) {
            unnamed.remove(key);
        }
    }

    /// Ends a list; returns the objects that it did not name.
    pub fn end(&mut self, kind: Kind) -> BTreeSet<Key> {
        self.done.insert(kind);
        self.unnamed.remove(&kind).unwrap_or_default()
    }

    /// Whether every kind was listed.
    pub fn are_complete(&self) -> bool {
        KINDS.iter().all(|kind| self.done.contains(kind))
    }
}
