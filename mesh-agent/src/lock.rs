//! Locks of files that only the agent's user can open, and so lock.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// Locks the file that `open` opens at `path`, without waiting. Returns nothing while another
/// process has the lock. The kernel releases it when the process ends, however it ends.
pub fn take(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<Option<Flock<File>>> {
    loop {
        let lock = match Flock::lock(open(path)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        };
        // The agent that had the lock may have removed the file between the two calls; another
        // agent would lock a new one.
        if is_at(&lock, path)? {
            return Ok(Some(lock));
        }
    }
}

/// Whether an open file is still the one at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
    }

    #[test]
    fn only_one_has_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = take(&path, create).unwrap();
        assert!(first.is_some() && take(&path, create).unwrap().is_none());
        drop(first);
        assert!(take(&path, create).unwrap().is_some());
    }

    #[test]
    fn lock_on_a_file_that_was_removed_is_not_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = std::cell::Cell::new(true);
        let removed_meanwhile = |path: &Path| {
            let file = create(path)?;
            if first.replace(false) {
                fs::remove_file(path)?;
            }
            Ok(file)
        };
        let _lock = take(&path, removed_meanwhile).unwrap().unwrap();
        assert!(path.exists() && take(&path, create).unwrap().is_none());
    }
}
