//! Namespaces for processes and mounts of one test. They end with their first process, and that ends
//! with the test, even when the test is killed: no mount and no process stays.

use std::{
    ffi::OsStr,
    fs,
    process::{Child, Command, Stdio},
};

use mesh_tests::{node::PATIENCE, place::Place, wait};

/// Process and mount namespaces, which its commands enter.
pub struct Namespaces {
    place: Place,
    /// `unshare`, which waits for the first process; both are killed together.
    keeper: Child,
    first: u32,
}

impl Namespaces {
    /// Runs a shell script as the first process, in the cgroup and the network namespace of `place`,
    /// until it becomes the program `last`.
    pub fn run(place: &Place, script: &str, last: &str) -> Self {
        let mut keeper = place.command("unshare");
        keeper
            .args(["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--fork"])
            .args(["--kill-child", "--propagation", "private"])
            .args(["sh", "-euc", script])
            .stdin(Stdio::null());
        let keeper = keeper.spawn().expect("unshare is part of every Linux");
        let children = format!("/proc/{0}/task/{0}/children", keeper.id());
        let first: u32 = wait::until_some("the first process", PATIENCE, || {
            fs::read_to_string(&children).ok()?.trim().parse().ok()
        });
        let namespaces = Self {
            place: place.clone(),
            keeper,
            first,
        };
        wait::until(last, PATIENCE, || {
            let comm = fs::read_to_string(format!("/proc/{first}/comm"));
            comm.expect("the script succeeds").trim() == last
        });
        namespaces
    }

    /// Returns a command that runs inside, with the first process's root directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.place.command("nsenter");
        command
            .args(["--mount", "--pid", "--cgroup", "--uts", "--ipc"])
            .args(["--root", "--wd", "--target", &self.first.to_string()])
            .arg("--")
            .arg(program);
        command
    }

    /// Process id of the first process, outside of these namespaces.
    pub fn first(&self) -> u32 {
        self.first
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // It is this process's child, and not yet reaped: no other process can be hit.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let gone = || !fs::exists(format!("/proc/{}/ns/mnt", self.first)).unwrap_or(true);
        let _ = wait::try_until_some(PATIENCE, || gone().then_some(()));
    }
}
