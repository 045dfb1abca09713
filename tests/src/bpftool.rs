//! What `bpftool` shows of the kernel.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use crate::{node::PATIENCE, outcome::Outcome};

/// Output of `bpftool -j` with these words, which must succeed.
pub fn bpftool(words: &[&str]) -> Value {
    let outcome = Outcome::of(Command::new("bpftool").arg("-j").args(words), PATIENCE).expect_success();
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("bpftool said {outcome:?}: {error}"))
}

/// Names of the programs attached to a cgroup, in no particular order.
pub fn attached(cgroup: &Path) -> BTreeSet<String> {
    let shown = Outcome::of(Command::new("bpftool").args(["-j", "cgroup", "show"]).arg(cgroup), PATIENCE);
    // It says nothing at all where nothing is attached.
    let programs = serde_json::from_str::<Vec<Value>>(&shown.stdout).unwrap_or_default();
    programs.iter().filter_map(|program| program["name"].as_str()).map(str::to_owned).collect()
}
