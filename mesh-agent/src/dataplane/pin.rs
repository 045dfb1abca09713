//! The pin directory, which keeps programs and maps in the kernel while no agent runs: its lock, the
//! links of the hooks, and their removal.
//!
//! ```text
//! <pin-dir>/lock/                       a directory, because a bpffs has no files; locked by the agent
//! <pin-dir>/links/connect4 …            one per hook; a new agent replaces the program of the link
//! <pin-dir>/programs/connect4 …         the program of each link, so that a failed upgrade can put it back
//! <pin-dir>/maps-v1-65536-…/SERVICES …  maps of one layout; see [`generation`](super::generation)
//! ```

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use aya::programs::ProgramError;
use nix::{fcntl::Flock, sys::statfs::statfs};

use super::{
    layout::FILLING,
    link::{Attach, Held, Replaced, chain, info, replace_program},
    sys,
};
use crate::{lock, private_files};

const FLAG: &str = "--pin-dir";
const LINKS: &str = "links";
const PROGRAMS: &str = "programs";
const LOCK: &str = "lock";

/// `BPF_FS_MAGIC`, `include/uapi/linux/magic.h`
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
/// `CGROUP2_SUPER_MAGIC`, `include/uapi/linux/magic.h`
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Why the pins cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a bpffs.
    #[error(
        "{0} is not on a bpf filesystem: mount one with `mount -t bpf bpf /sys/fs/bpf`, or name another directory with --pin-dir"
    )]
    NotBpffs(PathBuf),
    /// Not a cgroup2 directory.
    #[error(
        "{0} is not a cgroup2 directory: name one with --cgroup (`grep cgroup2 /proc/self/mounts` lists them)"
    )]
    NotCgroup2(PathBuf),
    /// The cgroup was removed and created again.
    #[error("cgroup {0} was removed and created again: start the agent again, for the new one")]
    Replaced(PathBuf),
    /// Other users could change what is pinned.
    #[error(transparent)]
    NotPrivate(#[from] private_files::Error),
    /// Another agent holds the lock.
    #[error("another agent uses {0}: stop it, or name another directory with --pin-dir")]
    Locked(PathBuf),
    /// The agent that is to be uninstalled is running.
    #[error("the agent that uses {0} is running: stop it first")]
    Running(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// Attempted action.
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// A program could not be attached.
    #[error("cannot attach {hook} to the cgroup: {reason}")]
    Attach {
        /// Hook name.
        hook: &'static str,
        /// The kernel's words.
        reason: String,
    },
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// The locked pin directory. No other agent uses the directory until this is dropped.
pub struct PinDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PinDir {
    /// Locks the directory; creates it if it does not exist.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        if !has_magic(existing_ancestor(path), BPF_FS_MAGIC) {
            return Err(Error::NotBpffs(path.to_owned()));
        }
        let ancestors = path.ancestors().skip(1).filter(|it| it.exists());
        for ancestor in ancestors.take_while(|it| has_magic(it, BPF_FS_MAGIC)) {
            private_files::check_ancestor(ancestor, FLAG)?;
        }
        private_files::directory(path, FLAG)?;
        private_files::directory(&path.join(LINKS), FLAG)?;
        let open = |lock: &Path| {
            private_files::directory(lock, FLAG)
                .map_err(io::Error::other)
                .and_then(|()| File::open(lock))
        };
        let taken = lock::take(&path.join(LOCK), open).map_err(io_error("lock", path))?;
        let lock = taken.ok_or_else(|| Error::Locked(path.to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches the program of a hook.
    pub(super) fn detach(&self, hook: &str) -> Result<(), Error> {
        let path = self.link(hook);
        fs::remove_file(&path).map_err(io_error("remove", &path))
    }

    /// Whether an earlier agent attached programs.
    pub(super) fn has_links(&self) -> bool {
        has_links(&self.path)
    }

    /// Whether an earlier agent had maps of this layout.
    pub(super) fn has_maps(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Returns the names of the directories with maps of any layout.
    pub(super) fn all_maps(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("maps-")).collect()
    }

    /// Returns the directory for maps of one layout; creates it if it does not exist.
    pub(super) fn maps(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        private_files::directory(&path, FLAG)?;
        Ok(path)
    }

    /// Removes the directory of maps that no program has used yet.
    pub(super) fn remove_filling(&self) -> Result<usize, Error> {
        remove_if_there(&self.path.join(FILLING))
    }

    /// Pins the program of a hook, in place of an earlier one.
    pub(super) fn pin_program(&self, hook: &str, program: BorrowedFd<'_>) -> Result<(), Error> {
        let directory = self.path.join(PROGRAMS);
        private_files::directory(&directory, FLAG)?;
        let path = directory.join(hook);
        if path.exists() {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        sys::obj_pin(program, &path).map_err(io_error("pin", &path))
    }

    /// Returns the id of a hook's link, and the program that it runs now. Without a pin of the
    /// program, opening it needs CAP_SYS_ADMIN.
    pub(super) fn present_link(&self, hook: &str) -> Option<(u32, io::Result<OwnedFd>)> {
        let link = info(&sys::obj_get(&self.link(hook)).ok()?).ok()?;
        let is_its = |program: &OwnedFd| {
            sys::program_id(program.as_fd()).is_ok_and(|id| id == link.program_id)
        };
        let pinned = sys::obj_get(&self.path.join(PROGRAMS).join(hook)).ok();
        let program = pinned
            .filter(is_its)
            .map_or_else(|| sys::program_by_id(link.program_id), Ok);
        Some((link.link_id, program))
    }

    /// Removes the maps of every other layout, which no program uses any more. Returns their
    /// number.
    pub(super) fn remove_other_maps(&self, keep: &str) -> Result<usize, Error> {
        let mut maps = 0;
        for entry in fs::read_dir(&self.path).map_err(io_error("read", &self.path))? {
            let path = entry.map_err(io_error("read", &self.path))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("maps-") && name != keep {
                maps += remove_flat_directory(&path)?;
            }
        }
        Ok(maps)
    }

    /// Attaches a program to a hook: through the pinned link, or a new one.
    pub(super) fn attach(
        &self,
        hook: &'static str,
        program: &mut impl Attach,
        cgroup: &Cgroup,
    ) -> Result<Held, Error> {
        let path = self.link(hook);
        match sys::obj_get(&path) {
            Ok(link) => match replace_program(&link, program, cgroup.id) {
                Ok(Replaced::Yes(attached)) => Ok(Held {
                    hook,
                    link,
                    attached,
                }),
                Ok(Replaced::LinkIsDead) => self.attach_anew(hook, program, cgroup, &path),
                Err(reason) => Err(Error::Attach { hook, reason }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.attach_anew(hook, program, cgroup, &path)
            }
            Err(error) => Err(io_error("open", &path)(error)),
        }
    }

    fn attach_anew(
        &self,
        hook: &'static str,
        program: &mut impl Attach,
        cgroup: &Cgroup,
        path: &Path,
    ) -> Result<Held, Error> {
        let reason = |error: ProgramError| Error::Attach {
            hook,
            reason: chain(&error),
        };
        let new_link = program.attach_link(&cgroup.directory).map_err(reason)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", path)(error));
            }
            _ => {}
        }
        new_link.pin(path).map_err(|error| Error::Attach {
            hook,
            reason: chain(&error),
        })?;
        let link = sys::obj_get(path).map_err(io_error("open", path))?;
        let attached = info(&link).map_err(io_error("inspect", path))?;
        Ok(Held {
            hook,
            link,
            attached,
        })
    }

    /// Returns the path of a hook's link.
    pub(super) fn link(&self, hook: &str) -> PathBuf {
        self.path.join(LINKS).join(hook)
    }

    /// Pins the link of a hook again at its path.
    pub(super) fn pin_again(&self, hook: &str, link: &OwnedFd) -> Result<(), Error> {
        private_files::directory(&self.path.join(LINKS), FLAG)?;
        let path = self.link(hook);
        sys::obj_pin(link.as_fd(), &path).map_err(io_error("pin", &path))
    }
}

/// A cgroup2 directory.
pub struct Cgroup {
    path: PathBuf,
    directory: File,
    /// Inode number, which is the kernel's id of a cgroup.
    id: u64,
}

impl Cgroup {
    /// Opens a cgroup2 directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !is_cgroup2(path) {
            return Err(Error::NotCgroup2(path.to_owned()));
        }
        let directory = File::open(path).map_err(io_error("open", path))?;
        let id = directory
            .metadata()
            .map_err(io_error("inspect", path))?
            .ino();
        Ok(Self {
            path: path.to_owned(),
            directory,
            id,
        })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the directory still exists at its path.
    pub(super) fn exists(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|there| there.ino() == self.id)
    }

    /// Fails if another cgroup is at its path: only an agent that starts attaches programs.
    pub fn expect_not_replaced(&self) -> Result<(), Error> {
        if !self.exists() && is_cgroup2(&self.path) {
            return Err(Error::Replaced(self.path.clone()));
        }
        Ok(())
    }

    /// Returns its inode number.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// What [`uninstall`] removed from the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Programs, each with its link.
    pub programs: usize,
    /// Maps, of all layouts.
    pub maps: usize,
}

/// Whether an agent pinned programs below `path`.
pub fn has_links(path: &Path) -> bool {
    fs::read_dir(path.join(LINKS)).is_ok_and(|mut links| links.next().is_some())
}

/// Removes every link and map of an agent below `path`, and `path` unless it has other content.
/// From then on, connects to services are not translated.
pub fn uninstall(path: &Path) -> Result<Removed, Error> {
    if !path.exists() {
        return Ok(Removed::default());
    }
    let lock = PinDir::lock(path).map_err(|error| match error {
        Error::Locked(path) => Error::Running(path),
        error => error,
    })?;
    let programs = remove_flat_directory(&path.join(LINKS))?;
    remove_if_there(&path.join(PROGRAMS))?;
    let maps = lock.remove_other_maps("")? + lock.remove_filling()?;
    remove_flat_directory(&path.join(LOCK))?;
    match fs::remove_dir(path) {
        // Pins of other programs stay.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        result => result.map_err(io_error("remove", path))?,
    }
    Ok(Removed { programs, maps })
}

fn remove_if_there(path: &Path) -> Result<usize, Error> {
    if path.exists() {
        remove_flat_directory(path)
    } else {
        Ok(0)
    }
}

/// Removes a directory of pins. Returns their number.
fn remove_flat_directory(path: &Path) -> Result<usize, Error> {
    let mut pins = 0;
    for entry in fs::read_dir(path).map_err(io_error("read", path))? {
        let pin = entry.map_err(io_error("read", path))?.path();
        fs::remove_file(&pin).map_err(io_error("remove", &pin))?;
        pins += 1;
    }
    fs::remove_dir(path).map_err(io_error("remove", path))?;
    Ok(pins)
}

fn existing_ancestor(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(path)
}

/// Whether a path is a directory of a cgroup2 filesystem.
pub(super) fn is_cgroup2(path: &Path) -> bool {
    has_magic(path, CGROUP2_MAGIC)
}

fn has_magic(path: &Path, magic: i64) -> bool {
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type().0 == magic)
}
