//! Files and directories that only the agent may change. A path that another user could write to or
//! replace is refused.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

/// Mode bits that let other users write.
const WRITABLE: u32 = 0o022;
/// In a sticky directory, users rename and remove only their own files.
const STICKY: u32 = 0o1000;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It belongs to another user.
    #[error(
        "{path} belongs to user {user} instead of root: remove it, or name another directory with {flag}"
    )]
    Owner {
        /// Directory, link or ancestor.
        path: PathBuf,
        /// Its owner.
        user: u32,
        /// Flag of the directory.
        flag: &'static str,
    },
    /// Other users can write to it.
    #[error(
        "users other than root may write to {path} (mode {mode:o}): look at what is in it and `chmod go-w` it, or name \
         another directory with {flag}"
    )]
    Writable {
        /// Directory or ancestor.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What names the directory.
        flag: &'static str,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}: {reason}")]
    Io {
        /// Attempted action.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Error of the kernel.
        reason: io::Error,
    },
}

/// Creates a directory with mode 0700 if it does not exist. An existing one must belong to root and
/// must not be writable for other users; their read access is removed. `flag` is the flag that
/// names the directory.
pub fn directory(path: &Path, flag: &'static str) -> Result<(), Error> {
    let io = |action| {
        move |reason| Error::Io {
            action,
            path: path.to_owned(),
            reason,
        }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io("create"))?;
    check_owner(
        path,
        &fs::symlink_metadata(path).map_err(io("look at"))?,
        flag,
    )?;
    let metadata = fs::metadata(path).map_err(io("look at"))?;
    check_owner(path, &metadata, flag)?;
    let mode = metadata.mode() & 0o7777;
    if mode & WRITABLE != 0 {
        return Err(Error::Writable {
            path: path.to_owned(),
            mode,
            flag,
        });
    }
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(io("close to other users"))?;
    }
    Ok(())
}

/// Checks all existing ancestors of a directory of the agent: those of the path as given, and those
/// of the path that its symbolic links lead to.
pub fn check_ancestors(path: &Path, flag: &'static str) -> Result<(), Error> {
    let io = |reason| Error::Io {
        action: "look at",
        path: path.to_owned(),
        reason,
    };
    let named = std::path::absolute(path).map_err(io)?;
    let existing = named.ancestors().find(|it| it.exists());
    let real = existing.map(fs::canonicalize).transpose().map_err(io)?;
    let ancestors = named.ancestors().skip(1);
    for ancestor in ancestors.chain(real.iter().flat_map(|it| it.ancestors())) {
        if ancestor != named && ancestor.exists() {
            check_ancestor(ancestor, flag)?;
        }
    }
    Ok(())
}

/// Checks an ancestor of a directory of the agent: no other user may be able to replace what is
/// below it.
pub fn check_ancestor(path: &Path, flag: &'static str) -> Result<(), Error> {
    let io = |reason| Error::Io {
        action: "look at",
        path: path.to_owned(),
        reason,
    };
    let metadata = fs::symlink_metadata(path).map_err(io)?;
    check_owner(path, &metadata, flag)?;
    let mode = metadata.mode() & 0o7777;
    match metadata.is_dir() && mode & WRITABLE != 0 && mode & STICKY == 0 {
        true => Err(Error::Writable {
            path: path.to_owned(),
            mode,
            flag,
        }),
        false => Ok(()),
    }
}

fn check_owner(path: &Path, metadata: &Metadata, flag: &'static str) -> Result<(), Error> {
    let user = metadata.uid();
    match user == 0 || user == geteuid().as_raw() {
        true => Ok(()),
        false => Err(Error::Owner {
            path: path.to_owned(),
            user,
            flag,
        }),
    }
}

/// Replaces a file through a temporary one, so that neither a reader nor a crash, including one of
/// the machine, leaves half of it. Only its owner can read it. Creates the directory if it does not
/// exist.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    exchange(path, text, File::sync_all)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Replaces a file like [`replace`], but a machine that loses power may lose the file until
/// [`sync`] has returned.
pub fn replace_unsynced(path: &Path, text: &[u8]) -> io::Result<()> {
    exchange(path, text, |_| Ok(()))
}

