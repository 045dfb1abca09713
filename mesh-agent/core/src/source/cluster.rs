//! Reads the objects of one cluster, which its API server sends one by one. Keeps the last good
//! version of each object, and joins only the services whose objects changed.

mod frontends;
mod joined;
mod lists;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use self::{frontends::Frontends, joined::Joined, lists::Lists};
use super::{
    Serve, Source, SourceUpdate,
    conflicts::services,
    contents::Contents,
    file::{File, Text},
    frontend_owners::FrontendOwners,
    object::{Key, Kind},
    parallel::in_parallel,
};
use crate::model::{ConfigError, Effect, Origin, Scope, Service, ServiceName, Wrong};

/// Kinds of objects that a cluster must list before its services are known.
pub const KINDS: [Kind; 2] = [Kind::Service, Kind::EndpointSlice];

/// The objects of one cluster.
pub struct ClusterReader {
    cluster: Source,
    serve: Serve,
    lists: Lists,
    /// Changes since the last update: the JSON of an object, or nothing if it is gone.
    pending: BTreeMap<Key, Option<Vec<u8>>>,
    /// Objects in force.
    objects: HashMap<Key, Object>,
    /// Objects in force, by the services that they describe.
    by_service: HashMap<ServiceName, BTreeSet<Key>>,
    frontends: Frontends,
    /// Objects that ask for a frontend of another service.
    losers: BTreeMap<Key, File>,
    /// Objects that are not in force as the API server has them.
    problems: BTreeMap<Key, Problem>,
    joined: Joined,
}

/// The version of an object that is in force.
struct Object {
    text: Text,
    contents: Arc<Contents>,
}

/// What is wrong with an object.
struct Problem {
    errors: Vec<ConfigError>,
    /// Number of errors that are not listed.
    more: usize,
    wrong: Wrong,
    /// Service that the object describes, if readable.
    service: Option<ServiceName>,
}

impl ClusterReader {
    /// Creates a reader without objects. In the first conflicts, services keep the frontends that
    /// they hold according to `holders`.
    pub fn new(cluster: Source, serve: Serve, holders: FrontendOwners) -> Self {
        Self {
            joined: Joined::new(cluster.clone()),
            cluster,
            serve,
            lists: Lists::default(),
            pending: BTreeMap::new(),
            objects: HashMap::new(),
            by_service: HashMap::new(),
            frontends: Frontends::new(holders),
            losers: BTreeMap::new(),
            problems: BTreeMap::new(),
        }
    }

    /// Sets an object to this JSON. Takes effect with the next update, like all changes.
    pub fn set(&mut self, key: Key, json: Vec<u8>) {
        self.lists.note(&key);
        self.pending.insert(key, Some(json));
    }

    /// Removes an object.
    pub fn remove(&mut self, key: Key) {
        self.pending.insert(key, None);
    }

    /// Starts a list of all objects of a kind.
    pub fn begin_list(&mut self, kind: Kind) {
        let known = self.objects.keys().chain(self.problems.keys());
        let known = known.chain(self.pending.keys());
        self.lists
            .begin(kind, known.filter(|key| key.kind() == kind).cloned());
    }

    /// Ends a list. Objects of this kind that were not set since its start are gone.
    pub fn end_list(&mut self, kind: Kind) {
        for key in self.lists.end(kind) {
            self.pending.insert(key, None);
        }
    }

    /// Whether all kinds were listed once.
    pub fn is_complete(&self) -> bool {
        self.lists.are_complete()
    }

    /// Whether an update would tell something new.
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns the JSON of all objects in force, to be set again in the reader of the next agent.
    pub fn texts(&self) -> impl Iterator<Item = (&Key, &[u8])> {
        self.objects.iter().map(|(key, it)| (key, it.text.bytes()))
    }

    /// Puts all changes in force, and returns everything that is.
    pub fn update(&mut self) -> SourceUpdate {
        let mut touched = BTreeSet::new();
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for (key, json) in mem::take(&mut self.pending) {
            match json {
                Some(json) => changed.push((key, json)),
                None => gone.push(key),
            }
        }
        for key in gone {
            (_, _) = (self.losers.remove(&key), self.problems.remove(&key));
            self.replace(&key, None, &mut touched);
        }
        for (key, version) in self.parse(changed) {
            self.losers.remove(&key);
            self.accept(key, version, &mut touched);
        }
        self.retry(&mut touched);
        for name in touched {
            let keys = self.by_service.get(&name).into_iter().flatten();
            let contents: Vec<_> = keys
                .map(|key| Arc::clone(&self.objects[key].contents))
                .collect();
            self.joined.join(name, &contents);
        }
        if self.is_complete() {
            self.frontends.forget_holders();
        }
        self.snapshot()
    }

    /// Parses objects. Services that hold their frontends come first.
    fn parse(&self, changed: Vec<(Key, Vec<u8>)>) -> Vec<(Key, File)> {
        let mut versions = in_parallel(changed, |(key, json)| {
            let version = File::parse_object(&self.origin(&key), json, self.serve);
            (key, version)
        });
        versions.sort_by_cached_key(|(key, version)| {
            let holds = services(&version.contents).any(|it| self.frontends.holds(it));
            (!holds, key.clone())
        });
        versions
    }

