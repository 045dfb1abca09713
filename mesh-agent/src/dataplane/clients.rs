//! Cgroups that contain clients, as the kernel programs know them; see [`mesh_common::client`].
//!
//! ```text
//! --cgroup ──► its directories that are groups ──ids──► GROUPS
//!                                                            └──► CLIENTS is cleared
//! ```

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::Path,
};

use mesh_common::{
    abi::maps::{CLIENTS, GROUPS},
    client::{DEPTH, short},
};

use super::{Error, maps::Maps};

/// Names of groups of managers other than systemd: kubelet with its cgroupfs driver, Docker,
/// Podman, LXC, libvirt.
const GROUP_NAMES: [&str; 11] = [
    "kubelet",
    "kubepods",
    "burstable",
    "besteffort",
    "docker",
    "podman",
    "libpod_parent",
    "lxc",
    "machine",
    "system",
    "user",
];

/// Whether a cgroup of this name contains clients. Slices of systemd do, except slices of one user
/// or one pod.
fn is_group(name: &str) -> bool {
    match name.strip_suffix(".slice") {
        Some(slice) => !is_user(slice) && !is_pod(slice),
        None => GROUP_NAMES.contains(&name),
    }
}

/// `user-1000`, from logind.
fn is_user(slice: &str) -> bool {
    slice
        .strip_prefix("user-")
        .is_some_and(|uid| uid.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `kubepods-burstable-pod1f2e_…`, from kubelet with its systemd driver, below any prefix.
fn is_pod(slice: &str) -> bool {
    let is_kubelets = slice.split('-').any(|part| part == "kubepods");
    let last = slice
        .rsplit('-')
        .next()
        .and_then(|last| last.strip_prefix("pod"));
    is_kubelets && last.is_some_and(|uid| !uid.is_empty())
}

/// Returns the ids of `top`, which is a group whatever its name, and of the groups below it. Groups
/// that are created or removed meanwhile may be missed.
pub fn groups(top: &Path) -> io::Result<BTreeSet<u64>> {
    walk(top, |_| {})
}

/// Returns the clients that sockets can count for now, in their short form: groups, and the cgroups
/// directly below them.
pub fn clients(top: &Path) -> io::Result<HashSet<u32>> {
    let mut below = Vec::new();
    let groups = walk(top, |id| below.push(id))?;
    Ok(groups.into_iter().chain(below).map(short).collect())
}

/// Calls `each` with every cgroup directly below a group. Returns the groups.
fn walk(top: &Path, mut each: impl FnMut(u64)) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::from([fs::metadata(top)?.ino()]);
    let mut level = vec![top.to_path_buf()];
    for _ in 0..DEPTH {
        let entries = level
            .iter()
            .filter_map(|group| fs::read_dir(group).ok())
            .flatten()
            .flatten();
        let all = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let directories = all.inspect(|entry| each(entry.ino()));
        let groups: Vec<_> = directories
            .filter(|entry| entry.file_name().to_str().is_some_and(is_group))
            .collect();
        found.extend(groups.iter().map(DirEntryExt::ino));
        level = groups.iter().map(fs::DirEntry::path).collect();
    }
    Ok(found)
}

/// Returns the client of the tasks in cgroup `path` if `top` is the first group, as the kernel
/// programs determine it; nothing outside of `top`, or if a cgroup does not exist.
pub fn client(top: &Path, path: &Path) -> Option<u32> {
    let (top, path) = (top.canonicalize().ok()?, path.canonicalize().ok()?);
    let mut found = top.clone();
    for part in path.strip_prefix(&top).ok()?.components() {
        found.push(part);
        if !part.as_os_str().to_str().is_some_and(is_group) {
            break;
        }
    }
    Some(short(fs::metadata(found).ok()?.ino()))
}

/// Replaces the rows of GROUPS, up to its capacity, and clears what the programs derived from earlier
/// rows. A program that runs meanwhile may derive a client from an earlier row again, until the next
/// call.
pub(super) fn set_groups(maps: &Maps, groups: &BTreeSet<u64>) -> Result<(), Error> {
    let map = maps.of(GROUPS);
    let before: BTreeSet<u64> = map.scan()?.into_iter().map(|(id, _)| id).collect();
    before
        .difference(groups)
        .try_for_each(|id| map.delete(id))?;
    let new: Vec<(u64, u64)> = groups
        .iter()
        .take(GROUPS.capacity() as usize)
        .filter(|id| !before.contains(id))
        .map(|&id| (id, 1))
        .collect();
    map.update(&new).map_err(|(_, error)| error)?;
    let rows: Vec<(u32, u64)> = (0..CLIENTS.capacity()).map(|row| (row, 0)).collect();
    maps.of(CLIENTS).update(&rows).map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_clients_but_for_those_of_a_user_or_a_pod() {
        for group in [
            "system.slice",
            "user.slice",
            "machine.slice",
            "kubepods.slice",
            "kubepods-burstable.slice",
        ] {
            assert!(is_group(group), "{group}");
        }
        for group in [
            "kubelet-kubepods-besteffort.slice",
            "system-getty.slice",
            "user-guests.slice",
            "tripod.slice",
        ] {
            assert!(is_group(group), "{group}");
        }
        let pod = "pod0a1b2c3d_4e5f_6071_8293_a4b5c6d7e8f9.slice";
        for prefix in [
            "kubepods-",
            "kubepods-burstable-",
            "kubelet-kubepods-besteffort-",
        ] {
            assert!(!is_group(&format!("{prefix}{pod}")), "{prefix}");
        }
        assert!(!is_group("user-1000.slice"));
    }

    #[test]
    fn without_systemd_groups_are_known_by_their_names() {
        for group in [
            "kubepods",
            "burstable",
            "besteffort",
            "docker",
            "libpod_parent",
            "lxc",
            "machine",
            "user",
        ] {
            assert!(is_group(group), "{group}");
        }
        for client in [
            "pod0a1b2c3d-4e5f-6071",
            "ssh.service",
            "init.scope",
            "docker-0123.scope",
            "0123",
            "app",
            "",
        ] {
            assert!(!is_group(client), "{client}");
        }
    }

    #[test]
    fn only_groups_are_descended_into() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name);
        let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        for name in [
            format!("{pod}/x.slice"),
            "user.slice/user-7.slice/app.slice".to_owned(),
            "mine/a.slice".to_owned(),
        ] {
            fs::create_dir_all(path(&name)).unwrap();
        }
        let expected = [
            ".",
            "kubepods.slice",
            "kubepods.slice/kubepods-burstable.slice",
            "user.slice",
        ];
        let expected = expected.map(|name| fs::metadata(path(name)).unwrap().ino());
        assert_eq!(groups(top.path()).unwrap(), expected.into());
        assert!(groups(&path("gone")).is_err());
        let client_of = |name: &str| client(top.path(), &path(name));
        let id = |name: &str| Some(short(fs::metadata(path(name)).unwrap().ino()));
        assert_eq!(client_of(&format!("{pod}/x.slice")), id(pod));
        assert_eq!(client_of("kubepods.slice"), id("kubepods.slice"));
        assert_eq!(
            (client_of("."), client_of("gone"), client_of("..")),
            (id("."), None, None)
        );
    }
}
