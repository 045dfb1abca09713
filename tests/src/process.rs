//! Processes and their threads, as `/proc` shows them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Returns the child processes of a process.
pub fn children(parent: u32) -> BTreeSet<u32> {
    entries(Path::new("/proc"))
        .filter_map(|path| {
            let status = fs::read_to_string(path.join("status")).ok()?;
            let is_child = field(&status, "PPid:")? == parent.to_string();
            is_child.then(|| field(&status, "Pid:")?.parse().ok())?
        })
        .collect()
}

/// Whether the process runs; a zombie does not.
pub fn runs(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status"))
        .is_ok_and(|status| field(&status, "State:").is_some_and(|state| !state.starts_with('Z')))
}

/// Returns these fields of `/proc/PID/task/TID/status`, for each thread that still runs.
pub fn of_each_thread<const N: usize>(process: u32, names: [&str; N]) -> Vec<[String; N]> {
    entries(Path::new(&format!("/proc/{process}/task")))
        .filter_map(|thread| fs::read_to_string(thread.join("status")).ok())
        .map(|status| {
            names
                .map(|name| field(&status, name).unwrap_or_else(|| panic!("no {name} in {status}")))
        })
        .collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .flatten()
        .map(|entry| entry.path())
}

fn field(status: &str, name: &str) -> Option<String> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}
