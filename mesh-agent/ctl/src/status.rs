//! `meshctl status`

use super::{
    Exit, Failure,
    layout::{Column, Layout, facts},
    render::{age, count, printable},
    session::Session,
    watch::Watch,
};
use crate::api::types::{CapacityUse, ConfigProblem, Hook, Status};

/// Most notes shown without -v.
const NOTES: usize = 3;

/// Show the state of the agent and errors of its configuration
///
/// Problems of the data plane come first, then errors of the configuration with file and line, and
/// what is in force instead. The exit code is 0 when the agent is ready: the kernel has what the
/// configuration says, except for single objects with errors. Otherwise it is 1.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl status                             everything at a glance
  meshctl status -v                          with the attached hooks and all notes
  meshctl status -w                          while you edit the configuration
  until meshctl status >/dev/null; do sleep 1; done
                                             wait until the agent is ready
  meshctl status -o json | jq '.errors[]'    what is wrong, for a script")]
pub(super) struct Args {
    /// Also show attached hooks and all notes
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    watch: Watch,
}

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    if let Some(namespace) = &session.namespace {
        return Err(Failure::WholeAgent("status", namespace.clone()));
    }
    let mut rounds = session.rounds(&args.watch);
    let mut exit = Exit::Ok;
    while rounds.next().await {
        let status = session.client.status().await.map_err(Failure::from);
        let Some(status) = session.patient(&rounds, status)? else {
            continue;
        };
        exit = if status.ready { Exit::Ok } else { Exit::No };
        session.show(&status, |status, layout| {
            page(status, layout, args.verbose || layout == Layout::Wide)
        })?;
    }
    Ok(exit)
}

fn page(status: &Status, layout: Layout, verbose: bool) -> String {
    let facts = facts_of(status);
    let (ready, facts) = facts.split_at(facts.find('\n').map_or(0, |end| end + 1));
    let wrong = [
        section("Problems", &lines(&status.problems)),
        section("Errors", &lines(&status.errors)),
        section("In force instead", &lines(&status.wrong)),
    ];
    let rest = [
        if verbose {
            section("Hooks", &hooks(&status.hooks, layout.indented()))
        } else {
            String::new()
        },
        section("Capacity", &capacity(&status.capacity, layout.indented())),
        section("Degraded", &lines(&status.degraded)),
        section("Kernel features", &lines(&status.kernel_features)),
        section("Notes", &notes(&status.notes, verbose)),
    ];
    let has_no_problem = wrong.iter().all(String::is_empty);
    let [problems, errors, instead] = wrong;
    let first = if has_no_problem {
        [ready.to_owned() + facts].into()
    } else {
        vec![
            ready.to_owned(),
            problems,
            errors,
            instead,
            facts.to_owned(),
        ]
    };
    let sections = first
        .into_iter()
        .chain(rest)
        .filter(|section| !section.is_empty());
    sections.collect::<Vec<_>>().join("\n")
}

/// Formats the facts, the most important first.
fn facts_of(status: &Status) -> String {
    let Status {
        version,
        pid,
        uptime_seconds,
        node_name,
        cgroup,
        pin_dir,
        sources,
        hooks,
        ..
    } = status;
    let sources = if sources.is_empty() {
        "none".to_owned()
    } else {
        sources.join(", ")
    };
    let hooks = if hooks.is_empty() {
        "none attached".to_owned()
    } else {
        format!("{} attached", hooks.len())
    };
    facts([
        ("Ready", readiness(status)),
        (
            "Agent",
            format!("{version}, process {pid}, up {}", age(*uptime_seconds)),
        ),
        ("Node", node_name.clone()),
        ("Cgroup", cgroup.clone()),
        ("Pins", pin_dir.clone()),
        ("Hooks", hooks),
        ("Revision", revision(status)),
        ("Sources", sources),
    ])
}

fn readiness(status: &Status) -> String {
    let Status {
        ready,
        errors_total,
        problems,
        ..
    } = status;
    let all = [
        (problems.len(), "problem"),
        (number(*errors_total), "error"),
    ];
    let wrong: Vec<_> = all
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(n, noun)| count(n, noun))
        .collect();
    match (ready, wrong.is_empty()) {
        (true, true) => "yes".to_owned(),
        (true, false) => format!(
            "yes, but for {}",
            count(number(status.wrong_total), "object")
        ),
        (false, true) => "no".to_owned(),
        (false, false) => format!("no: {}", wrong.join(", ")),
    }
}

fn number(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}

fn revision(status: &Status) -> String {
    let mut text = status.revision.to_string();
    if let Some(seconds) = status.applied_seconds_ago {
        text += &format!(", applied {} ago", age(seconds));
    }
    if let Some(milliseconds) = status.apply_milliseconds {
        text += &format!(" in {milliseconds} ms");
    }
    text
}

fn hooks(hooks: &[Hook], layout: Layout) -> String {
    let row = |hook: &Hook| {
        vec![
            hook.name.clone(),
            hook.program_id.to_string(),
            hook.link_id.to_string(),
        ]
    };
    if hooks.is_empty() {
        String::new()
    } else {
        layout.table(&HOOKS, hooks.iter().map(row))
    }
}

const HOOKS: [Column; 3] = [
    Column::new("NAME"),
    Column::new("PROGRAM"),
    Column::new("LINK"),
];

fn capacity(maps: &[CapacityUse], layout: Layout) -> String {
    let row = |map: &CapacityUse| {
        vec![
            map.map.clone(),
            map.used.to_string(),
            map.capacity.to_string(),
            percent(map.used, map.capacity),
        ]
    };
    if maps.is_empty() {
        String::new()
    } else {
        layout.table(&MAPS, maps.iter().map(row))
    }
}

const MAPS: [Column; 4] = [
    Column::new("MAP"),
    Column::new("USED"),
    Column::new("TOTAL"),
    Column::new("USE%"),
];

/// Formats the first notes, or all.
fn notes(notes: &[ConfigProblem], verbose: bool) -> String {
    let (shown, more) = notes.split_at(if verbose {
        notes.len()
    } else {
        notes.len().min(NOTES)
    });
    let shown = lines(shown);
    if more.is_empty() {
        shown
    } else {
        format!("{shown}and {} more: -v shows them\n", more.len())
    }
}

fn percent(used: u64, capacity: u64) -> String {
    // Rows are counted in millions, far from where f64 loses precision.
    if capacity == 0 {
        "-".to_owned()
    } else {
        format!("{:.1}%", used as f64 * 100.0 / capacity as f64)
    }
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().fold(String::new(), |text, item| {
        text + &printable(&item.to_string()) + "\n"
    })
}

/// Formats an indented block below a title; nothing when the block is empty.
fn section(title: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    body.lines().fold(format!("{title}:\n"), |text, line| {
        text + "  " + line + "\n"
    })
}

#[cfg(test)]
mod tests;
