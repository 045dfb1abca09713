//! Reads the present files of the directories.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mesh_core::source::{
    file::Identity,
    scan::{Found, Scan, is_ours},
};

use crate::{safe_open, timed_fs};

/// Metadata that shows that a file changed, without reading it. Programs cannot set the change
/// time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    changed: (i64, i64),
    size: u64,
    identity: (u64, u64),
}

impl Stamp {
    /// Stamp of a file that times out. It differs from the stamp of any file that answers.
    const HANGS: Self = Self {
        changed: (i64::MIN, 0),
        size: 0,
        identity: (0, 0),
    };

    /// Returns device and inode.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

/// State of the directories, to compare with another one; `None` for a path that could not be read.
pub type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// Most restarts of a scan because files changed meanwhile. After that the scan returns what it
/// read, because the changes cause another scan anyway.
const ATTEMPTS: usize = 3;

/// Reads all files. Files that are replaced together are read together, even if that happens during
/// the scan.
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

/// Returns the stamps of all files without reading them.
pub fn stamps(directories: &[PathBuf]) -> Stamps {
    let mut stamps = Stamps::new();
    for directory in directories {
        let with_itself = |directory: &Path| {
            let files = list(directory).unwrap_or_default();
            Ok([directory.to_owned()].into_iter().chain(files).collect())
        };
        match timed_fs::listed(directory, with_itself, |path| Ok(stamp(path))) {
            Ok(found) => {
                stamps.extend(
                    found
                        .into_iter()
                        .map(|(path, stamp)| (path, stamp.unwrap_or(Some(Stamp::HANGS)))),
                );
            }
            Err(_) => _ = stamps.insert(directory.clone(), Some(Stamp::HANGS)),
        }
    }
    stamps
}

/// Returns the stamp of a path after following links; `None` if nothing is there.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let changed = (found.ctime(), found.ctime_nsec());
    Some(Stamp {
        changed,
        size: found.size(),
        identity: (found.dev(), found.ino()),
    })
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

/// Returns the service files of a directory, in order. May block on the filesystem.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let all = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = all.into_iter().filter(|path| is_ours(path)).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// Largest file of a services directory, bytes. 262,144 endpoints take about 25 MiB.
const LARGEST: u64 = 256 << 20;

/// Reads a path from the command line; `-` is standard input. Unlike a file of a directory it may
/// be a pipe.
pub fn read_given(path: &Path) -> io::Result<Found> {
    let mut bytes = Vec::new();
    match path.to_str() {
        Some("-") => io::stdin().read_to_end(&mut bytes)?,
        _ => fs::File::open(path)?.read_to_end(&mut bytes)?,
    };
    Ok(Found {
        bytes,
        identity: Identity {
            device: 0,
            inode: 0,
        },
    })
}

fn read(path: &Path) -> io::Result<Found> {
    let file = safe_open::regular(path)?;
    let found = file.metadata()?;
    if found.len() > LARGEST {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        return Err(io::Error::other(format!(
            "it has {} MiB, and at most {} are read: split it into several files",
            mib(found.len()),
            mib(LARGEST)
        )));
    }
    // A buffer that grows by doubling would take twice the memory.
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
    // It may grow meanwhile.
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Found {
        bytes,
        identity: Identity {
            device: found.dev(),
            inode: found.ino(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sparse.yaml");
        let file = fs::File::create(&path).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        let error = read(&path).map(|_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has 257 MiB, and at most 256 are read: split it into several files"
        );
    }
}
