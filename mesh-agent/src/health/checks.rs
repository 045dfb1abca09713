//! All targets, what is known of them, and what is to be done next. Pure: the time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::discriminant,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use super::{
    failure::Outcome,
    hysteresis::{Health, Hysteresis, Thresholds, Verdict},
    plan::Wanted,
    schedule::{Id, Pace, Schedule},
};
use crate::{
    desired::Target,
    model::{HealthCheck, ServiceName},
};

/// Shortest time between two reports: when a zone fails, its endpoints do so one after the other, and each report has
/// the tables compiled anew.
const CHANGES: Duration = Duration::from_millis(100);
/// How old a report may be in which nothing but times and counts would be different.
const DETAILS: Duration = Duration::from_secs(1);

/// What is known of all checked endpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Each checked endpoint.
    pub targets: BTreeMap<Arc<Target>, Verdict>,
    /// Goes up when an endpoint came, left, became unhealthy, or is so no longer; not for mere details.
    pub changes: u64,
}

/// Targets and their states.
pub(super) struct Checks {
    schedule: Schedule,
    entries: HashMap<Id, Entry>,
    ids: BTreeMap<Arc<Target>, Id>,
    /// Targets that did not work when an earlier agent ended, and that were not to be checked so far.
    failing: BTreeSet<Target>,
    next_id: Id,
    changes: u64,
    /// What is not in the last report.
    news: News,
    reported_at: Option<Duration>,
}

/// What is known of a target, and how it is asked.
struct Entry {
    target: Arc<Target>,
    check: Arc<HealthCheck>,
    state: Hysteresis,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum News {
    Nothing,
    Details,
    Changes,
}

/// A probe that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) id: Id,
    pub(super) target: Arc<Target>,
    pub(super) check: Arc<HealthCheck>,
}

impl Checks {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            schedule: Schedule::new(seed),
            entries: HashMap::new(),
            ids: BTreeMap::new(),
            failing: BTreeSet::new(),
            next_id: 0,
            changes: 0,
            news: News::Nothing,
            reported_at: None,
        }
    }

    /// These did not work when an earlier agent ended: they do not until a probe says so.
    pub(super) fn remember(&mut self, failing: BTreeSet<Target>) {
        self.failing = failing;
    }

    /// Takes what is to be checked from now on. A target that stays keeps what is known of it, unless another kind of
    /// question is asked; an answer to the old question that is still to come is not heard.
    pub(super) fn set(&mut self, wanted: &Wanted, now: Duration) {
        let left: Vec<_> = self.ids.keys().filter(|target| !wanted.contains_key(&***target)).cloned().collect();
        for target in left {
            self.forget(&target);
        }
        for (target, check) in wanted {
            let known = self.ids.get(target).map(|id| &self.entries[id].check);
            if known.is_some_and(|known| known == check) {
                continue;
            }
            if known.is_some_and(|known| is_repaced(known, check)) {
                self.repace(target, check, now);
                continue;
            }
            let (target, state) = match self.forget(target) {
                Some(Entry { target, check: old, state }) if same_kind(&old, check) => (target, state),
                Some(Entry { target, .. }) => (target, Hysteresis::new(now)),
                None if self.failing.remove(target) => (Arc::new(target.clone()), Hysteresis::failing(now)),
                None => (Arc::new(target.clone()), Hysteresis::new(now)),
            };
            self.add(Entry { target, check: Arc::clone(check), state }, now);
        }
        // Whoever is not to be checked while others of its service are was not ready, or is gone.
        self.failing.retain(|target| !has_service(wanted, &target.service));
    }

    fn add(&mut self, entry: Entry, now: Duration) {
        let namespace = &entry.target.service.namespace;
        self.schedule.add(self.next_id, namespace, pace(&entry.check), now);
        self.ids.insert(Arc::clone(&entry.target), self.next_id);
        self.entries.insert(self.next_id, entry);
        self.next_id += 1;
        self.tell(News::Changes);
    }

    /// Changes how often a target is probed, and nothing else.
    fn repace(&mut self, target: &Target, check: &Arc<HealthCheck>, now: Duration) {
        let id = self.ids[target];
        self.schedule.repace(id, pace(check), now);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.check = Arc::clone(check);
        }
    }

    fn forget(&mut self, target: &Target) -> Option<Entry> {
        let id = self.ids.remove(target)?;
        self.schedule.remove(id);
        self.tell(News::Changes);
        self.entries.remove(&id)
    }

    /// A probe to be made now, until there is none. Each must be [recorded](Self::record) when it has ended.
    pub(super) fn start(&mut self, now: Duration) -> Option<Due> {
        let id = self.schedule.start(now)?;
        let Entry { target, check, state: _ } = &self.entries[&id];
        Some(Due { id, target: Arc::clone(target), check: Arc::clone(check) })
    }

    /// Takes the result of a probe. A change of state gives back the target and what is now known of it.
    pub(super) fn record(&mut self, id: Id, outcome: &Outcome, now: Duration) -> Option<(&Target, &Verdict)> {
        self.schedule.finish(id, now);
        let entry = self.entries.get_mut(&id)?;
        let HealthCheck { rise, fall, .. } = *entry.check;
        let before = entry.state.verdict().state;
        let changed = entry.state.record(outcome, Thresholds { rise, fall }, now);
        let after = entry.state.verdict().state;
        // One that was believed and now is known to be healthy is used as before.
        let matters = changed && [before, after].contains(&Health::Unhealthy);
        self.tell(if matters { News::Changes } else { News::Details });
        changed.then(|| (&*self.entries[&id].target, self.entries[&id].state.verdict()))
    }

    fn tell(&mut self, news: News) {
        self.changes += u64::from(news == News::Changes);
        self.news = self.news.max(news);
    }

    /// When to ask for a probe or a report again; absent while there is nothing to wait for.
    pub(super) fn next(&self) -> Option<Duration> {
        self.schedule.next().into_iter().chain(self.report_due()).min()
    }

    fn report_due(&self) -> Option<Duration> {
        let age = match self.news {
            News::Nothing => return None,
            News::Details => DETAILS,
            News::Changes => CHANGES,
        };
        Some(self.reported_at.map_or(Duration::ZERO, |at| at + age))
    }

    /// What is known of all targets, when there is something new in it that others should hear by now.
    pub(super) fn report(&mut self, now: Duration) -> Option<Report> {
        self.report_due().filter(|&due| due <= now)?;
        self.news = News::Nothing;
        self.reported_at = Some(now);
        let verdict = |id: &Id| self.entries[id].state.verdict().clone();
        let targets = self.ids.iter().map(|(target, id)| (Arc::clone(target), verdict(id))).collect();
        Some(Report { targets, changes: self.changes })
    }
}

fn has_service(wanted: &Wanted, service: &ServiceName) -> bool {
    let first = Target { service: service.clone(), address: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    wanted.range(first..).next().is_some_and(|(target, _)| target.service == *service)
}

fn pace(check: &HealthCheck) -> Pace {
    Pace { interval: check.interval, jitter_percent: check.jitter_percent }
}

/// Whether two checks differ in nothing but how often they are made.
fn is_repaced(a: &HealthCheck, b: &HealthCheck) -> bool {
    let HealthCheck { interval, jitter_percent, .. } = *b;
    HealthCheck { interval, jitter_percent, ..a.clone() } == *b
}

/// Whether results of one check say something about the other.
fn same_kind(a: &HealthCheck, b: &HealthCheck) -> bool {
    discriminant(&a.probe) == discriminant(&b.probe) && a.port == b.port
}

#[cfg(test)]
pub(super) mod tests;
