//! `meshctl status`

use super::{
    Exit, Failure,
    render::{age, columns, count, printable, table},
    session::Session,
    watch::Watch,
};
use crate::api::types::{CapacityUse, Hook, Status};

/// Show whether the agent is well and its configuration right
///
/// The exit code is 0 when the agent is ready: the kernel holds what the configuration says, and nothing is wrong.
/// Otherwise it is 1, and the page says what is wrong, with file and line.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl status                             everything at a glance
  meshctl status -w                          while you edit the configuration
  until meshctl status >/dev/null; do sleep 1; done
                                             wait until the agent is ready
  meshctl status -o json | jq '.errors[]'    what is wrong, for a script")]
pub(super) struct Args {
    #[command(flatten)]
    watch: Watch,
}

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    let mut rounds = args.watch.rounds();
    let mut exit = Exit::Ok;
    while rounds.next().await {
        let status = session.client.status().await.map_err(Failure::from);
        let Some(status) = session.patient(&rounds, status)? else { continue };
        exit = if status.ready { Exit::Ok } else { Exit::No };
        session.show(&status, page)?;
    }
    Ok(exit)
}

fn page(status: &Status) -> String {
    let sections = [
        facts(status),
        section("Hooks", &hooks(&status.hooks)),
        section("Capacity", &capacity(&status.capacity)),
        section("Errors", &lines(&status.errors)),
        section("Notes", &lines(&status.notes)),
        section("Problems", &lines(&status.problems)),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn facts(status: &Status) -> String {
    let Status { version, pid, uptime_seconds, node_name, cgroup, pin_dir, sources, .. } = status;
    let sources = if sources.is_empty() { "none".to_owned() } else { sources.join(", ") };
    let facts = [
        ("Ready", readiness(status)),
        ("Agent", format!("{version}, process {pid}, up {}", age(*uptime_seconds))),
        ("Node", node_name.clone()),
        ("Cgroup", cgroup.clone()),
        ("Pins", pin_dir.clone()),
        ("Revision", revision(status)),
        ("Sources", sources),
    ];
    columns(facts.map(|(name, value)| vec![format!("{name}:"), value]))
}

fn readiness(status: &Status) -> String {
    let Status { ready, errors, problems, .. } = status;
    let wrong = [(errors.len(), "error"), (problems.len(), "problem")];
    let wrong: Vec<_> = wrong.into_iter().filter(|(number, _)| *number > 0).map(|(n, noun)| count(n, noun)).collect();
    match (ready, wrong.is_empty()) {
        (true, _) => "yes".to_owned(),
        (false, true) => "no".to_owned(),
        (false, false) => format!("no: {}", wrong.join(", ")),
    }
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

fn hooks(hooks: &[Hook]) -> String {
    let row = |hook: &Hook| vec![hook.name.clone(), hook.program_id.to_string(), hook.link_id.to_string()];
    if hooks.is_empty() {
        "none attached\n".to_owned()
    } else {
        table(&["NAME", "PROGRAM", "LINK"], hooks.iter().map(row))
    }
}

fn capacity(maps: &[CapacityUse]) -> String {
    let row = |map: &CapacityUse| {
        vec![map.map.clone(), map.used.to_string(), map.capacity.to_string(), percent(map.used, map.capacity)]
    };
    if maps.is_empty() { String::new() } else { table(&["MAP", "USED", "TOTAL", "USE%"], maps.iter().map(row)) }
}

fn percent(used: u64, capacity: u64) -> String {
    // Rows are counted in millions, far from where f64 loses precision.
    if capacity == 0 { "-".to_owned() } else { format!("{:.1}%", used as f64 * 100.0 / capacity as f64) }
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().fold(String::new(), |text, item| text + &printable(&item.to_string()) + "\n")
}

/// An indented block below a title; nothing when the block is empty.
fn section(title: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    body.lines().fold(format!("{title}:\n"), |text, line| text + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixture;

    #[test]
    fn a_healthy_agent_fits_one_page() {
        insta::assert_snapshot!(page(&fixture::status()), @"
        Ready:      yes
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Hooks:
          NAME       PROGRAM   LINK
          connect4   31        8

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          BACKENDS   6      1000000   0.0%
        ");
    }

    #[test]
    fn everything_wrong_is_listed() {
        insta::assert_snapshot!(page(&fixture::ailing().status), @"
        Ready:      no: 2 errors, 1 problem
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Hooks:
          NAME       PROGRAM   LINK
          connect4   31        8

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          BACKENDS   6      1000000   0.0%

        Errors:
          /etc/mesh-agent/services.d/shop.yaml:12: services[0].ports[0].port: must be 1 to 65535, is 0
          /etc/mesh-agent/services.d/web.yaml:1: is not YAML: found a tab at column 3

        Notes:
          /etc/mesh-agent/services.d/web.yaml:40: kind Pod is not served

        Problems:
          connect4 is not attached
        ");
    }

    #[test]
    fn a_starting_agent_has_no_revision_time() {
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
        insta::assert_snapshot!(page(&starting), @"
        Ready:      no
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Revision:   0
        Sources:    none

        Hooks:
          none attached
        ");
    }
}
