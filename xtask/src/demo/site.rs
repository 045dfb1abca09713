//! What a demo creates on the machine: a cgroup, a pin directory and a run directory. Their names
//! contain the process id of the demo, so that the next demo finds and removes what a killed one left.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{mounts, run, workspace};

const PREFIX: &str = "mesh-agent-demo-";
const PIN_ROOT: &str = "/sys/fs/bpf";
const RUN_ROOT: &str = "/run";

/// Everything that one demo creates. [`clean`](Self::clean) removes all of it, in any state. Dropping
/// does the same, for a demo that panics.
pub struct Site {
    /// Only sockets that are created in this cgroup are served.
    pub cgroup: PathBuf,
    /// Pin directory.
    pub pins: PathBuf,
    /// Directory of service files, state and socket.
    pub run: PathBuf,
}

impl Site {
    /// Returns the paths for this process. Creates nothing.
    pub fn of_this_process() -> anyhow::Result<Self> {
        Ok(Self::of(std::process::id(), &cgroup_root()?))
    }

    /// Creates the cgroup and the directories, with a copy of the example. The agent creates the pin
    /// directory.
    pub fn create(&self) -> anyhow::Result<()> {
        for directory in [&self.cgroup, &self.run, &self.services(), &self.state()] {
            fs::create_dir(directory).with_context(|| format!("create {}", directory.display()))?;
        }
        fs::write(self.settings(), "")?;
        for file in fs::read_dir(workspace::example())? {
            let file = file?;
            fs::copy(file.path(), self.services().join(file.file_name()))?;
        }
        Ok(())
    }

    /// Removes what demos left whose process has ended. Returns their number.
    pub fn sweep() -> anyhow::Result<usize> {
        let root = cgroup_root()?;
        let names = [&root, Path::new(PIN_ROOT), Path::new(RUN_ROOT)]
            .map(names_in)
            .into_iter()
            .flatten();
        let dead: BTreeSet<u32> = names
            .filter_map(|name| process_of(&name))
            .filter(|pid| !is_alive(*pid))
            .collect();
        for pid in &dead {
            Self::of(*pid, &root).clean()?;
        }
        Ok(dead.len())
    }

    /// Returns the path of the agent's settings file, which is empty.
    pub fn settings(&self) -> PathBuf {
        self.run.join("agent.yaml")
    }

    /// Returns the directory of service files.
    pub fn services(&self) -> PathBuf {
        self.run.join("services")
    }

    /// Returns the state directory of the agent.
    pub fn state(&self) -> PathBuf {
        self.run.join("state")
    }

    /// Returns the socket of the agent.
    pub fn socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// Replaces a service file atomically.
    pub fn edit(&self, file: &str, edit: impl Fn(&str) -> String) -> io::Result<()> {
        let path = self.services().join(file);
        // The agent reads .yaml, .yml and .json only.
        let new = path.with_extension("new");
        fs::write(&new, edit(&fs::read_to_string(&path)?))?;
        fs::rename(new, path)
    }

    /// Detaches the programs and removes everything. Processes in the cgroup must have ended.
    pub fn clean(&self) -> anyhow::Result<()> {
        let uninstalled = if self.pins.exists() {
            self.uninstall()
        } else {
            Ok(())
        };
        // Removing the pins detaches the programs as well, if the agent has not done so.
        for directory in [&self.pins, &self.run] {
            absent(fs::remove_dir_all(directory))
                .with_context(|| format!("remove {}", directory.display()))?;
        }
        absent(fs::remove_dir(&self.cgroup))
            .with_context(|| format!("remove {}", self.cgroup.display()))?;
        uninstalled
    }

    fn uninstall(&self) -> anyhow::Result<()> {
        let mut agent = Command::new(workspace::built().join("mesh-agent"));
        agent
            .env_clear()
            .arg("uninstall")
            .arg("--cgroup")
            .arg(&self.cgroup)
            .arg("--pin-dir")
            .arg(&self.pins);
        run::read(agent.arg("--state-dir").arg(self.state())).map(drop)
    }

    fn of(pid: u32, cgroup_root: &Path) -> Self {
        let name = format!("{PREFIX}{pid}");
        Self {
            cgroup: cgroup_root.join(&name),
            pins: Path::new(PIN_ROOT).join(&name),
            run: Path::new(RUN_ROOT).join(&name),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.clean();
    }
}

/// Returns the cgroup2 mount, which is not always at `/sys/fs/cgroup`.
fn cgroup_root() -> anyhow::Result<PathBuf> {
    mounts::cgroup2()?.context("no cgroup2 is mounted on this machine")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn process_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Treats a missing file as removed.
fn absent(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_demo_names_carry_a_process() {
        assert_eq!(process_of("mesh-agent-demo-17"), Some(17));
        assert_eq!(process_of("mesh-agent"), None);
        assert_eq!(process_of("mesh-agent-demo-17-notes"), None);
    }

    #[test]
    fn cleaning_nothing_is_fine() {
        // Above the largest process id of Linux.
        Site::of(u32::MAX, Path::new("/nonexistent"))
            .clean()
            .unwrap();
    }
}
