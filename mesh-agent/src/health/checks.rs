//! Holds all targets and their states, and decides which probe or report is next. Pure: the time is
//! an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::discriminant,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use super::{
    failure::ProbeResult,
    hysteresis::{HealthState, HealthStatus, Hysteresis, Thresholds},
    plan::Wanted,
    schedule::{Id, Pace, Schedule},
};
use crate::{
    desired::Target,
    model::{HealthCheck, ServiceName},
};

/// Shortest time between two reports. When a zone fails, its endpoints fail one after the other,
/// and each report causes a compile.
const CHANGES: Duration = Duration::from_millis(100);
/// Longest delay of changes in times and counts only.
const DETAILS: Duration = Duration::from_secs(1);

/// Status of all checked endpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HealthReport {
    /// Status by endpoint.
    pub targets: BTreeMap<Arc<Target>, HealthStatus>,
    /// Increases when an endpoint is added or removed, becomes unhealthy or recovers; not for other
    /// details.
    pub changes: u64,
}

/// Targets and their states.
pub(super) struct Checks {
    schedule: Schedule,
    entries: HashMap<Id, Entry>,
    ids: BTreeMap<Arc<Target>, Id>,
    /// Targets that were unhealthy when an earlier agent ended, and are not checked yet.
    failing: BTreeSet<Target>,
    next_id: Id,
    changes: u64,
    /// Changes since the last report.
    news: News,
    reported_at: Option<Duration>,
}

/// State and check of a target.
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

/// A probe that is due.
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

    /// Sets the targets that were unhealthy when an earlier agent ended. They stay unhealthy until
    /// a probe succeeds.
    pub(super) fn remember(&mut self, failing: BTreeSet<Target>) {
        self.failing = failing;
    }

    /// Sets the wanted checks. A target that stays keeps its state, unless its probe changes; then
    /// results of the old probe are ignored.
    pub(super) fn set(&mut self, wanted: &Wanted, now: Duration) {
        let left: Vec<_> = self
            .ids
            .keys()
            .filter(|target| !wanted.contains_key(&***target))
            .cloned()
            .collect();
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
                Some(Entry {
                    target,
                    check: old,
                    state,
                }) if same_kind(&old, check) => (target, state),
                Some(Entry { target, .. }) => (target, Hysteresis::new(now)),
                None if self.failing.remove(target) => {
                    (Arc::new(target.clone()), Hysteresis::failing(now))
                }
                None => (Arc::new(target.clone()), Hysteresis::new(now)),
            };
            self.add(
                Entry {
                    target,
                    check: Arc::clone(check),
                    state,
                },
                now,
            );
        }
        // A target that is not checked while others of its service are was not ready, or is gone.
        self.failing
            .retain(|target| !has_service(wanted, &target.service));
    }

    fn add(&mut self, entry: Entry, now: Duration) {
        let service = &entry.target.service;
        self.schedule
            .add(self.next_id, service, pace(&entry.check), now);
        self.ids.insert(Arc::clone(&entry.target), self.next_id);
        self.entries.insert(self.next_id, entry);
        self.next_id += 1;
        self.tell(News::Changes);
    }

    /// Changes only the pace of a target.
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

    /// Starts a probe that is due now, if any. Each must be [recorded](Self::record) when it ends.
    pub(super) fn start(&mut self, now: Duration) -> Option<Due> {
        let id = self.schedule.start(now)?;
        let Entry {
            target,
            check,
            state: _,
        } = &self.entries[&id];
        Some(Due {
            id,
            target: Arc::clone(target),
            check: Arc::clone(check),
        })
    }

    /// Records the result of a probe. Returns the target and its status if the state changed.
    pub(super) fn record(
        &mut self,
        id: Id,
        outcome: &ProbeResult,
        now: Duration,
    ) -> Option<(&Target, &HealthStatus)> {
        self.schedule.finish(id, now);
        let entry = self.entries.get_mut(&id)?;
        let HealthCheck { rise, fall, .. } = *entry.check;
        let before = entry.state.status().state;
        let changed = entry.state.record(outcome, Thresholds { rise, fall }, now);
        let after = entry.state.status().state;
        // A change from unknown to healthy does not change how the target is used.
        let matters = changed && [before, after].contains(&HealthState::Unhealthy);
        self.tell(if matters {
            News::Changes
        } else {
            News::Details
        });
        changed.then(|| (&*self.entries[&id].target, self.entries[&id].state.status()))
    }

    fn tell(&mut self, news: News) {
        self.changes += u64::from(news == News::Changes);
        self.news = self.news.max(news);
    }

    /// Returns when the next probe or report is due, if any.
    pub(super) fn next(&self) -> Option<Duration> {
        self.schedule
            .next()
            .into_iter()
            .chain(self.report_due())
            .min()
    }

    fn report_due(&self) -> Option<Duration> {
        let age = match self.news {
            News::Nothing => return None,
            News::Details => DETAILS,
            News::Changes => CHANGES,
        };
        Some(self.reported_at.map_or(Duration::ZERO, |at| at + age))
    }

    /// Returns a report if one is due.
    pub(super) fn report(&mut self, now: Duration) -> Option<HealthReport> {
        self.report_due().filter(|&due| due <= now)?;
        self.news = News::Nothing;
        self.reported_at = Some(now);
        let status = |id: &Id| self.entries[id].state.status().clone();
        let targets = self
            .ids
            .iter()
            .map(|(target, id)| (Arc::clone(target), status(id)))
            .collect();
        Some(HealthReport {
            targets,
            changes: self.changes,
        })
    }
}

fn has_service(wanted: &Wanted, service: &ServiceName) -> bool {
    let first = Target {
        service: service.clone(),
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: 0,
    };
    wanted
        .range(first..)
        .next()
        .is_some_and(|(target, _)| target.service == *service)
}

fn pace(check: &HealthCheck) -> Pace {
    Pace {
        interval: check.interval,
        jitter_percent: check.jitter_percent,
    }
}

/// Whether two checks differ only in their pace.
fn is_repaced(a: &HealthCheck, b: &HealthCheck) -> bool {
    let HealthCheck {
        interval,
        jitter_percent,
        ..
    } = *b;
    HealthCheck {
        interval,
        jitter_percent,
        ..a.clone()
    } == *b
}

/// Whether results of one check apply to the other.
fn same_kind(a: &HealthCheck, b: &HealthCheck) -> bool {
    discriminant(&a.probe) == discriminant(&b.probe) && a.port == b.port
}

#[cfg(test)]
pub(super) mod tests;
