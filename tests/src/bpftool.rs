//! Runs `bpftool` and parses its output.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use crate::{command_result::CommandResult, node::PATIENCE};

/// Runs `bpftool -j` with these arguments, which must succeed, and returns its output.
pub fn bpftool(words: &[&str]) -> Value {
    let outcome =
        CommandResult::of(Command::new("bpftool").arg("-j").args(words), PATIENCE).expect_success();
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("bpftool said {outcome:?}: {error}"))
}

/// Names of the programs attached to a cgroup, in no particular order.
pub fn attached(cgroup: &Path) -> BTreeSet<String> {
    programs(cgroup)
        .iter()
        .filter_map(|program| program["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Kernel ids of the programs attached to a cgroup.
pub fn attached_ids(cgroup: &Path) -> BTreeSet<u64> {
    programs(cgroup)
        .iter()
        .filter_map(|program| program["id"].as_u64())
        .collect()
}

fn programs(cgroup: &Path) -> Vec<Value> {
    let mut command = Command::new("bpftool");
    let shown = CommandResult::of(command.args(["-j", "cgroup", "show"]).arg(cgroup), PATIENCE)
        .expect_success()
        .stdout;
    // bpftool prints nothing if no program is attached.
    match shown.trim() {
        "" => Vec::new(),
        json => serde_json::from_str(json)
            .unwrap_or_else(|error| panic!("bpftool said {json}: {error}")),
    }
}
