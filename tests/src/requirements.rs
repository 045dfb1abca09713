//! What the kernel tests need from the machine. What is missing is named in one sentence that says what to do.

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
    assert!(geteuid().is_root(), "the kernel tests load eBPF programs: run them as root");
}

/// Lets this process hold thousands of sockets, as far as it may.
pub fn descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What it may not raise is enough for all but the largest tests, and those say what they lack.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// The cgroup2 mount. Where the hierarchy is hybrid it is not `/sys/fs/cgroup`.
pub fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    mount_of_type(&mounts, "cgroup2").expect("no cgroup2 is mounted: `mount -t cgroup2 none /sys/fs/cgroup`")
}

fn mount_of_type(mounts: &str, kind: &str) -> Option<PathBuf> {
    mounts.lines().map(|line| line.split(' ')).find_map(|mut words| {
        let path = words.nth(1)?;
        (words.next()? == kind).then(|| PathBuf::from(path))
    })
}

/// The bpffs at its usual place, mounted if it is not there yet.
pub fn bpffs() -> PathBuf {
    // Two mounts on top of each other would hide what the first holds.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MOUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new("/sys/fs/bpf");
    if !is_bpffs(path) {
        mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), None::<&str>)
            .unwrap_or_else(|error| panic!("no bpffs at {} and it cannot be mounted: {error}", path.display()));
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
        assert_eq!(mount_of_type(mounts, "cgroup2"), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of_type(mounts, "bpf"), None);
    }
}
