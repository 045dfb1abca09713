//! Reads at intervals which backends are ejected: logs changes, and ends ejections that a health
//! check contradicts.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{clock::now, ejection_log::EjectionLog, unejection::Unejections};
use crate::{
    api::types::Ejection,
    dataplane::{SharedMeter, kernel::Kernel},
    desired::Tables,
    health::HealthReport,
};

/// Shortest time between two reads.
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval is at least this many times the duration of a read, which bounds the processor time.
const COST: u32 = 100;

/// What earlier reads found, and when the next is due.
pub(super) struct EjectionWatch {
    meter: SharedMeter,
    log: EjectionLog,
    unejections: Unejections,
    next_check: Instant,
}

impl EjectionWatch {
    pub(super) fn new(meter: SharedMeter) -> Self {
        Self {
            meter,
            log: EjectionLog::default(),
            unejections: Unejections::default(),
            next_check: Instant::now(),
        }
    }

    /// Returns when the next check is due.
    pub(super) fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Reads the ejected backends, logs what changed, and ends ejections of backends whose health
    /// check passes.
    pub(super) fn check(&mut self, kernel: &mut Kernel, tables: &Tables, report: &HealthReport) {
        let start = Instant::now();
        match self.meter.evidence(tables) {
            Ok(evidence) => {
                let now = now();
                let ejected = evidence
                    .iter()
                    .filter_map(|(index, known)| Some((*index, Ejection::of(known, now)?)));
                for event in self.log.update(tables, ejected) {
                    event.log();
                }
                let due = self.unejections.due(tables, &evidence, report, now);
                if let Err(error) = kernel.lift(&due) {
                    warn!("cannot end ejections of backends whose health check passes: {error}");
                }
            }
            Err(error) => warn!("cannot read which backends are ejected: {error}"),
        }
        self.next_check = Instant::now() + INTERVAL.max(start.elapsed() * COST);
    }
}
