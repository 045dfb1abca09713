//! Reads the mounts of this thread's mount namespace. Lines are parsed one by one and as bytes,
//! because other programs choose mount points, which may contain any bytes. procfs 0.18 reads the
//! file as UTF-8, so that one mount point with other bytes hides all mounts, and leaves `\040` as it is.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Root of the mount within its filesystem.
    pub root: Vec<u8>,
    /// Mount point.
    pub point: PathBuf,
    /// Type of the filesystem, like `cgroup2`.
    pub kind: Vec<u8>,
}

/// Returns all mounts, in the kernel's order.
pub fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/thread-self/mountinfo")?))
}

/// Returns the first cgroup2 mount point, which is not `/sys/fs/cgroup` in a hybrid hierarchy.
pub fn cgroup2() -> io::Result<Option<PathBuf>> {
    let mut mounts = read()?.into_iter();
    Ok(mounts
        .find(|mount| mount.kind == b"cgroup2")
        .map(|mount| mount.point))
}

/// Whether a filesystem of this kind is mounted at this point.
pub fn is_mounted(kind: &str, point: &Path) -> io::Result<bool> {
    Ok(has(&read()?, kind, point))
}

fn has(mounts: &[Mount], kind: &str, point: &Path) -> bool {
    let is_it = |mount: &Mount| mount.kind == kind.as_bytes() && mount.point == point;
    mounts.iter().any(is_it)
}

/// Parses `/proc/[pid]/mountinfo` (proc_pid_mountinfo(5)).
fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b' ').skip(3);
        let (root, point) = (fields.next()?.to_vec(), unescape(fields.next()?));
        // A `-` ends the optional fields.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?.to_vec();
        Some(Mount { root, point, kind })
    };
    mountinfo
        .split(|&byte| byte == b'\n')
        .filter_map(mount)
        .collect()
}

/// Decodes space, tab, newline and backslash, which are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| str::from_utf8(digits).ok());
        let escaped = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_root_point_and_kind() {
        let mountinfo = b"36 1 0:4 net:[4026532281] /run/netns/cni-1 rw shared:7 - nsfs nsfs rw\n\
            38 1 0:25 / /run rw,nosuid shared:6 - tmpfs tmpfs rw\n\
            39 1 0:4 net:[4026532283] /run/a\\040b\\134c rw - nsfs nsfs rw\n\
            40 1 0:26 /x /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 1 0:27 / /sys/fs/cgroup/unified rw shared:8 master:1 - cgroup2 cgroup2 rw\n";
        let mounts: Vec<_> = parse(mountinfo)
            .into_iter()
            .map(|Mount { root, point, kind }| {
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(root), point.display().to_string(), text(kind))
            })
            .collect();
        let expected = [
            ("net:[4026532281]", "/run/netns/cni-1", "nsfs"),
            ("/", "/run", "tmpfs"),
            ("net:[4026532283]", "/run/a b\\c", "nsfs"),
            ("/x", "/sys/fs/cgroup/cpu", "cgroup"),
            ("/", "/sys/fs/cgroup/unified", "cgroup2"),
        ];
        let expected = expected.map(|(root, point, kind)| (root.into(), point.into(), kind.into()));
        assert_eq!(mounts, expected);
    }

    #[test]
    fn a_filesystem_is_known_by_its_kind_and_its_place() {
        let mounts = parse(
            b"41 1 0:27 / /sys/fs/bpf rw - tmpfs tmpfs rw\n42 1 0:28 / /mnt rw - bpf bpf rw\n",
        );
        let bpffs = |point: &str| has(&mounts, "bpf", Path::new(point));
        assert_eq!((bpffs("/sys/fs/bpf"), bpffs("/mnt")), (false, true));
    }
}
