//! The state that the owner publishes after each step.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{Applied, Owner, Problems, UnusedOverride};
use crate::{
    dataplane::Dataplane,
    desired::{Tables, World},
    health::Plan,
    model::{ConfigError, ConfigNote, LeftOut, ServiceName, Wrong},
};

/// The state that the owner publishes after each step.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whether an update was accepted.
    pub loaded: bool,
    /// The configuration in effect.
    pub world: Arc<World>,
    /// The kernel's rows.
    pub tables: Arc<Tables>,
    /// Errors of the configuration.
    pub errors: Vec<ConfigError>,
    /// Number of errors, including those that are not listed.
    pub errors_total: usize,
    /// What is not in force as written.
    pub wrong: Arc<Vec<Wrong>>,
    /// Notes on what was left out on purpose.
    pub notes: Vec<ConfigNote>,
    /// The plan of health checks.
    pub checks: Arc<Plan>,
    /// Services that are left alone.
    pub left_out: Arc<BTreeMap<ServiceName, LeftOut>>,
    /// Overrides for endpoints that are not configured.
    pub(in crate::agent) unused_overrides: Vec<UnusedOverride>,
    /// The file that holds the overrides.
    pub(in crate::agent) overrides_file: PathBuf,
    /// Problems of the data plane.
    pub problems: Vec<String>,
    /// The last set of tables that was applied.
    pub(in crate::agent) applied: Option<Applied>,
}

impl<D: Dataplane> Owner<D> {
    /// Returns what is not in force as written.
    fn wrong(&self) -> Arc<Vec<Wrong>> {
        let further = [&self.refused, &self.over_capacity, &self.checks.refused];
        if further.iter().all(|it| it.wrong.is_empty()) {
            return Arc::clone(&self.wrong);
        }
        let mut all: Vec<Wrong> = self
            .wrong
            .iter()
            .chain(further.into_iter().flat_map(|it| &it.wrong))
            .cloned()
            .collect();
        all.sort_unstable();
        all.dedup();
        Arc::new(all)
    }

    /// Returns the state to publish.
    pub(in crate::agent) fn snapshot(&self) -> Snapshot {
        let Problems {
            apply,
            resync,
            addresses,
            overrides,
            excluded,
            links,
            sources,
        } = self.problems.clone();
        Snapshot {
            loaded: self.accepted,
            world: Arc::clone(&self.world),
            tables: Arc::clone(&self.current),
            errors: self
                .update
                .errors
                .iter()
                .chain(&self.refused.errors)
                .chain(&self.over_capacity.errors)
                .chain(&self.checks.refused.errors)
                .cloned()
                .collect(),
            errors_total: self.update.errors_total
                + [&self.refused, &self.over_capacity, &self.checks.refused]
                    .iter()
                    .map(|it| it.errors_total())
                    .sum::<usize>(),
            wrong: self.wrong(),
            notes: self
                .update
                .notes
                .iter()
                .chain(&self.shadowed)
                .chain(&self.checks.notes)
                .cloned()
                .collect(),
            checks: Arc::clone(&self.checks),
            left_out: Arc::clone(&self.left_out),
            unused_overrides: self.unused_overrides(),
            overrides_file: self.overrides.path().to_owned(),
            problems: [apply, resync, addresses, overrides]
                .into_iter()
                .flatten()
                .chain(excluded)
                .chain(links)
                .chain(sources.into_values())
                .collect(),
            applied: self.applied,
        }
    }
}
