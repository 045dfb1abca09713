//! Probes the attached programs again and again, and publishes what it found.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tracing::warn;

use super::{
    context::{Context, Life},
    event_loop::Hooks,
    problem_log::ProblemLog,
};
use crate::{
    api::types::{HookProbe, probe_state},
    config::Settings,
    dataplane::exclude,
    namespaces::Namespaces,
    self_probe::{HookState, Pass, SelfProbe, contains_agent, failing, own_cgroup},
};

/// Time between two passes. With the longest pass, twice, a failure is noticed within ten seconds.
const INTERVAL: Duration = Duration::from_secs(3);

/// What the last pass found, and when each hook worked last, seconds since 1970. Empty until the
/// programs are attached.
#[derive(Clone, Default)]
pub(super) struct ProbeReport {
    pass: Pass,
    worked: BTreeMap<&'static str, u64>,
}

impl ProbeReport {
    /// Returns the report after a pass.
    fn after(mut self, pass: Pass, now: SystemTime) -> Self {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let working = pass
            .iter()
            .filter(|(_, result)| **result == HookState::Works);
        self.worked.extend(working.map(|(hook, _)| (*hook, now)));
        Self { pass, ..self }
    }

    /// Returns whether no hook fails.
    pub(super) fn is_well(&self) -> bool {
        failing(&self.pass).is_empty()
    }

    /// Returns what is wrong and what to do, in one line, if hooks fail.
    pub(super) fn problem(&self, cgroup: &Path) -> Option<String> {
        let reason = self.pass.values().find_map(|result| match result {
            HookState::Fails(reason) => Some(reason),
            _ => None,
        })?;
        Some(format!(
            "the agent's own connects are not served by {} in cgroup {}: {reason}; restart the agent, which attaches its \
             programs again, and see `meshctl doctor`",
            failing(&self.pass).join(", "),
            cgroup.display()
        ))
    }

    /// Returns the results for the API.
    pub(super) fn hooks(&self) -> Vec<HookProbe> {
        let hook = |(hook, result): (&&'static str, &HookState)| {
            let (state, reason) = match result {
                HookState::Works => (probe_state::WORKS, ""),
                HookState::Fails(reason) => (probe_state::FAILS, reason.as_str()),
                HookState::Unknown(reason) => (probe_state::UNKNOWN, reason.as_str()),
            };
            HookProbe {
                hook: (*hook).to_owned(),
                state: state.to_owned(),
                reason: reason.to_owned(),
                last_success_unix_seconds: self.worked.get(hook).copied(),
            }
        };
        self.pass.iter().map(hook).collect()
    }
}

/// Probes until `stop`, from the time when programs are attached.
pub(super) async fn run(
    context: Context,
    probe: SelfProbe,
    mut hooks: watch::Receiver<Hooks>,
    report: watch::Sender<ProbeReport>,
) {
    let Context {
        settings,
        namespaces,
        life: Life { stop, .. },
        ..
    } = context;
    let probe = Arc::new(probe);
    let mut problems = ProblemLog::default();
    tokio::select! {
        () = stop.cancelled() => return,
        attached = hooks.wait_for(|hooks| !hooks.is_empty()) => if attached.is_err() { return },
    }
    loop {
        let (probe, there) = (Arc::clone(&probe), Arc::clone(&settings));
        let namespaces = Arc::clone(&namespaces);
        let Ok(pass) = spawn_blocking(move || pass(&probe, &there, &namespaces)).await else {
            return;
        };
        let next = report.borrow().clone().after(pass, SystemTime::now());
        problems.log(next.problem(&settings.cgroup));
        report.send_replace(next);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Probes once, and again when a hook fails, because programs may be replaced at that moment.
fn pass(probe: &SelfProbe, settings: &Settings, namespaces: &Namespaces) -> Pass {
    if let Some(reason) = unserved(settings, namespaces) {
        let unknown = |hook| (hook, HookState::Unknown(reason.to_owned()));
        return SelfProbe::hooks().map(unknown).collect();
    }
    let first = probe.pass();
    if failing(&first).is_empty() {
        return first;
    }
    if let Err(error) = probe.repair() {
        warn!("cannot write the rows of the self-probe: {error}");
    }
    probe.pass()
}

/// Returns why the programs leave connects of the agent alone, if they do.
fn unserved(settings: &Settings, namespaces: &Namespaces) -> Option<&'static str> {
    if !contains_agent(&settings.cgroup) {
        return Some(
            "the agent runs outside of the cgroup at --cgroup, and programs serve only inside of it",
        );
    }
    is_excluded(settings, namespaces)
        .then_some("the agent itself is excluded by --exclude-cgroup or --exclude-netns")
}

/// Returns whether settings exclude the agent itself.
fn is_excluded(settings: &Settings, namespaces: &Namespaces) -> bool {
    let Settings {
        cgroup,
        excluded_cgroups,
        excluded_netns,
        ..
    } = settings;
    let own = own_cgroup(cgroup);
    let is_around = |excluded| own.as_ref().is_some_and(|own| own.starts_with(excluded));
    if excluded_cgroups.iter().any(is_around) {
        return true;
    }
    let netns = exclude::own_netns().ok();
    let (excluded, _) = exclude::keys(&[], excluded_netns, |path| namespaces.cookie(path));
    excluded.iter().any(|key| Some(key.id) == netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_hooks_are_named_with_what_to_do_and_when_they_worked_last() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let well = Pass::from([
            ("connect4", HookState::Works),
            ("connect6", HookState::Works),
        ]);
        let report = ProbeReport::default().after(well, at(7));
        assert!(report.is_well());
        assert_eq!(report.problem(Path::new("/sys/fs/cgroup")), None);
        let lost = HookState::Fails("192.0.0.8:4711 is not translated: refused".into());
        let ill = Pass::from([("connect4", lost), ("connect6", HookState::Works)]);
        let report = report.after(ill, at(10));
        assert_eq!(
            report.problem(Path::new("/sys/fs/cgroup")).as_deref(),
            Some(
                "the agent's own connects are not served by connect4 in cgroup /sys/fs/cgroup: 192.0.0.8:4711 is not \
                 translated: refused; restart the agent, which attaches its programs again, and see `meshctl doctor`"
            )
        );
        let shown: Vec<_> = report
            .hooks()
            .into_iter()
            .map(|hook| (hook.hook, hook.state, hook.last_success_unix_seconds))
            .collect();
        let of = |hook: &str, state: &str, at| (hook.to_owned(), state.to_owned(), Some(at));
        assert_eq!(
            shown,
            [of("connect4", "fails", 7), of("connect6", "works", 10)]
        );
    }
}