/// Writes files and their names to the disk. Skips files that no longer exist.
pub fn sync<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> io::Result<()> {
    let mut directories = BTreeSet::new();
    for path in paths {
        match File::open(&path) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        directories.extend(path.as_ref().parent().map(Path::to_owned));
    }
    directories
        .iter()
        .try_for_each(|directory| sync_directory(directory))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn exchange(
    path: &Path,
    text: &[u8],
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let directory = path.parent().expect("the path was joined from a directory");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let temporary = path.with_extension("json.new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = file
        .write_all(text)
        .and_then(|()| sync(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // On a full disk, the temporary file would take the missing space.
        _ = fs::remove_file(&temporary);
    }
    written
}

/// Returns whether a file was removed; a missing one is no error.
pub fn removed(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, lchown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn directory_is_created_and_closed_to_other_users() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        directory(&path, "--pin-dir").unwrap();
        assert_eq!(mode(&path), 0o700);
        set_mode(&path, 0o755);
        directory(&path, "--pin-dir").unwrap();
        assert_eq!(mode(&path), 0o700, "as an earlier agent left it");
    }

    #[test]
    fn directory_below_one_of_another_user_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let theirs = parent.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        let link = parent.path().join("link");
        symlink(&theirs, &link).unwrap();
        let paths = [theirs.join("state"), link.join("deep/state")];
        for path in &paths {
            check_ancestors(path, "--state-dir").unwrap();
        }
        chown(&theirs, Some(65534), None).unwrap();
        let expected = format!(
            "{} belongs to user 65534 instead of root: remove it, or name another directory with --state-dir",
            theirs.display()
        );
        for path in &paths {
            let error = check_ancestors(path, "--state-dir").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        check_ancestors(&theirs, "--state-dir").unwrap();
    }

    #[test]
    fn directory_that_other_users_can_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("open");
        fs::create_dir(&path).unwrap();
        set_mode(&path, 0o1777);
        let expected = format!(
            "users other than root may write to {} (mode 1777): look at what is in it and `chmod go-w` it, or name another \
             directory with --state-dir",
            path.display()
        );
        assert_eq!(
            directory(&path, "--state-dir").unwrap_err().to_string(),
            expected
        );
        check_ancestor(&path, "--state-dir").unwrap();
        set_mode(&path, 0o777);
        assert!(matches!(
            check_ancestor(&path, "--state-dir"),
            Err(Error::Writable { mode: 0o777, .. })
        ));
    }

    #[test]
    fn directory_or_link_of_another_user_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let [path, link] = ["theirs", "link"].map(|name| parent.path().join(name));
        fs::create_dir(&path).unwrap();
        symlink(&path, &link).unwrap();
        directory(&link, "--pin-dir").unwrap();
        lchown(&link, Some(7), None).unwrap();
        let is_theirs = |path| {
            matches!(
                directory(path, "--pin-dir"),
                Err(Error::Owner { user: 7, .. })
            )
        };
        assert!(is_theirs(&link) && directory(&path, "--pin-dir").is_ok());
        chown(&path, Some(7), None).unwrap();
        assert!(is_theirs(&path) && check_ancestor(&path, "--pin-dir").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state/file.json");
        for replace in [replace, replace_unsynced] {
            replace(&path, b"first").unwrap();
            replace(&path, b"second").unwrap();
            sync([&path, &parent.path().join("state/gone.json")]).unwrap();
            assert_eq!(
                (fs::read(&path).unwrap(), mode(&path)),
                (b"second".to_vec(), 0o600)
            );
            let failed = exchange(&path, b"third", |_| Err(io::ErrorKind::StorageFull.into()));
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
            let names: Vec<_> = fs::read_dir(parent.path().join("state"))
                .unwrap()
                .map(|it| it.unwrap().file_name())
                .collect();
            assert_eq!(
                (fs::read(&path).unwrap(), names),
                (b"second".to_vec(), vec!["file.json".into()])
            );
        }
    }
}
