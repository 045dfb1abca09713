//! Findings from what every process of the node can see.

use super::{
    facts::{CgroupFacts, ClockFacts, NodeFacts, Path, PathKind},
    neighbours::neighbours,
};
use crate::api::types::Finding;

/// Bits of a mode that let other users than the owner and the group write.
const OTHERS_WRITE: u32 = 0o002;
/// Bits that let any other user write.
const NOT_OWNER_WRITES: u32 = 0o022;
/// Bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;
/// The date may drift from the monotonic clock by this many seconds.
const JUMP: u64 = 5;

/// Returns the findings about the node.
pub fn node(facts: &NodeFacts) -> Vec<Finding> {
    let NodeFacts {
        kernel,
        clock,
        paths,
        cgroups,
        neighbours: others,
    } = facts;
    let mut findings = vec![Finding::ok(
        "kernel",
        format!("the kernel is Linux {kernel}"),
    )];
    findings.extend(clocks(*clock));
    findings.extend(paths.iter().map(permissions));
    findings.extend(cgroups.iter().flat_map(hierarchy));
    findings.extend(neighbours(others));
    findings
}

fn clocks(clock: ClockFacts) -> Vec<Finding> {
    let ClockFacts {
        is_synchronised,
        jumped_seconds,
    } = clock;
    let synchronised = match is_synchronised {
        Some(true) => Finding::ok("clock", "the clock is synchronised"),
        Some(false) => Finding::warning(
            "clock",
            "the clock is not synchronised: times in logs and metrics cannot be compared with those of other nodes, and \
             certificates may seem invalid; balancing uses the monotonic clock and is not affected",
            "start a time service, like chrony or systemd-timesyncd",
        ),
        None => Finding::ok(
            "clock",
            "the kernel does not tell whether the clock is synchronised",
        ),
    };
    let jump = (jumped_seconds.unsigned_abs() > JUMP).then(|| {
        let way = if jumped_seconds > 0 { "forward" } else { "backward" };
        Finding::warning(
            "clockJump",
            format!(
                "the date was set {way} by {} s since the agent started; balancing uses the monotonic clock and is not \
                 affected",
                jumped_seconds.unsigned_abs()
            ),
            "compare times in logs with care; restart the agent to end this warning",
        )
    });
    [Some(synchronised), jump].into_iter().flatten().collect()
}

fn permissions(path: &Path) -> Finding {
    let Path {
        kind,
        path,
        owner_and_mode,
    } = path;
    let (id, noun, forbidden, missing) = match kind {
        PathKind::PinDirectory => (
            "pinDirectory",
            "pin directory",
            NOT_OWNER_WRITES,
            "no programs are pinned: start the agent, or name another directory with --pin-dir",
        ),
        PathKind::Socket => (
            "socket",
            "control socket",
            OTHERS_WRITE,
            "start the agent, or name another socket with --socket",
        ),
        PathKind::StateDirectory => (
            "stateDirectory",
            "state directory",
            NOT_OWNER_WRITES,
            "start the agent, which makes it",
        ),
    };
    let Some((owner, mode)) = owner_and_mode else {
        return Finding::error(id, format!("{noun} {path} does not exist"), missing);
    };
    let mode = mode & PERMISSIONS;
    if *owner == 0 && mode & forbidden == 0 {
        return Finding::ok(id, format!("{noun} {path} has owner 0 and mode {mode:04o}"));
    }
    Finding::error(
        id,
        format!(
            "{noun} {path} has owner {owner} and mode {mode:04o}, so that other users can change it"
        ),
        format!("chown root {path}; chmod go-w {path}"),
    )
}

fn hierarchy(facts: &CgroupFacts) -> Vec<Finding> {
    let CgroupFacts {
        served,
        is_root,
        v1_socket_controllers,
    } = facts;
    let part = if *is_root {
        Finding::ok(
            "cgroup",
            format!("cgroup {served} contains every process of the node"),
        )
    } else {
        Finding::warning(
            "cgroup",
            format!(
                "cgroup {served} is a part of the hierarchy: processes outside of it are not served"
            ),
            "if that is not intended, start the agent with --cgroup and the root of the node's hierarchy; in a container, \
             mount the node's /sys/fs/cgroup and use the host's cgroup namespace",
        )
    };
    let hybrid = (!v1_socket_controllers.is_empty()).then(|| {
        let names = v1_socket_controllers.join(" and ");
        Finding::warning(
            "cgroupV1",
            format!(
                "the cgroup v1 controllers {names} are mounted: before Linux 5.15, sockets of processes in their cgroups lose \
                 their cgroup v2, and are not served"
            ),
            "boot with systemd.unified_cgroup_hierarchy=1, or with cgroup_no_v1=net_cls,net_prio",
        )
    });
    [Some(part), hybrid].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
