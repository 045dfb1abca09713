//! A clean Debian 12, with or without systemd: the files that `cargo xtask setup` installed, below a
//! layer that the test may change, in separate namespaces.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mesh_tests::{command_result::CommandResult, name, place::Place, wait};
use tempfile::TempDir;

use crate::{namespaces::Namespaces, packages::source};

/// Longest time for booting and for installing packages.
pub const SLOW: Duration = Duration::from_secs(60);

/// Mounts what a container with systemd has: <https://systemd.io/CONTAINER_INTERFACE>. cgroup2 shows
/// only the place's own cgroup, and the bpffs is empty.
const MOUNTS: &str = "\
mount -t overlay -o lowerdir=$CLEAN,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work overlay $SCRATCH/root
cd $SCRATCH/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf -o mode=0700 bpf sys/fs/bpf
mount -t tmpfs -o mode=0755 tmpfs dev
for device in full null random tty urandom zero; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mount -t tmpfs -o mode=0755 tmpfs run
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . $INIT
";

const SYSTEMD: &str =
    "/lib/systemd/systemd --unit=multi-user.target --show-status=no --log-target=null";

/// Removed when dropped.
pub struct Machine {
    inside: Namespaces,
    // Dropped before the files: processes end first.
    _scratch: TempDir,
}

impl Machine {
    /// Boots systemd, and waits until all its units are started.
    pub fn boot(place: &Place) -> Self {
        let machine = Self::start(place, SYSTEMD, "systemd");
        wait::until("systemd to be running", SLOW, || {
            let state = machine.run(["systemctl", "is-system-running"]);
            state.stdout.trim() == "running"
        });
        machine
    }

    /// Starts no systemd, as in the build of an image.
    pub fn without_systemd(place: &Place) -> Self {
        Self::start(place, "sleep infinity", "sleep")
    }

    fn start(place: &Place, init: &str, name: &str) -> Self {
        let clean = source("target/debian-12");
        assert!(
            clean.is_dir(),
            "{} is missing: run `cargo xtask test`",
            clean.display()
        );
        let scratch = TempDir::with_prefix(format!("{}-", name::unique()))
            .expect("room for a temporary directory");
        for name in ["upper", "work", "root"] {
            fs::create_dir(scratch.path().join(name)).expect("the directory is new");
        }
        let variables = format!(
            "CLEAN={}\nSCRATCH={}\nINIT={init:?}\n",
            clean
                .canonicalize()
                .expect("the directory exists")
                .display(),
            scratch.path().display(),
        );
        let inside = Namespaces::run(place, &(variables + MOUNTS), name);
        Self {
            inside,
            _scratch: scratch,
        }
    }

    /// Returns a command that runs on the machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.inside.command(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a command on the machine to its end.
    pub fn run<const N: usize>(&self, words: [&str; N]) -> CommandResult {
        let (program, arguments) = words.split_first().expect("there is a program");
        // The search path of this process is the one that finds nsenter.
        CommandResult::of(self.command(program).args(arguments), SLOW)
    }

    /// Runs a command on the machine, which must succeed. Returns its output without the last newline.
    pub fn expect<const N: usize>(&self, words: [&str; N]) -> String {
        let outcome = self.run(words).expect_success();
        outcome.stdout.trim_end().to_owned()
    }

    /// Installs a package of this machine with `dpkg --install`.
    pub fn install(&self, package: &Path) -> CommandResult {
        let inside = self.copy(package);
        let outcome = self.run(["dpkg", "--install", &inside]);
        fs::remove_file(self.path(&inside)).expect("the package was copied");
        outcome.expect_success()
    }

    /// Copies a file of this machine to that machine; returns its path there.
    pub fn copy(&self, file: &Path) -> String {
        let name = file.file_name().expect("a file has a name");
        let inside = format!("/tmp/{}", name.display());
        fs::copy(file, self.path(&inside)).expect("the machine has room");
        inside
    }

    /// Returns the path on this machine of a file of that machine.
    pub fn path(&self, inside: &str) -> PathBuf {
        format!("/proc/{}/root{inside}", self.inside.first()).into()
    }

    /// Every file of the machine whose path contains `word`, outside of `/proc` and `/sys`.
    pub fn find(&self, word: &str) -> Vec<String> {
        let pattern = format!("*{word}*");
        let found = self.expect([
            "find", "/", "-path", "/proc", "-prune", "-o", "-path", "/sys", "-prune", "-o",
            "-path", &pattern, "-print",
        ]);
        found.lines().map(str::to_owned).collect()
    }
}
