//! Runs containers with an OCI runtime, without an engine. They end with the test.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use mesh_tests::{command_result::CommandResult, name, node::PATIENCE, place::Place};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::namespaces::Namespaces;

/// The configuration of a container.
pub struct Spec {
    /// Root directory, mounted read-only.
    pub root: PathBuf,
    /// Program and arguments.
    pub words: Vec<String>,
    /// `NAME=value`
    pub environment: Vec<String>,
    /// Capabilities, with `CAP_`.
    pub capabilities: Vec<String>,
    /// Source, destination, and whether it is read-only.
    pub mounts: Vec<(PathBuf, String, bool)>,
}

/// A container that shares cgroup and network with a place, and nothing else.
pub struct Container {
    inside: Namespaces,
    bundle: TempDir,
}

const ID: &str = "test";

impl Container {
    /// Prepares a container.
    pub fn new(place: &Place, spec: &Spec) -> Self {
        let bundle = TempDir::with_prefix(format!("{}-", name::unique()))
            .expect("room for a temporary directory");
        fs::write(bundle.path().join("config.json"), config(spec).to_string())
            .expect("the directory is new");
        // crun refuses a hybrid hierarchy, and this machine may have one.
        let script = "mount -t proc proc /proc; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec sleep infinity";
        let inside = Namespaces::run(place, script, "sleep");
        Self { inside, bundle }
    }

    /// Returns the command that runs the container; its streams are those of the command.
    pub fn run(&self) -> Command {
        let mut command = self.runtime();
        command
            .args(["run", "--bundle"])
            .arg(self.bundle.path())
            .arg(ID);
        command
    }

    /// Starts it, and redirects its streams to a file.
    pub fn start(&self) -> Child {
        let log = File::create(self.bundle.path().join("log")).expect("the directory is new");
        let mut command = self.run();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("descriptors are left for a copy"))
            .stderr(log);
        command.spawn().expect("cargo xtask setup installs crun")
    }

    /// Returns what the container printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.bundle.path().join("log")).unwrap_or_default()
    }

    /// Runs a command in it.
    pub fn exec(&self, words: &[String]) -> CommandResult {
        let mut command = self.runtime();
        CommandResult::of(command.args(["exec", ID]).args(words), PATIENCE)
    }

    /// Returns a file of `/proc` about its first process.
    pub fn proc(&self, file: &str) -> String {
        let state = CommandResult::of(self.runtime().args(["state", ID]), PATIENCE);
        let state: Value =
            serde_json::from_str(&state.expect_success().stdout).expect("the state is JSON");
        let path = format!("/proc/{}/{file}", state["pid"]);
        let mut command = self.inside.command("cat");
        CommandResult::of(command.arg(path), PATIENCE)
            .expect_success()
            .stdout
    }

    /// Ends its first process with SIGTERM.
    pub fn terminate(&self) {
        let mut command = self.runtime();
        CommandResult::of(command.args(["kill", ID, "TERM"]), PATIENCE).expect_success();
    }

    fn runtime(&self) -> Command {
        let mut command = self.inside.command("crun");
        // It stays in the cgroup of the place: what a runtime makes of cgroups differs with the
        // hierarchy of the machine.
        command
            .arg("--cgroup-manager=disabled")
            .arg("--root")
            .arg(self.bundle.path().join("state"));
        command
    }
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config.md>
fn config(spec: &Spec) -> Value {
    let Spec {
        root,
        words,
        environment,
        capabilities,
        mounts,
    } = spec;
    let mut all_mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "mode=755"] }),
        json!({ "destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "ro"] }),
    ];
    all_mounts.extend(mounts.iter().map(|(source, destination, read_only)| {
        let mode = if *read_only { "ro" } else { "rw" };
        json!({ "destination": destination, "type": "none", "source": source,
                "options": ["rbind", mode] })
    }));
    let namespaces = ["pid", "ipc", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": words,
            "env": environment,
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "noNewPrivileges": true,
        },
        "root": { "path": root, "readonly": true },
        "mounts": all_mounts,
        "linux": { "namespaces": namespaces },
    })
}
