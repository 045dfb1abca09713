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
    let wrong = [
        (problems.len(), "problem"),
        (number(*errors_total), "error"),
    ];
    let wrong: Vec<_> = wrong
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
mod tests {
    use super::*;
    use crate::api::fixture;

    /// As many hooks and maps as a real agent has.
    fn whole() -> Status {
        let hook = |(name, id): (&str, u32)| Hook {
            name: name.into(),
            program_id: id + 31,
            link_id: id + 8,
        };
        let names = [
            "sock_release",
            "sock_ops",
            "getpeername4",
            "getpeername6",
            "recvmsg4",
            "recvmsg6",
        ];
        let names = names
            .into_iter()
            .chain(["sendmsg4", "sendmsg6", "connect4", "connect6"]);
        let slots = CapacityUse {
            map: "SLOTS".into(),
            used: 6,
            capacity: 2_000_000,
        };
        let mut status = fixture::status();
        status.hooks = names.zip(0..).map(hook).collect();
        status.capacity.insert(1, slots);
        status
    }

    #[test]
    fn status_of_a_healthy_agent_fits_a_small_terminal() {
        let mut status = whole();
        insta::assert_snapshot!(page(&status, Layout::Fit(80), false), @"
        Ready:      yes
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      10 attached
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          SLOTS      6      2000000   0.0%
          BACKENDS   6      1000000   0.0%
        ");
        status.notes = (0..100)
            .map(|_| fixture::ailing().status.notes[0].clone())
            .collect();
        let page = page(&status, Layout::Fit(80), false);
        assert!(
            page.lines().count() < 24 && page.lines().all(|line| line.chars().count() <= 80),
            "{page}"
        );
        assert!(page.ends_with("  and 97 more: -v shows them\n"), "{page}");
    }

    #[test]
    fn status_names_the_missing_capabilities() {
        let status = Status {
            degraded: vec!["sockets of pods are not closed".into()],
            ..whole()
        };
        let page = page(&status, Layout::Whole, false);
        assert!(page.starts_with("Ready:      yes\n"), "{page}");
        assert!(
            page.ends_with("\n\nDegraded:\n  sockets of pods are not closed\n"),
            "{page}"
        );
    }

    #[test]
    fn status_names_the_missing_kernel_features() {
        let status = Status {
            kernel_features: vec!["the kernel lacks bpf_set_retval".into()],
            ..whole()
        };
        let page = page(&status, Layout::Whole, false);
        assert!(page.starts_with("Ready:      yes\n"), "{page}");
        assert!(
            page.ends_with("\n\nKernel features:\n  the kernel lacks bpf_set_retval\n"),
            "{page}"
        );
    }

    #[test]
    fn verbose_status_shows_hooks_and_all_notes() {
        let mut status = whole();
        status.notes = (0..100)
            .map(|_| fixture::ailing().status.notes[0].clone())
            .collect();
        let page = page(&status, Layout::Whole, true);
        insta::assert_snapshot!(page.split("\n\n").nth(1).unwrap(), @"
        Hooks:
          NAME           PROGRAM   LINK
          sock_release   31        8
          sock_ops       32        9
          getpeername4   33        10
          getpeername6   34        11
          recvmsg4       35        12
          recvmsg6       36        13
          sendmsg4       37        14
          sendmsg6       38        15
          connect4       39        16
          connect6       40        17
        ");
        assert_eq!(page.matches("kind Pod is not served").count(), 100);
    }

    #[test]
    fn problems_and_errors_come_first() {
        insta::assert_snapshot!(page(&fixture::ailing().status, Layout::Fit(80), false), @"
        Ready:      no: 1 problem, 2 errors

        Problems:
          connect4 is not attached

        Errors:
          /etc/mesh-agent/services.d/shop.yaml:12: services[0].ports[0].port: must be 1 to 65535, is 0
          /etc/mesh-agent/services.d/web.yaml:1: is not YAML: found a tab at column 3

        In force instead:
          /etc/mesh-agent/services.d/shop.yaml:9: service shop/cart: its last good version stays in force
          /etc/mesh-agent/services.d/web.yaml:1: the file: its last good version stays in force

        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      1 attached
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          BACKENDS   6      1000000   0.0%

        Notes:
          /etc/mesh-agent/services.d/web.yaml:40: kind Pod is not served
        ");
    }

    #[test]
    fn object_in_error_is_counted_beside_readiness() {
        let ailing = fixture::ailing().status;
        let one = Status {
            config_valid: false,
            errors: ailing.errors[..1].to_vec(),
            errors_total: 1,
            wrong: ailing.wrong[..1].to_vec(),
            wrong_total: 1,
            ..fixture::status()
        };
        assert_eq!(readiness(&one), "yes, but for 1 object");
    }

    #[test]
    fn starting_agent_has_no_revision_time() {
        let starting = Status {
            ready: false,
            revision: 0,
            applied_seconds_ago: None,
            apply_milliseconds: None,
            hooks: vec![],
            capacity: vec![],
            sources: vec![],
            ..fixture::status()
        };
        insta::assert_snapshot!(page(&starting, Layout::Fit(80), false), @"
        Ready:      no
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      none attached
        Revision:   0
        Sources:    none
        ");
    }
}
