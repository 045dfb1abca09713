//! Counts services that a file defines more than once.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use crate::source::contents::Contents;

/// Services of a file so far.
#[derive(Default)]
pub(super) struct Repeated {
    /// How many have the name of an earlier one.
    pub(super) count: usize,
    /// Hashes of the names, which are a small part of a service.
    names: HashSet<u64>,
    hasher: RandomState,
}

impl Repeated {
    /// Notes the services after the first `native` and `declared` ones.
    pub(super) fn note(&mut self, contents: &Contents, native: usize, declared: usize) {
        let native = contents.services.iter().skip(native).map(|it| &it.name);
        let declared = contents.manifests.services.iter().skip(declared);
        for name in native.chain(declared.map(|it| &it.service.name)) {
            let is_new = self.names.insert(self.hasher.hash_one(name));
            self.count += usize::from(!is_new);
        }
    }
}
