//! Opens connections to endpoints, and probes by TCP handshake.

use std::{
    io,
    net::{SocketAddr, TcpStream as Socket},
    os::{fd::AsRawFd as _, linux::net::TcpStreamExt as _},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect as connect_socket, setsockopt,
        socket, sockopt::Linger,
    },
};
use tokio::net::TcpStream;

use super::failure::{Failure, ProbeResult};

/// Opens a connection that is reset when dropped. The side that closes first keeps a connection in
/// `TIME_WAIT` for a minute; with 2,000 endpoints probed every 5 s, that would be 24,000 sockets.
/// No data of a probe is pending, so nothing is lost. The probes of Kubernetes do the same, with a
/// linger time of 1 s.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Probes by handshake: SYN, SYN-ACK, and a reset instead of the ACK. The endpoint's program is not
/// woken and gets no socket; HAProxy checks in the same way.
pub(super) async fn probe(address: SocketAddr) -> ProbeResult {
    let socket = half_open(address)?;
    let address = SockaddrStorage::from(address);
    match connect_socket(socket.as_raw_fd(), &address) {
        Err(Errno::EINPROGRESS) => {}
        result => return result.map_err(|error| io::Error::from(error).into()),
    }
    // An endpoint on this node has already answered.
    match connect_socket(socket.as_raw_fd(), &address) {
        Err(Errno::EALREADY) => answer(socket).await,
        Ok(()) | Err(Errno::EISCONN) => Ok(()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Creates a socket that delays the last packet of the handshake, and resets the connection if it
/// is closed before that.
fn half_open(address: SocketAddr) -> io::Result<Socket> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let descriptor = socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(
        &descriptor,
        Linger,
        &libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )?;
    let socket = Socket::from(descriptor);
    socket.set_quickack(false)?;
    Ok(socket)
}

async fn answer(socket: Socket) -> ProbeResult {
    let stream = TcpStream::from_std(socket)?;
    stream.writable().await?;
    stream
        .take_error()?
        .map_or(Ok(()), |error| Err(error.into()))
}
