//! The services of one cluster, each joined from its objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    model::{ConfigNote, LeftOut, ServiceName, Services},
    source::{Definitions, Source, contents::Contents, join::join},
};

/// All services, and what is noted about them.
pub struct Joined {
    cluster: Source,
    services: Services,
    bare: BTreeSet<ServiceName>,
    left_out: BTreeMap<ServiceName, LeftOut>,
    notes: BTreeMap<ServiceName, Vec<ConfigNote>>,
}

impl Joined {
    /// Starts without services.
    pub fn new(cluster: Source) -> Self {
        Self {
            cluster,
            services: Services::default(),
            bare: BTreeSet::new(),
            left_out: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Joins the objects of one service again.
    pub fn join(&mut self, name: ServiceName, contents: &[Arc<Contents>]) {
        let Definitions {
            mut services,
            mut bare,
            mut left_out,
            notes,
            files: _,
        } = join(contents, &self.cluster, None);
        match services.remove(&name) {
            Some(service) => _ = self.services.insert(name.clone(), service),
            None => _ = self.services.remove(&name),
        }
        match left_out.remove(&name) {
            Some(reason) => _ = self.left_out.insert(name.clone(), reason),
            None => _ = self.left_out.remove(&name),
        }
        match bare.take(&name) {
            Some(name) => _ = self.bare.insert(name),
            None => _ = self.bare.remove(&name),
        }
        match notes {
            notes if notes.is_empty() => _ = self.notes.remove(&name),
            notes => _ = self.notes.insert(name, notes),
        }
    }

    /// Returns all services; `files` are the objects that they come from.
    pub fn definitions(&self, files: Vec<Arc<Contents>>) -> Definitions {
        Definitions {
            services: self.services.clone(),
            bare: self.bare.clone(),
            left_out: self.left_out.clone(),
            notes: self.notes.values().flatten().cloned().collect(),
            files,
        }
    }
}
