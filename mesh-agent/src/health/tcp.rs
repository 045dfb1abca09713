//! Connections to endpoints, and the probe that asks for nothing else.

use std::{
    io,
    net::{SocketAddr, TcpStream as Socket},
    os::{fd::AsRawFd as _, linux::net::TcpStreamExt as _},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect as connect_socket, setsockopt, socket,
        sockopt::Linger,
    },
};
use tokio::net::TcpStream;

use super::failure::{Failure, Outcome};

/// A connection that is reset when it is dropped. Whoever closes a connection first keeps it in `TIME_WAIT` for a
/// minute; of 2,000 endpoints asked every 5 s, that would be 24,000 sockets. Nobody waits for data of a probe, so
/// nothing is lost. The probes of Kubernetes do the same, with a linger time of 1 s.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Whether the endpoint accepts a connection: SYN, SYN-ACK, and a reset instead of the ACK. The endpoint's program is not
/// woken, and neither side makes a socket for it; HAProxy checks in the same way.
pub(super) async fn probe(address: SocketAddr) -> Outcome {
    let socket = half_open(address)?;
    let address = SockaddrStorage::from(address);
    match connect_socket(socket.as_raw_fd(), &address) {
        Err(Errno::EINPROGRESS) => {}
        result => return result.map_err(|error| io::Error::from(error).into()),
    }
    // An endpoint on this node has answered by now.
    match connect_socket(socket.as_raw_fd(), &address) {
        Err(Errno::EALREADY) => answer(socket).await,
        Ok(()) | Err(Errno::EISCONN) => Ok(()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// A socket that leaves the last packet of a handshake for later, and resets the connection when it is closed before that.
fn half_open(address: SocketAddr) -> io::Result<Socket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    let socket = Socket::from(socket);
    socket.set_quickack(false)?;
    Ok(socket)
}

async fn answer(socket: Socket) -> Outcome {
    let stream = TcpStream::from_std(socket)?;
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), |error| Err(error.into()))
}
