//! Findings from what the agent knows.

use super::facts::{AgentFacts, HookPrograms, Program};
use crate::api::types::{CapacityUse, Finding, HookProbe, probe_state};

/// Use of a map, in percent, from which on there is a warning.
const FULL: u64 = 80;
/// Hooks whose programs change addresses. Programs of others at other hooks do no harm.
const ADDRESS_HOOKS: [&str; 4] = ["connect", "sendmsg", "recvmsg", "getpeername"];

/// Returns the findings about a running agent.
pub fn agent(facts: &AgentFacts) -> Vec<Finding> {
    let AgentFacts {
        cgroup,
        attached,
        probes,
        programs,
        kernel_features,
        maps,
        abi,
        pinned_abis,
        problems,
        errors,
        degraded,
    } = facts;
    let mut findings = vec![attachment(*attached, cgroup)];
    findings.extend(probes.iter().map(|probe| self_probe(probe, cgroup)));
    findings.extend(programs.iter().filter_map(|hook| others(hook, cgroup)));
    findings.push(features(kernel_features));
    findings.extend(maps.iter().map(map));
    findings.push(layout(*abi, pinned_abis));
    findings.extend(problems.iter().map(|problem| {
        Finding::error(
            "dataPlane",
            problem.as_str(),
            "`meshctl status` shows its state",
        )
    }));
    findings.push(configuration(*errors));
    findings.extend(degraded.iter().map(|line| capability(line)));
    findings
}

fn attachment(attached: bool, cgroup: &str) -> Finding {
    if attached {
        return Finding::ok(
            "programs",
            format!("programs are attached to cgroup {cgroup}"),
        );
    }
    let what = "the programs of this agent are not attached yet";
    let remedy = "wait until the configuration is applied; if that takes more than seconds, `meshctl status` and the log of \
                  the agent say why";
    Finding::error("programs", what, remedy)
}

fn self_probe(probe: &HookProbe, cgroup: &str) -> Finding {
    let HookProbe { hook, reason, .. } = probe;
    let id = format!("selfProbe/{hook}");
    match probe.state.as_str() {
        probe_state::WORKS => Finding::ok(id, format!("{hook} serves the agent's own connects")),
        probe_state::FAILS => Finding::error(
            id,
            format!("{hook} does not serve processes in cgroup {cgroup}: {reason}"),
            "restart the agent, which attaches its programs again; if a program of another tool is listed at this hook, remove \
             it or attach it elsewhere",
        ),
        _ => Finding::warning(
            id,
            format!("{hook} cannot be probed: {reason}"),
            "probe by hand: connect from a process in the cgroup, and compare with `meshctl explain`",
        ),
    }
}

/// Returns the finding about programs of others at a hook, if that is worth a line.
fn others(hook: &HookPrograms, cgroup: &str) -> Option<Finding> {
    let HookPrograms { hook, programs } = hook;
    let id = format!("programs/{hook}");
    let Some(programs) = programs else {
        let what = format!("the kernel does not tell which programs are attached at {hook}");
        let remedy =
            "run the agent with CAP_NET_ADMIN and CAP_BPF, as the unit and the DaemonSet do";
        return Some(Finding::warning(id, what, remedy));
    };
    let changes_addresses = ADDRESS_HOOKS.iter().any(|it| hook.starts_with(it));
    if !changes_addresses || programs.iter().all(|program| program.is_own) {
        return None;
    }
    let order: Vec<String> = programs.iter().map(called).collect();
    let what = format!(
        "programs of others are attached to cgroup {cgroup} at {hook}; they run in this order: {}",
        order.join(", ")
    );
    let remedy = "a program before the agent's can change or refuse a connect first, one after it sees the endpoint instead of \
                  the service: find its owner with `bpftool prog show id ID`, and detach it unless it leaves service addresses \
                  alone";
    Some(Finding::warning(id, what, remedy))
}

fn called(program: &Program) -> String {
    let Program { id, is_own } = program;
    match is_own {
        true => format!("this agent's ({id})"),
        false => format!("program {id}"),
    }
}

fn features(differences: &[String]) -> Finding {
    let id = "kernelFeatures";
    if differences.is_empty() {
        return Finding::ok(id, "the kernel has every feature that the programs use");
    }
    let remedy = "run a newer kernel of those that docs/operations.md lists";
    Finding::warning(id, differences.join("; "), remedy)
}

fn map(map: &CapacityUse) -> Finding {
    let CapacityUse {
        map,
        used,
        capacity,
    } = map;
    let id = format!("map/{map}");
    let what = format!("map {map} has {used} of {capacity} rows in use");
    if used * 100 < capacity * FULL {
        return Finding::ok(id, what);
    }
    let remedy = match map.as_str() {
        "SERVICES" => {
            "raise --max-services and restart the agent, or remove services: further services are left out"
        }
        "SLOTS" | "BACKENDS" => {
            "raise --max-backends and restart the agent, or remove endpoints: further services are left out"
        }
        "SOCKETS" => {
            "raise --max-sockets and restart the agent: further connects are balanced, but not recorded, and refused where \
             the service has limits"
        }
        _ => {
            "further clients are served without what this map keeps; `meshctl stats` shows which services lose most"
        }
    };
    Finding::warning(id, what, remedy)
}

fn layout(abi: u32, pinned: &[u32]) -> Finding {
    let id = "mapLayout";
    let others: Vec<String> = pinned
        .iter()
        .filter(|it| **it != abi)
        .map(ToString::to_string)
        .collect();
    if others.is_empty() {
        return Finding::ok(
            id,
            format!("programs and maps have the row layout {abi} of this agent"),
        );
    }
    let what = format!(
        "maps with row layout {} are pinned beside those of this agent, {abi}",
        others.join(" and ")
    );
    let remedy =
        "restart the agent: it removes maps of other layouts when its programs are attached";
    Finding::warning(id, what, remedy)
}

fn configuration(errors: u64) -> Finding {
    if errors == 0 {
        return Finding::ok("configuration", "the configuration has no errors");
    }
    let what = format!("errors in the configuration: {errors}");
    let remedy = "`meshctl status` names file and line of each, and what is in force instead";
    Finding::warning("configuration", what, remedy)
}

fn capability(line: &str) -> Finding {
    let (what, remedy) = line.split_once("; ").unwrap_or((line, ""));
    Finding::warning("capabilities", what, remedy)
}

#[cfg(test)]
mod tests;
