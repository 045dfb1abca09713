//! Queues of the targets that wait for their probe, one for each service, and the places of probes
//! under way. Takes due times, starts and ends; says which target is next.
//!
//! A target is next when it has waited longest of those whose namespace and service may have one
//! more probe under way. So neither a namespace nor a service whose endpoints do not answer delays
//! the probes of others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::Id;
use crate::model::ServiceName;

/// Most concurrent probes. A namespace may use as many as it leaves free, and so may a service in
/// what its namespace leaves free: a third of all, when no other probe is under way. That is enough
/// for 2,000 endpoints that do not answer, probed every 5 s with a timeout of 1 s.
pub(in crate::health) const UNDER_WAY: usize = 1280;
/// Probes that a service may have under way wherever its namespace may have another. It also bounds
/// the services that are passed over to find the next target.
const SMALL: usize = 16;

/// Due times with the names of what is due.
type Heads = BTreeSet<(Duration, Arc<str>)>;

/// Name of a queue.
#[derive(Clone, Debug)]
pub(super) struct Line {
    namespace: Arc<str>,
    service: Arc<str>,
}

/// All queues.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Queues {
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Due time of the first target of each namespace.
    heads: Heads,
    under_way: usize,
}

/// The queues of one namespace.
#[derive(PartialEq, Eq, Debug, Default)]
struct Namespace {
    services: HashMap<Arc<str>, Queue>,
    /// Due time of the first target of each service.
    heads: Heads,
    under_way: usize,
}

/// The targets of one service.
#[derive(PartialEq, Eq, Debug, Default)]
struct Queue {
    /// Due time of each target that is not under way.
    due: BTreeSet<(Duration, Id)>,
    under_way: usize,
}

impl Queues {
    /// Returns the name of a service's queue.
    pub(super) fn line(&self, service: &ServiceName) -> Line {
        let (namespace, name) = (&*service.namespace, &*service.name);
        let known = self.namespaces.get_key_value(namespace);
        let of_service = known.and_then(|(_, it)| it.services.get_key_value(name));
        Line {
            namespace: known.map_or_else(|| namespace.into(), |(known, _)| Arc::clone(known)),
            service: of_service.map_or_else(|| name.into(), |(known, _)| Arc::clone(known)),
        }
    }

    /// Returns the next target and when it is due; none while only the end of a probe can make
    /// room for one.
    pub(super) fn first(&self) -> Option<(Duration, Id)> {
        let free = UNDER_WAY - self.under_way;
        let mut first: Option<(Duration, Id)> = None;
        for (due, name) in &self.heads {
            if first.is_some_and(|(sooner, _)| sooner <= *due) {
                break;
            }
            let found = self.namespaces[name].first(free);
            first = first.into_iter().chain(found).min();
        }
        first
    }

    /// Changes the due time of a target; none while it is under way or removed.
    pub(super) fn set_due(
        &mut self,
        line: &Line,
        id: Id,
        old: Option<Duration>,
        new: Option<Duration>,
    ) {
        let namespace = self
            .namespaces
            .entry(Arc::clone(&line.namespace))
            .or_default();
        let before = head(&namespace.heads);
        namespace.set_due(&line.service, id, old, new);
        let after = head(&namespace.heads);
        replace(&mut self.heads, &line.namespace, before, after);
    }

    /// Counts a probe of a target, which was due.
    pub(super) fn start(&mut self, line: &Line) {
        self.under_way += 1;
        if let Some(namespace) = self.namespaces.get_mut(&line.namespace) {
            namespace.under_way += 1;
            if let Some(queue) = namespace.services.get_mut(&line.service) {
                queue.under_way += 1;
            }
        }
    }

    /// Counts the end of a probe that was [started](Self::start).
    pub(super) fn end(&mut self, line: &Line) {
        self.under_way -= 1;
        if let Some(namespace) = self.namespaces.get_mut(&line.namespace) {
            namespace.under_way -= 1;
            if let Some(queue) = namespace.services.get_mut(&line.service) {
                queue.under_way -= 1;
            }
        }
        self.forget_unused(line);
    }

    /// Removes a queue that has neither targets nor probes.
    pub(super) fn forget_unused(&mut self, line: &Line) {
        let Some(namespace) = self.namespaces.get_mut(&line.namespace) else {
            return;
        };
        let unused = |queue: &Queue| queue.due.is_empty() && queue.under_way == 0;
        if namespace.services.get(&line.service).is_some_and(unused) {
            namespace.services.remove(&line.service);
        }
        if namespace.services.is_empty() {
            self.namespaces.remove(&line.namespace);
        }
    }
}

impl Namespace {
    fn first(&self, free: usize) -> Option<(Duration, Id)> {
        let left = free
            .checked_sub(self.under_way)
            .filter(|left| *left > 0)?
            .max(SMALL);
        let mut queues = self.heads.iter().map(|(_, name)| &self.services[name]);
        let queue = queues.find(|queue| queue.under_way < left)?;
        queue.due.first().copied()
    }

    fn set_due(
        &mut self,
        service: &Arc<str>,
        id: Id,
        old: Option<Duration>,
        new: Option<Duration>,
    ) {
        let queue = self.services.entry(Arc::clone(service)).or_default();
        let before = head(&queue.due);
        if let Some(old) = old {
            queue.due.remove(&(old, id));
        }
        queue.due.extend(new.map(|due| (due, id)));
        let after = head(&queue.due);
        replace(&mut self.heads, service, before, after);
    }
}

/// Returns when the first of these is due.
fn head<T: Ord>(due: &BTreeSet<(Duration, T)>) -> Option<Duration> {
    due.first().map(|(due, _)| *due)
}

/// Replaces the due time of one name.
fn replace(heads: &mut Heads, name: &Arc<str>, before: Option<Duration>, after: Option<Duration>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        heads.remove(&(before, Arc::clone(name)));
    }
    heads.extend(after.map(|after| (after, Arc::clone(name))));
}
