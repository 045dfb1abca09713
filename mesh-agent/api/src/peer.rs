//! The process at the other end of a connection, as the kernel knows it (unix(7)).

use std::{fs, io, os::fd::AsRawFd};

use axum::serve::Listener;
use tokio::net::{UnixListener, UnixStream};

/// A process that connected to the control socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    pub(crate) user: u32,
    /// Its process id, if the process is in this pid namespace or in one below.
    pub(crate) process: Option<i32>,
    /// Its group and supplementary groups.
    pub(crate) groups: Vec<u32>,
}

impl Peer {
    fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let mut groups = supplementary_groups(stream)?;
        groups.push(credentials.gid());
        Ok(Self {
            user: credentials.uid(),
            process: credentials.pid().filter(|&process| process > 0),
            groups,
        })
    }

    /// Returns the name of its program now, which it can choose itself; empty when it has ended.
    pub(crate) fn command(&self) -> String {
        let name = self
            .process
            .map(|process| fs::read_to_string(format!("/proc/{process}/comm")));
        name.and_then(Result::ok)
            .map(|name| name.trim_end().to_owned())
            .unwrap_or_default()
    }
}

/// Most groups of a process that are looked at. The kernel allows 65,536.
const MOST_GROUPS: usize = 1024;

fn supplementary_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; MOST_GROUPS];
    let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
        .expect("a small number of groups");
    // SAFETY: the kernel writes at most `length` bytes to `groups`.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(length as usize / size_of::<u32>());
    Ok(groups)
}

/// Accepts connections together with their peers.
pub(crate) struct PeerListener(pub(crate) UnixListener);

impl Listener for PeerListener {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, _) = Listener::accept(&mut self.0).await;
            match Peer::of(&stream) {
                Ok(peer) => return (stream, peer),
                Err(error) => tracing::warn!("cannot tell the user of a connection: {error}"),
            }
        }
    }

    /// No caller asks for it.
    fn local_addr(&self) -> io::Result<Self::Addr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn peer_is_the_process_that_connected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let mut listener = PeerListener(UnixListener::bind(&path).unwrap());
        let _client = UnixStream::connect(&path).await.unwrap();
        let (_stream, peer) = listener.accept().await;
        let Peer {
            user,
            process,
            groups,
        } = &peer;
        let own = std::process::id().try_into().unwrap();
        assert_eq!(
            (*user, *process),
            (nix::unistd::geteuid().as_raw(), Some(own))
        );
        assert!(groups.contains(&nix::unistd::getegid().as_raw()));
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(peer.command(), comm.trim_end());
    }
}
