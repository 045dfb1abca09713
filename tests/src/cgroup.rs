//! The cgroup of a test. Programs that are attached to it see the sockets that processes in it create,
//! and no others.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{name, requirements, wait};

/// Longest time until a reaped process has left its cgroup.
const EMPTY: Duration = Duration::from_secs(5);

/// A cgroup; removed when dropped.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Creates a child of the root of the hierarchy.
    pub fn new() -> Self {
        Self::create(requirements::cgroup2().join(name::unique()))
    }

    /// Creates a child of this one. Programs of the parent see its sockets, too.
    pub fn child(&self) -> Self {
        Self::create(self.path.join(name::unique()))
    }

    /// Creates a child of this name.
    pub fn below(&self, name: &str) -> Self {
        Self::create(self.path.join(name))
    }

    fn create(path: PathBuf) -> Self {
        fs::create_dir(&path)
            .unwrap_or_else(|error| panic!("cannot create cgroup {}: {error}", path.display()));
        Self { path }
    }

    /// Directory in the cgroup2 mount.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A process that writes `0` to this file moves here.
    pub fn entrance(&self) -> File {
        let path = self.path.join("cgroup.procs");
        File::options()
            .write(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if wait::try_until_some(EMPTY, || remove(&self.path).ok()).is_none() {
            println!("cgroup {} is still in use", self.path.display());
        }
    }
}

/// Removes a cgroup and those below it.
pub fn remove(path: &Path) -> io::Result<()> {
    for child in fs::read_dir(path)?
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        remove(&child.path())?;
    }
    fs::remove_dir(path)
}
