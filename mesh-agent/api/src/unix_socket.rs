//! Creates the socket file, with access for its owner only, and replaces one that a dead agent left.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket};

/// Most connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1024;

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory of the socket cannot be created.
    #[error("socket {}: cannot create its directory: {reason}", path.display())]
    Directory {
        /// Socket.
        path: PathBuf,
        /// The error of the kernel.
        reason: io::Error,
    },
    /// A file at the path is no socket; it is kept.
    #[error("socket {}: a file that is not a socket is in the way", path.display())]
    NotASocket {
        /// Socket.
        path: PathBuf,
    },
    /// A process answers on the socket.
    #[error("socket {}: another process answers on it: stop it, or name another socket with --socket", path.display())]
    InUse {
        /// Socket.
        path: PathBuf,
    },
    /// It cannot be given to the group.
    #[error(
        "socket {}: cannot give it to group {group}: {reason}; give the agent CAP_CHOWN for its start, or add it to that group \
         (SupplementaryGroups= of a systemd unit, supplementalGroups of a pod)",
        path.display()
    )]
    Group {
        /// Socket, or its directory.
        path: PathBuf,
        /// Number of the group.
        group: u32,
        /// The error of the kernel.
        reason: io::Error,
    },
    /// Another system call failed.
    #[error("socket {}: cannot {action}: {reason}", path.display())]
    System {
        /// Socket.
        path: PathBuf,
        /// What the call does.
        action: &'static str,
        /// The error of the kernel.
        reason: io::Error,
    },
}

/// Opens the socket at `path` for its owner only (mode 0600), or also for a group (mode 0660); replaces
/// one that a dead agent left.
///
/// Must be called within a tokio runtime.
pub fn bind(path: &Path, group: Option<u32>) -> Result<UnixListener, BindError> {
    match group {
        None => bind_with(path, Mode::S_IRUSR | Mode::S_IWUSR, None),
        group => bind_with(path, FOR_GROUP, group),
    }
}

/// Like [`bind`], for its owner and the group of this process (mode 0660).
pub fn bind_for_group(path: &Path) -> Result<UnixListener, BindError> {
    bind_with(path, FOR_GROUP, None)
}

const FOR_GROUP: Mode = Mode::S_IRUSR
    .union(Mode::S_IWUSR)
    .union(Mode::S_IRGRP)
    .union(Mode::S_IWGRP);

fn bind_with(path: &Path, mode: Mode, group: Option<u32>) -> Result<UnixListener, BindError> {
    create_directory(path, group)?;
    remove_abandoned(path)?;
    let system = |action| {
        move |reason| BindError::System {
            path: path.to_owned(),
            action,
            reason,
        }
    };
    let socket = UnixSocket::new_stream().map_err(system("create it"))?;
    // unix_bind_bsd() gives the file the mode of the unbound socket, so no other user can connect
    // even for a moment.
    // https://github.com/torvalds/linux/blob/v6.1/net/unix/af_unix.c
    fchmod(&socket, mode)
        .map_err(io::Error::from)
        .map_err(system("set its mode"))?;
    socket.bind(path).map_err(system("bind it"))?;
    give(path, group)?;
    // The umask cleared the group's bits. No client can connect before the socket listens.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.bits()))
        .map_err(system("set its mode"))?;
    socket.listen(BACKLOG).map_err(system("listen on it"))
}

/// Fails when an agent answers at `path`. Changes nothing.
pub fn check_unused(path: &Path) -> Result<(), BindError> {
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        Err(_) => Ok(()),
    }
}

/// Removes the socket at `path` unless an agent answers on it. A socket that stays shows clients
/// that an agent has run.
pub fn unbind(path: &Path) -> Result<(), BindError> {
    remove_abandoned(path)
}

/// Creates the directory of the socket if there is none. The group can reach the socket in it.
fn create_directory(path: &Path, group: Option<u32>) -> Result<(), BindError> {
    let failed = |reason| BindError::Directory {
        path: path.to_owned(),
        reason,
    };
    let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) else {
        return Ok(());
    };
    fs::create_dir_all(directory).map_err(failed)?;
    if group.is_some() {
        give(directory, group)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o750)).map_err(failed)?;
    }
    Ok(())
}

/// Gives a file to a group.
fn give(path: &Path, group: Option<u32>) -> Result<(), BindError> {
    let Some(group) = group else {
        return Ok(());
    };
    chown(path, None, Some(group)).map_err(|reason| BindError::Group {
        path: path.to_owned(),
        group,
        reason,
    })
}

fn remove_abandoned(path: &Path) -> Result<(), BindError> {
    let system = |action| {
        move |reason| BindError::System {
            path: path.to_owned(),
            action,
            reason,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system("look at it")(error)),
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket {
            path: path.to_owned(),
        }),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        Ok(_) => fs::remove_file(path).map_err(system("remove the one that a dead agent left")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_open_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/agent.sock");
        let _listener = bind(&path, None).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        let path = directory.path().join("metrics.sock");
        let mask = nix::sys::stat::umask(Mode::S_IRWXG | Mode::S_IRWXO);
        let _listener = bind_for_group(&path).unwrap();
        nix::sys::stat::umask(mask);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o660
        );
    }

    #[tokio::test]
    async fn a_group_may_open_its_socket_in_a_directory_that_it_can_reach() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/agent.sock");
        let _listener = bind(&path, Some(4321)).unwrap();
        let seen = [&path, path.parent().unwrap()].map(|path| {
            let found = fs::metadata(path).unwrap();
            (found.gid(), found.permissions().mode() & 0o7777)
        });
        assert_eq!(seen, [(4321, 0o660), (4321, 0o750)]);
    }

    #[tokio::test]
    async fn socket_of_a_dead_agent_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        drop(bind(&path, None).unwrap());
        assert!(path.exists());
        let _listener = bind(&path, None).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn running_agent_keeps_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let _listener = bind(&path, None).unwrap();
        let expected = format!(
            "socket {}: another process answers on it: stop it, or name another socket with --socket",
            path.display()
        );
        assert_eq!(bind(&path, None).unwrap_err().to_string(), expected);
    }

    #[tokio::test]
    async fn file_that_is_not_a_socket_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        fs::write(&path, "precious").unwrap();
        let expected = format!(
            "socket {}: a file that is not a socket is in the way",
            path.display()
        );
        assert_eq!(bind(&path, None).unwrap_err().to_string(), expected);
        let below = path.join("agent.sock");
        assert!(matches!(
            bind(&below, None),
            Err(BindError::Directory { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
