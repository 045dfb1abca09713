//! Opens files at paths from other users: never waits for the peer of a pipe, and has no effect on
//! devices.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::sys::statfs::{FsType, fstatfs};

/// `NSFS_MAGIC`, `include/uapi/linux/magic.h`
const NSFS: FsType = FsType(0x6e73_6673);
/// `NS_GET_NSTYPE`, `include/uapi/linux/nsfs.h`
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// Opens a regular file to read it.
pub fn regular(path: &Path) -> io::Result<File> {
    // Only the path: opening a device may have an effect, and opening a pipe waits for its writer.
    let place = place(path)?;
    if !place.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    reopen(&place)
}

/// Opens a network namespace by its file in `/proc/PID/ns` or at its mount point.
pub fn network_namespace(path: &Path) -> io::Result<File> {
    let place = place(path)?;
    let none = || io::Error::other("not a network namespace");
    if place.metadata()?.file_type().is_fifo() || fstatfs(&place)?.filesystem_type() != NSFS {
        return Err(none());
    }
    let file = reopen(&place)?;
    // SAFETY: NS_GET_NSTYPE has no argument and touches no memory.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    if kind == libc::CLONE_NEWNET {
        Ok(file)
    } else {
        Err(none())
    }
}

fn place(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)
}

/// Opens exactly the file that was checked, whatever its path leads to by now.
fn reopen(place: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        fs::write(&file, "text").unwrap();
        assert_eq!(io::read_to_string(regular(&file).unwrap()).unwrap(), "text");
        for other in [fifo.as_path(), Path::new("/dev/null"), directory.path()] {
            assert_eq!(
                regular(other).unwrap_err().to_string(),
                "not a regular file"
            );
            assert_eq!(
                network_namespace(other).unwrap_err().to_string(),
                "not a network namespace"
            );
        }
    }

    #[test]
    fn only_network_namespaces_are_opened_as_such() {
        network_namespace(Path::new("/proc/self/ns/net")).unwrap();
        for other in [
            "/proc/self/ns/uts",
            "/proc/self/ns",
            "/etc/hostname",
            "/dev/zero",
        ] {
            let error = network_namespace(Path::new(other)).unwrap_err().to_string();
            assert_eq!(error, "not a network namespace", "{other}");
        }
    }
}
