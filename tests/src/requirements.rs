//! Requirements of the kernel tests. A missing one fails with a sentence that tells what to do.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use mesh_files::mounts;
use nix::{
    mount::{MsFlags, mount},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        statfs::{FsType, statfs},
    },
    unistd::geteuid,
};

/// `BPF_FS_MAGIC`
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// Panics unless this process may create cgroups, namespaces and load programs.
pub fn privilege() {
    assert!(
        geteuid().is_root(),
        "the kernel tests load eBPF programs: run them as root"
    );
}

/// Raises the limit of open files as far as the hard limit allows.
pub fn descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A lower limit is enough for all but the largest tests, which report it.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Returns the cgroup2 mount, which is not `/sys/fs/cgroup` in a hybrid hierarchy.
pub fn cgroup2() -> PathBuf {
    let found = mounts::cgroup2().expect("/proc is mounted");
    found.expect("no cgroup2 is mounted: `mount -t cgroup2 none /sys/fs/cgroup`")
}

/// Returns the bpffs at its usual place, and mounts it if necessary.
pub fn bpffs() -> PathBuf {
    // A second mount would hide the contents of the first.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MOUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new("/sys/fs/bpf");
    if !is_bpffs(path) {
        mount(
            Some("bpf"),
            path,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap_or_else(|error| {
            panic!(
                "no bpffs at {} and it cannot be mounted: {error}",
                path.display()
            )
        });
    }
    path.into()
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS)
}
