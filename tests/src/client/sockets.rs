//! The sockets of a client process, and the system calls of each act.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::size_of,
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use io_uring::{IoUring, opcode, types};
use nix::{
    cmsg_space,
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockaddrLike, SockaddrStorage,
            bind, connect, getpeername, getsockname, getsockopt, recvmsg, send, sendmsg, sendto,
            setsockopt, shutdown, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};
use serde::Serialize;

use super::{
    act::{Act, Done, Heard, SocketId, Transport},
    protocol::say,
};
use crate::wait;

const QUESTION: &[u8] = b"what is your name";

/// How long an answer may take.
const ANSWER: i64 = 1_000;
const MEET: Duration = Duration::from_secs(5);

/// Sockets by number; a closed socket leaves a gap.
#[derive(Default)]
pub struct Sockets(Vec<Option<OwnedFd>>);

impl Sockets {
    /// Opens and binds a socket.
    pub fn open(&mut self, transport: Transport, at: SocketAddr) -> Done<SocketId> {
        named(open(transport, at)).map(|socket| self.keep(socket))
    }

    /// Receives a socket that another process passes.
    pub fn take(&mut self, path: &Path) -> Done<SocketId> {
        take(path)
            .map_err(|error| error.to_string())
            .map(|socket| self.keep(socket))
    }

    fn keep(&mut self, socket: OwnedFd) -> SocketId {
        self.0.push(Some(socket));
        SocketId(self.0.len() - 1)
    }

    /// Runs an act and writes its result.
    pub fn act(&mut self, SocketId(number): SocketId, act: &Act) -> io::Result<()> {
        let slot = self.0.get_mut(number).ok_or(io::ErrorKind::InvalidInput)?;
        let socket = slot.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        match act {
            Act::Connect(to) => tell(connect(socket.as_raw_fd(), &SockaddrStorage::from(*to))),
            Act::ConnectByRing(to) => tell(connect_by_ring(socket, *to)),
            Act::ConnectNonBlocking(to) => tell(connect_non_blocking(socket, *to)),
            Act::StartConnect(to) => tell(start_connect(socket, *to)),
            Act::ConnectFastOpen(to) => tell(connect_fast_open(socket, *to)),
            Act::SendFastOpen(to) => tell(send_to(
                socket,
                *to,
                MsgFlags::from_bits_retain(libc::MSG_FASTOPEN),
            )),
            Act::Disconnect => tell(disconnect(socket)),
            Act::Peer => {
                tell(getpeername::<SockaddrStorage>(socket.as_raw_fd()).map(|peer| address(&peer)))
            }
            Act::Local => tell(
                getsockname::<SockaddrStorage>(socket.as_raw_fd()).map(|local| address(&local)),
            ),
            Act::Send => tell(send(socket.as_raw_fd(), QUESTION, MsgFlags::MSG_NOSIGNAL).map(drop)),
            Act::SendTo(to) => tell(send_to(socket, *to, MsgFlags::empty())),
            Act::SendMany(to) => tell(send_many(socket, to)),
            Act::Receive => tell(receive(socket, MsgFlags::empty())),
            Act::ReceiveNow => tell(receive(socket, MsgFlags::MSG_DONTWAIT)),
            Act::Error => tell(pending_error(socket)),
            Act::Shutdown => tell(shutdown(socket.as_raw_fd(), Shutdown::Both)),
            Act::Close => {
                *slot = None;
                tell(Ok(()))
            }
            Act::Reset => {
                let reset = setsockopt(
                    socket,
                    sockopt::Linger,
                    &libc::linger {
                        l_onoff: 1,
                        l_linger: 0,
                    },
                );
                *slot = None;
                tell(reset)
            }
            Act::Pass(path) => tell(pass(socket, path)),
        }
    }
}

fn tell<T: Serialize>(result: nix::Result<T>) -> io::Result<()> {
    say(&named(result))
}

fn named<T>(result: nix::Result<T>) -> Done<T> {
    result.map_err(|errno| format!("{errno:?}"))
}

/// Opens a socket, and binds it unless the address is unspecified with port 0.
pub(super) fn open(transport: Transport, at: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if at.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let (kind, protocol) = match transport {
        Transport::Tcp => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        Transport::Udp => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        Transport::Mptcp => (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
    };
    // SAFETY: takes numbers and touches no memory.
    let socket =
        Errno::result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the kernel just created it, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::milliseconds(ANSWER),
    )?;
    // A bind to the unspecified address would allocate a port too early.
    if !(at.ip().is_unspecified() && at.port() == 0) {
        bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
    }
    Ok(socket)
}

