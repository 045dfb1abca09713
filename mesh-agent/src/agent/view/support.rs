//! Gathers what a bug report needs, except for status, services and diagnosis.

use super::AgentView;
use crate::{
    api::types::{ProgramsOfHook, Support},
    dataplane::inspect,
    doctor::{HookPrograms, Program},
    logging, metrics,
};

pub(super) fn support(view: &AgentView) -> Support {
    let settings = &view.context.settings;
    let own: Vec<u32> = view
        .hooks
        .borrow()
        .iter()
        .map(|it| it.1.program_id)
        .collect();
    let programs = inspect::programs(&settings.cgroup, &own).into_iter();
    Support {
        settings: format!("{settings:#?}"),
        metrics: metrics::scrape(view).map_or_else(
            |error| error,
            |text| String::from_utf8_lossy(&text).into_owned(),
        ),
        log: logging::recent(),
        maps: view.inspector.layouts(),
        programs: programs.map(of_hook).collect(),
    }
}

fn of_hook(HookPrograms { hook, programs }: HookPrograms) -> ProgramsOfHook {
    let named = |Program { id, is_own }| {
        let name = if is_own { hook.as_str() } else { "" };
        (id, name.to_owned())
    };
    let named_programs = programs.unwrap_or_default().into_iter().map(named);
    let programs = named_programs.collect();
    ProgramsOfHook { hook, programs }
}
