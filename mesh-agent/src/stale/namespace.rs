//! Finds the network namespaces of this machine that this process can see: mounted ones, those of
//! processes, and those of single threads. The order is by the cost of finding them.
//!
//! Namespaces of pods and containers are mounted in `/run/netns` or `/run/docker/netns`. They are
//! visible if the agent runs in the host's mount namespace or mounts these directories with
//! propagation. The others need the host's `/proc`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

use super::error::Error;
use crate::mounts;

/// Network namespaces whose sockets are searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamespaceScope {
    /// The agent's own namespace.
    Own,
    /// All namespaces that can be found and entered.
    All,
}

impl From<bool> for NamespaceScope {
    /// Converts the setting `enterNamespaces`.
    fn from(enters: bool) -> Self {
        if enters { Self::All } else { Self::Own }
    }
}

/// A network namespace that can be entered; kept alive by its descriptor.
pub(super) struct Namespace {
    path: PathBuf,
    file: File,
}

impl Namespace {
    /// Moves this thread into the namespace.
    pub(super) fn enter(&self) -> Result<(), Error> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|source| match source {
            Errno::EPERM => Error::SysAdminMissing,
            source => Error::Enter {
                path: self.path.display().to_string(),
                source,
            },
        })
    }
}

/// Iterates over every network namespace but this thread's own, each once. Searches lazily.
pub(super) fn others() -> impl Iterator<Item = Result<Namespace, Error>> {
    let own = fs::metadata("/proc/thread-self/ns/net")
        .ok()
        .map(|own| own.ino());
    let mut seen: BTreeSet<u64> = own.into_iter().collect();
    mounted()
        .chain(processes())
        .chain(threads())
        .filter_map(move |path| new_namespace(path, &mut seen))
}

fn new_namespace(path: PathBuf, seen: &mut BTreeSet<u64>) -> Option<Result<Namespace, Error>> {
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.ino(), file)));
    match opened {
        Ok((inode, file)) => seen.insert(inode).then_some(Ok(Namespace { path, file })),
        // The process, or the mount, is gone.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(Err(Error::PtraceMissing))
        }
        Err(source) => Some(Err(Error::Open {
            path: path.display().to_string(),
            source,
        })),
    }
}

/// Returns the mount points of network namespaces. The root of such a mount is `net:[inode]`.
fn mounted() -> impl Iterator<Item = PathBuf> {
    let mounts = mounts::read().unwrap_or_default().into_iter();
    mounts
        .filter(|mount| mount.root.starts_with(b"net:["))
        .map(|mount| mount.point)
}

fn processes() -> impl Iterator<Item = PathBuf> {
    numbers(Path::new("/proc")).map(|process| process.join("ns/net"))
}

/// A thread may leave the namespace of its process.
fn threads() -> impl Iterator<Item = PathBuf> {
    numbers(Path::new("/proc"))
        .flat_map(|process| numbers(&process.join("task")))
        .map(|thread| thread.join("ns/net"))
}

/// Returns the entries whose name is a number; reads the directory lazily.
fn numbers(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let directory = directory.to_owned();
    let is_number = |entry: &fs::DirEntry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .iter()
            .all(u8::is_ascii_digit)
    };
    // Flattens the directory, its entries, and those of them that can be read.
    std::iter::once_with(move || fs::read_dir(directory))
        .flatten()
        .flatten()
        .flatten()
        .filter(is_number)
        .map(|entry| entry.path())
}