    /// Puts a version of an object in force, unless it is wrong or in conflict.
    fn accept(&mut self, key: Key, version: File, touched: &mut BTreeSet<ServiceName>) {
        let File {
            wrong,
            broken,
            errors,
            more,
            contents,
            ..
        } = &version;
        if !(wrong.is_empty() && broken.is_empty()) {
            let service = wrong.first().and_then(|it| it.service.clone());
            return self.refuse(key, errors.clone(), *more, service);
        }
        let objects = &self.objects;
        let owner = |name: &ServiceName| {
            let object = objects.get(&Key::Service(name.clone()))?;
            services(&object.contents).next()
        };
        let conflicts: Vec<ConfigError> = services(contents)
            .flat_map(|service| self.frontends.conflicts(service, owner))
            .collect();
        if !conflicts.is_empty() {
            let service = Some(key.name().clone());
            self.refuse(key.clone(), conflicts, 0, service);
            self.losers.insert(key, version);
            return;
        }
        self.problems.remove(&key);
        let object = Object {
            text: version.text,
            contents: version.contents,
        };
        self.replace(&key, Some(object), touched);
    }

    /// Puts objects in force whose conflict is over.
    fn retry(&mut self, touched: &mut BTreeSet<ServiceName>) {
        while self.frontends.take_freed() {
            for (key, version) in mem::take(&mut self.losers) {
                self.accept(key, version, touched);
            }
        }
    }

    /// Records that an object stays in its last good version.
    fn refuse(
        &mut self,
        key: Key,
        errors: Vec<ConfigError>,
        more: usize,
        service: Option<ServiceName>,
    ) {
        let is_known = self.objects.contains_key(&key);
        let wrong = Wrong {
            origin: self.origin(&key),
            name: key.to_string(),
            scope: Scope::Object,
            effect: if is_known {
                Effect::Kept
            } else {
                Effect::LeftOut
            },
        };
        let problem = Problem {
            errors,
            more,
            wrong,
            service,
        };
        self.problems.insert(key, problem);
    }

    /// Replaces the version of an object that is in force, and notes the services that it describes.
    fn replace(&mut self, key: &Key, new: Option<Object>, touched: &mut BTreeSet<ServiceName>) {
        let service =
            |object: &Object| -> Option<Service> { services(&object.contents).next().cloned() };
        let old = self.objects.remove(key);
        let (before, after) = (
            old.as_ref().and_then(service),
            new.as_ref().and_then(service),
        );
        self.frontends.replace(before.as_ref(), after.as_ref());
        for name in old.iter().flat_map(|it| described(key, &it.contents)) {
            if let Some(keys) = self.by_service.get_mut(&name) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_service.remove(&name);
                }
            }
            touched.insert(name);
        }
        for name in new.iter().flat_map(|it| described(key, &it.contents)) {
            let keys = self.by_service.entry(name.clone()).or_default();
            keys.insert(key.clone());
            touched.insert(name);
        }
        if let Some(new) = new {
            self.objects.insert(key.clone(), new);
        }
    }

    fn snapshot(&self) -> SourceUpdate {
        let contents = self.objects.values().map(|it| Arc::clone(&it.contents));
        let definitions = self.joined.definitions(contents.collect());
        let problems = || self.problems.values();
        let missing = self.problems.iter().filter_map(|(key, it)| {
            let service = it.service.clone()?;
            (it.wrong.effect == Effect::LeftOut).then(|| (service, key.kind()))
        });
        let with_more = problems().filter(|it| it.more > 0);
        SourceUpdate {
            services: [(self.cluster.clone(), definitions)].into(),
            complete: self.is_complete(),
            missing: missing.collect(),
            errors: problems().flat_map(|it| it.errors.clone()).collect(),
            more_errors: with_more
                .map(|it| (Arc::clone(it.wrong.origin.document()), it.more))
                .collect(),
            wrong: problems().map(|it| it.wrong.clone()).collect(),
            ..SourceUpdate::default()
        }
    }

    /// Returns the origin of an object: `Service shop/cart`, and the cluster if it has a name.
    fn origin(&self, key: &Key) -> Origin {
        let kind = match key.kind() {
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Endpoints => "Endpoints",
        };
        let object = match &self.cluster {
            Some(cluster) => format!("{kind} {} of cluster {cluster}", key.name()),
            None => format!("{kind} {}", key.name()),
        };
        Origin::Object(Arc::new(object.into()))
    }
}

/// Returns the services that an object describes. An object of none is noted under its own name.
fn described(key: &Key, contents: &Contents) -> BTreeSet<ServiceName> {
    let none = Contents::default();
    let mut names: BTreeSet<_> = contents.names_unlike(&none).cloned().collect();
    if names.is_empty() {
        names.insert(key.name().clone());
    }
    names
}
