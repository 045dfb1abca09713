//! Finds the cgroup2 mount of this machine.

use std::{fs, path::PathBuf};

/// Returns its mount point, which is not `/sys/fs/cgroup` in a hybrid hierarchy.
pub(super) fn find() -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| {
        format!(
            "cannot read /proc/self/mounts, so name the cgroup2 filesystem with --cgroup: {error}"
        )
    })?;
    let none = "no cgroup2 filesystem is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name one with \
                --cgroup";
    mount_point(&mounts).ok_or_else(|| none.to_owned())
}

fn mount_point(mounts: &str) -> Option<PathBuf> {
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .into_iter()
        .find(|fields| fields.get(2) == Some(&"cgroup2"))
        .map(|fields| PathBuf::from(fields[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_in_a_hybrid_hierarchy() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point("proc /proc proc rw 0 0\n"), None);
    }
}
