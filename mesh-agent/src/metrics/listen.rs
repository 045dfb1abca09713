//! Listeners for metrics: an address and a port, or a socket file.

use std::{fmt, net::SocketAddr, path::PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::api::server::{self, BindError as SocketError};

/// Value of `--metrics`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket file, for its owner and group.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The address for metrics cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Error of an address and a port.
    #[error("metrics address {address}: cannot listen: {reason}")]
    Tcp {
        /// Requested address.
        address: SocketAddr,
        /// Reason of the kernel.
        reason: std::io::Error,
    },
    /// Error of a socket file.
    #[error("metrics {0}")]
    Unix(#[from] SocketError),
}

/// An open address.
#[derive(Debug)]
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A socket file.
    Unix(UnixListener),
}

/// Connections that the kernel holds until they are accepted. With fewer, one process that opens
/// connections as fast as it can keeps health checks waiting for the repetition of their SYN.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Opens `address` for scrapes.
pub async fn bind(address: &Address) -> Result<Listener, BindError> {
    match address {
        Address::Tcp(address) => {
            listen(*address)
                .map(Listener::Tcp)
                .map_err(|reason| BindError::Tcp {
                    address: *address,
                    reason,
                })
        }
        Address::Unix(path) => Ok(Listener::Unix(server::bind_for_group(path)?)),
    }
}
