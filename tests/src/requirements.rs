//! Requirements of the kernel tests. A missing one fails with a sentence that tells what to do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

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

/// Raises the limit of open files as far as allowed.
pub fn descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A lower limit is enough for all but the largest tests, which report it.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Returns the cgroup2 mount, which is not `/sys/fs/cgroup` in a hybrid hierarchy.
pub fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    mount_of_type(&mounts, "cgroup2")
        .expect("no cgroup2 is mounted: `mount -t cgroup2 none /sys/fs/cgroup`")
}

fn mount_of_type(mounts: &str, kind: &str) -> Option<PathBuf> {
    mounts
        .lines()
        .map(|line| line.split(' '))
        .find_map(|mut words| {
            let path = words.nth(1)?;
            (words.next()? == kind).then(|| PathBuf::from(path))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_in_a_hybrid_hierarchy() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mount_of_type(mounts, "cgroup2"),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
        assert_eq!(mount_of_type(mounts, "bpf"), None);
    }
}
