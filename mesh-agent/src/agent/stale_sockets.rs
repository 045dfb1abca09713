//! Closes sockets whose backend was removed.

use std::{sync::Arc, thread, time::Duration};

use mesh_common::abi::SocketRow;
use tracing::{info, warn};

use super::{clock::now, event::RemovedBackends, owner::Owner, problem_log::ProblemLog};
use crate::{
    dataplane::kernel::Kernel,
    namespaces::Namespaces,
    stale::{self, Attempts, BackendSet, CloseSchedule, DueClose, Tracked},
};

/// When to look for stale sockets, and which of them could not be closed so far.
pub(super) struct StaleSockets {
    schedule: CloseSchedule,
    attempts: Attempts,
    namespaces: Arc<Namespaces>,
    /// Why stale sockets stay open.
    failures: ProblemLog,
}

impl StaleSockets {
    pub(super) fn new(namespaces: Arc<Namespaces>) -> Self {
        Self {
            schedule: CloseSchedule::default(),
            attempts: Attempts::default(),
            namespaces,
            failures: ProblemLog::default(),
        }
    }

    /// Schedules a look at the sockets of these backends.
    pub(super) fn schedule(&mut self, backends: BackendSet) {
        self.schedule.ask(backends, now());
    }

    /// Closes the sockets of backends that the owner removed; returns the time until the next
    /// look. A connect that was under way at the removal is found when the backend's row is freed.
    pub(super) fn close(
        &mut self,
        backends: RemovedBackends,
        owner: &Owner<Kernel>,
    ) -> Option<Duration> {
        let RemovedBackends { removed, freed } = backends;
        self.attempts.forget(&removed);
        self.schedule(BackendSet::Of(removed.into_iter().chain(freed).collect()));
        let start = now();
        if let Some(due) = self.schedule.take(start) {
            let again = self.close_due(owner, &due).unwrap_or(due.backends);
            self.schedule.finished(start, now(), again);
        }
        self.schedule.wait(now())
    }

    /// Looks once at the sockets of these backends; returns the backends that need another look,
    /// or nothing when this look failed.
    fn close_due(&mut self, owner: &Owner<Kernel>, due: &DueClose) -> Option<BackendSet> {
        let DueClose { backends, close_at } = due;
        let start = now();
        let is_wanted = |row: &SocketRow| stale::is_tracked(row) && backends.has(row.backend_index);
        let sockets = match owner.dataplane.sockets(is_wanted) {
            Ok(sockets) => sockets,
            Err(error) => {
                warn!("cannot look for stale sockets: {error}");
                return None;
            }
        };
        self.schedule.read(now().saturating_sub(start));
        let tracked: Vec<Tracked> = sockets
            .iter()
            .map(|(cookie, row)| (*cookie, row.into()))
            .collect();
        let stale = stale::stale(&tracked, owner.backends());
        let to_close = self.attempts.due(&stale, backends);
        if !to_close.is_empty() {
            thread::sleep(close_at.saturating_sub(now()));
            let report = self.namespaces.close(&to_close);
            info!(
                closed = report.closed.len(),
                not_found = report.not_found.len(),
                "closed stale sockets"
            );
            self.failures.log(report.failed.iter().cloned());
            self.attempts.record(&to_close, &report);
        }
        Some(self.attempts.unfinished())
    }
}
