//! Directories of an agent, and its command lines.

use std::{ffi::OsString, path::PathBuf};

/// Paths of one agent; no other agent of a test run has the same.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Programs are attached here.
    pub cgroup: PathBuf,
    /// Links, programs and maps are pinned here.
    pub pins: PathBuf,
    /// Services are read from here.
    pub services: PathBuf,
    /// State that outlives a reboot.
    pub state: PathBuf,
    /// The API.
    pub socket: PathBuf,
}

impl Directories {
    /// `run` and its flags.
    pub fn run(&self) -> Vec<OsString> {
        let Self {
            cgroup,
            pins,
            services,
            state,
            socket,
        } = self;
        flags(
            "run",
            &[
                ("--cgroup", cgroup),
                ("--pin-dir", pins),
                ("--state-dir", state),
                ("--services", services),
                ("--socket", socket),
            ],
        )
    }

    /// `uninstall` and its flags.
    pub fn uninstall(&self) -> Vec<OsString> {
        let Self {
            cgroup,
            pins,
            services: _,
            state,
            socket,
        } = self;
        let paths = [
            ("--cgroup", cgroup),
            ("--pin-dir", pins),
            ("--state-dir", state),
            ("--socket", socket),
        ];
        flags("uninstall", &paths)
    }
}

fn flags(command: &str, flags: &[(&str, &PathBuf)]) -> Vec<OsString> {
    let flags = flags
        .iter()
        .flat_map(|(flag, path)| [OsString::from(flag), path.into()]);
    [command.into()].into_iter().chain(flags).collect()
}
