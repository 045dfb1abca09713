//! Removes the files that an agent keeps in its state directory.

use std::{fs, io, path::Path};

use super::{
    auto_addresses, overrides,
    state_lock::{self, StateLock},
};
use mesh_files::last_good;

use crate::private_files;

/// Removes the files of the agent and, if nothing else is in it, the directory. Returns the names
/// of the files that existed.
pub(super) fn remove(state_dir: &Path, _lock: Option<&StateLock>) -> io::Result<Vec<&'static str>> {
    let file = |name| private_files::removed(fs::remove_file(state_dir.join(name)));
    let mut names = Vec::new();
    for (name, existed) in [
        (auto_addresses::FILE, file(auto_addresses::FILE)?),
        (overrides::FILE, file(overrides::FILE)?),
        (last_good::DIRECTORY, last_good::forget(state_dir)?),
        (state_lock::FILE, file(state_lock::FILE)?),
    ] {
        names.extend(existed.then_some(name));
    }
    match fs::remove_dir(state_dir) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_agent_are_removed_with_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        for name in [auto_addresses::FILE, overrides::FILE] {
            fs::write(directory.path().join(name), "{}").unwrap();
        }
        let removed = remove(directory.path(), None).unwrap();
        assert_eq!(removed, [auto_addresses::FILE, overrides::FILE]);
        assert!(!directory.path().exists());
        assert!(remove(directory.path(), None).unwrap().is_empty());
    }

    #[test]
    fn file_of_another_program_stays_with_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("notes.txt");
        fs::write(&other, "").unwrap();
        assert!(remove(directory.path(), None).unwrap().is_empty());
        assert!(other.exists());
    }
}