fn connect_by_ring(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let mut ring = IoUring::new(2).map_err(errno)?;
    let to = SockaddrStorage::from(to);
    let entry =
        opcode::Connect::new(types::Fd(socket.as_raw_fd()), to.as_ptr().cast(), to.len()).build();
    // SAFETY: address and socket live until the one completion below.
    unsafe { ring.submission().push(&entry) }.expect("the ring is empty");
    ring.submit_and_wait(1).map_err(errno)?;
    let completion = ring.completion().next().expect("one was waited for");
    if completion.result() < 0 {
        Err(Errno::from_raw(-completion.result()))
    } else {
        Ok(())
    }
}

fn connect_non_blocking(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    set_blocking(socket, false)?;
    let connected = match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Err(Errno::EINPROGRESS) => finish(socket),
        other => other,
    };
    set_blocking(socket, true)?;
    connected
}

fn start_connect(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    set_blocking(socket, false)?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))
}

fn finish(socket: &OwnedFd) -> nix::Result<()> {
    poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)],
        PollTimeout::from(1_000_u16),
    )?;
    pending_error(socket)
}

fn pending_error(socket: &OwnedFd) -> nix::Result<()> {
    match getsockopt(socket, sockopt::SocketError)? {
        0 => Ok(()),
        number => Err(Errno::from_raw(number)),
    }
}

fn set_blocking(socket: &OwnedFd, blocking: bool) -> nix::Result<()> {
    let mut no: libc::c_int = i32::from(!blocking);
    // SAFETY: FIONBIO reads one integer.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONBIO, &raw mut no) }).map(drop)
}

fn connect_fast_open(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    let yes: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("four");
    // SAFETY: the option is one integer, which outlives the call.
    Errno::result(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN_CONNECT,
            (&raw const yes).cast(),
            length,
        )
    })?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to))
}

fn disconnect(socket: &OwnedFd) -> nix::Result<()> {
    let nowhere = libc::sockaddr {
        sa_family: 0,
        sa_data: [0; 14],
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).expect("sixteen");
    // SAFETY: the address has the length that is passed.
    Errno::result(unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, length) })
        .map(drop)
}

fn send_to(socket: &OwnedFd, to: SocketAddr, flags: MsgFlags) -> nix::Result<()> {
    sendto(
        socket.as_raw_fd(),
        QUESTION,
        &SockaddrStorage::from(to),
        flags,
    )
    .map(drop)
}

/// Number of datagrams that were sent.
fn send_many(socket: &OwnedFd, to: &[SocketAddr]) -> nix::Result<()> {
    let mut addresses: Vec<SockaddrStorage> =
        to.iter().copied().map(SockaddrStorage::from).collect();
    let mut question = libc::iovec {
        iov_base: QUESTION.as_ptr().cast_mut().cast(),
        iov_len: QUESTION.len(),
    };
    let mut messages: Vec<libc::mmsghdr> = addresses
        .iter_mut()
        .map(|to| message(to, &mut question))
        .collect();
    let count = messages.len().try_into().expect("a few");
    // SAFETY: every message refers to an address and the one question above, which the kernel only
    // reads.
    let sent = Errno::result(unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0)
    })?;
    if usize::try_from(sent) == Ok(to.len()) {
        Ok(())
    } else {
        Err(Errno::EIO)
    }
}

fn message(to: &mut SockaddrStorage, question: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all bytes zero is a valid, empty message.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_namelen = to.len();
    message.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_hdr.msg_iov = question;
    message.msg_hdr.msg_iovlen = 1;
    message
}

fn receive(socket: &OwnedFd, flags: MsgFlags) -> nix::Result<Heard> {
    let mut bytes = [0; 256];
    let mut data = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut data, None, flags)?;
    let (length, from) = (message.bytes, message.address.as_ref().and_then(address));
    if length == 0 {
        // The end of a stream is reported as EPIPE, like a write to it.
        return Err(Errno::EPIPE);
    }
    let name = String::from_utf8_lossy(&bytes[..length]);
    Ok(Heard {
        name: name.lines().next().unwrap_or_default().to_owned(),
        from,
    })
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let four = storage
        .as_sockaddr_in()
        .map(|four| SocketAddr::new(IpAddr::V4(four.ip()), four.port()));
    four.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|six| SocketAddr::new(IpAddr::V6(six.ip()), six.port()))
    })
}

fn pass(socket: &OwnedFd, path: &Path) -> nix::Result<()> {
    let taker =
        wait::try_until_some(MEET, || UnixStream::connect(path).ok()).ok_or(Errno::ETIMEDOUT)?;
    let passed = [socket.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&passed)];
    sendmsg::<()>(
        taker.as_raw_fd(),
        &[IoSlice::new(b"s")],
        &message,
        MsgFlags::empty(),
        None,
    )
    .map(drop)
}

fn take(path: &Path) -> io::Result<OwnedFd> {
    let (giver, _) = UnixListener::bind(path)?.accept()?;
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(
        giver.as_raw_fd(),
        &mut data,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let passed = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(passed) => passed.first().copied(),
        _ => None,
    });
    let socket = passed.ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel just created it for this process, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}
