//! The lock on the state directory: two agents would overwrite each other's addresses and overrides.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::Flock;

use crate::{lock, private_files};

/// The setting that names the directory.
const FLAG: &str = "--state-dir";
/// The lock file, which only its owner can open.
pub(super) const FILE: &str = "lock";

/// The state directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another agent has the lock.
    #[error(
        "another agent keeps its state in {}: stop it, or name another directory with --state-dir, or start with \
         --allow-second-agent",
        path.display()
    )]
    Taken {
        /// State directory.
        path: PathBuf,
    },
    /// The agent of the state to remove is running.
    #[error(
        "the agent that keeps its state in {} is running: stop it first, or name another directory with --state-dir if it is \
         another agent's",
        path.display()
    )]
    Running {
        /// State directory.
        path: PathBuf,
    },
    /// Other users could change its files.
    #[error(transparent)]
    NotPrivate(private_files::Error),
    /// The directory or the file cannot be written.
    #[error("cannot lock state directory {path}, so another agent may use it too: {reason}")]
    Io {
        /// State directory.
        path: PathBuf,
        /// The error of the kernel.
        reason: io::Error,
    },
}

/// Keeps other agents off the directory until it is dropped.
#[derive(Debug)]
pub struct StateLock {
    directory: PathBuf,
    /// Whether the directory was created for the lock.
    made: bool,
    _lock: Flock<File>,
}

impl StateLock {
    /// Creates the directory if it is missing, and locks it.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let made = !directory.exists();
        let io = |reason| Error::Io {
            path: directory.to_owned(),
            reason,
        };
        private_files::check_ancestors(directory, FLAG)
            .and_then(|()| private_files::directory(directory, FLAG))
            .map_err(|error| match error {
                private_files::Error::Io { reason, .. } => io(reason),
                error => Error::NotPrivate(error),
            })?;
        let lock = lock::take(&directory.join(FILE), open).map_err(io)?;
        let taken = || Error::Taken {
            path: directory.to_owned(),
        };
        Ok(Self {
            directory: directory.to_owned(),
            made,
            _lock: lock.ok_or_else(taken)?,
        })
    }

    /// Locks the directory if an agent has ever used it.
    pub fn of_existing(directory: &Path) -> Result<Option<Self>, Error> {
        match Self::exists(directory) {
            // Files of an agent are removed there all the same.
            false => private_files::check_ancestors(directory, FLAG)
                .map(|()| None)
                .map_err(Error::NotPrivate),
            true => Self::take(directory)
                .map(Some)
                .map_err(|error| match error {
                    Error::Taken { path } => Error::Running { path },
                    error => error,
                }),
        }
    }

    fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Removes the lock file and the directory if this lock created it, for a start that failed.
    pub fn undo(self) {
        if self.made {
            // On failure an empty directory stays.
            _ = fs::remove_file(self.directory.join(FILE))
                .and_then(|()| fs::remove_dir(&self.directory));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    match options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
    {
        // An existing file can be locked on a read-only filesystem.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            options.write(false).create(false).open(path)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn state_directory_is_locked_by_one_agent_until_it_ends() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        let first = StateLock::take(&directory).unwrap();
        let expected = format!(
            "another agent keeps its state in {}: stop it, or name another directory with --state-dir, or start with \
             --allow-second-agent",
            directory.display()
        );
        assert_eq!(
            StateLock::take(&directory).unwrap_err().to_string(),
            expected
        );
        drop(first);
        StateLock::take(&directory).unwrap();
    }

    #[test]
    fn lock_is_a_file_that_others_cannot_open() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        let lock = StateLock::take(&directory).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&directory), mode(&directory.join(FILE))),
            (0o700, 0o600)
        );
        lock.undo();
        assert!(!directory.exists());
    }

    #[test]
    fn directory_that_cannot_be_created_has_its_own_error() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            StateLock::take(&file.join("state")),
            Err(Error::Io { .. })
        ));
        assert!(StateLock::of_existing(&file).unwrap().is_none());
    }
}
