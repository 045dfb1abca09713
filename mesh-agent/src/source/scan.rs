//! What is on disk right now.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{file::Identity, timed_fs};
use crate::open;

/// A file as it was found.
pub struct Found {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Which file the path led to.
    pub identity: Identity,
}

/// Everything in the directories, as of one moment.
#[derive(Default)]
pub struct Scan {
    /// Files by path as the source was told of it, and why one could not be read.
    pub files: BTreeMap<PathBuf, io::Result<Found>>,
    /// Directories that could not be read. Which files they have is not known.
    pub unreadable: BTreeMap<PathBuf, io::Error>,
}

/// What tells that a file is another one than before without reading it. The change time cannot be set by programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    changed: (i64, i64),
    size: u64,
    identity: (u64, u64),
}

impl Stamp {
    /// Of a file that gives no answer: another one than that of the file when it does, or of none.
    const HANGS: Self = Self { changed: (i64::MIN, 0), size: 0, identity: (0, 0) };

    /// Device and inode.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

/// What tells one state of the directories from another; `None` for what could not be read.
pub type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// How often a scan starts over because files changed under it. Then it settles for what it saw: the changes that
/// disturbed it bring about another scan.
const ATTEMPTS: usize = 3;

/// Reads all files. Files that are replaced together are seen together, even when that happens meanwhile.
pub fn scan(directories: &[PathBuf]) -> Scan {
    let mut before = stamps(directories);
    for _ in 1..ATTEMPTS {
        let scan = read_all(directories);
        let after = stamps(directories);
        if before == after {
            return scan;
        }
        before = after;
    }
    read_all(directories)
}

/// Looks at all files without reading them.
pub fn stamps(directories: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::new();
    for directory in directories {
        let with_itself = |directory: &Path| {
            let files = list(directory).unwrap_or_default();
            Ok([directory.to_owned()].into_iter().chain(files).collect())
        };
        match timed_fs::listed(directory, with_itself, |path| Ok(stamp(path))) {
            Ok(found) => {
                stamps.extend(found.into_iter().map(|(path, stamp)| (path, stamp.unwrap_or(Some(Stamp::HANGS)))));
            }
            Err(_) => _ = stamps.insert(directory.clone(), Some(Stamp::HANGS)),
        }
    }
    stamps
}

/// What is at a path, at the end of all links; `None` when there is nothing.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let changed = (found.ctime(), found.ctime_nsec());
    Some(Stamp { changed, size: found.size(), identity: (found.dev(), found.ino()) })
}

fn read_all(directories: &[PathBuf]) -> Scan {
    let mut scan = Scan::default();
    for directory in directories {
        match timed_fs::listed(directory, list, read) {
            Ok(files) => scan.files.extend(files),
            Err(error) => drop(scan.unreadable.insert(directory.clone(), error)),
        }
    }
    scan
}

/// The files of a directory that are ours to read, in order. May wait for its filesystem.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(|path| is_ours(path)).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// Whether a file by this name holds services. Kubernetes hides the real files of a volume behind names with a dot.
pub fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    !name.starts_with(b".") && matches!(suffix, Some("yaml" | "yml" | "json"))
}

/// What a path that was named itself leads to; `-` is standard input. Unlike a file of a directory it may be a pipe.
pub fn read_given(path: &Path) -> io::Result<Found> {
    let mut bytes = Vec::new();
    match path.to_str() {
        Some("-") => io::stdin().read_to_end(&mut bytes)?,
        _ => fs::File::open(path)?.read_to_end(&mut bytes)?,
    };
    Ok(Found { bytes, identity: Identity { device: 0, inode: 0 } })
}

fn read(path: &Path) -> io::Result<Found> {
    let mut file = open::regular(path)?;
    let found = file.metadata()?;
    // One that grows by doubling would take twice the room.
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
    file.read_to_end(&mut bytes)?;
    Ok(Found { bytes, identity: Identity { device: found.dev(), inode: found.ino() } })
}
