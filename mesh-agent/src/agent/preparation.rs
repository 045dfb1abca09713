//! Prepares the process before other threads start: checks capabilities, starts the namespace
//! helper, and gives up what neither the start nor the run needs.

use std::sync::Arc;

use anyhow::Context as _;

use super::missing_capabilities;
use crate::{
    config::Settings,
    confinement::capabilities::RunTime,
    dataplane::privileges::Capabilities,
    namespaces::{Helper, Namespaces},
};

/// What the preparation hands to [`run`](super::run).
pub struct Preparation {
    /// Features that are off, for `status`.
    pub(super) degraded: Vec<String>,
    pub(super) namespaces: Arc<Namespaces>,
    /// What each thread keeps; must be entered by all threads but this one when they start.
    pub run_time: RunTime,
}

/// Must be called on the main thread before other threads start.
pub fn prepare(settings: &mut Settings) -> anyhow::Result<Preparation> {
    let capabilities = Capabilities::effective();
    capabilities.check()?;
    let mut degraded = missing_capabilities::turn_off(settings, &capabilities);
    let enters = settings.enter_namespaces
        || !settings.excluded_netns.is_empty() && capabilities.enter_namespaces();
    let started = enters
        .then(|| Helper::start(settings.system_call_filter))
        .transpose();
    let helper = started.unwrap_or_else(|error| {
        degraded.push(format!(
            "network namespaces other than the agent's are not entered: the namespace helper cannot be started: {error}"
        ));
        None
    });
    let scope = settings.enter_namespaces.into();
    Ok(Preparation {
        degraded,
        namespaces: Arc::new(Namespaces::new(scope, helper)),
        run_time: RunTime::begin().context("cannot give up capabilities")?,
    })
}
