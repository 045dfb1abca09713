//! Attacks of a client without privileges: connects that it makes fail by socket options and system
//! calls, and resources that it uses up.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, Shutdown, SockFlag, SockType, SockaddrStorage, connect, setsockopt,
            shutdown, socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};
use serde::{Deserialize, Serialize};

use super::{ConnectReport, Hoard, dial::named, namespaces};

/// Most concurrent connects.
const AT_ONCE: usize = 128;
/// Time after which the kernel has retransmitted the first SYN, or has given up if an option says so.
const GIVEN_UP: Duration = Duration::from_millis(1_200);
/// Pause between two connects.
const PAUSE: Duration = Duration::from_millis(1);

/// Cause of the failures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Attack {
    /// `SO_BINDTODEVICE`: requests leave by a device that does not lead to the endpoints.
    Device(String),
    /// `TCP_MD5SIG`: requests are signed, and endpoints drop signed requests.
    Signed,
    /// `TCP_USER_TIMEOUT` of a millisecond.
    UserTimeout,
    /// `SO_SNDTIMEO` of a millisecond: `connect` waits no longer, and the socket is closed.
    SendTimeout,
    /// `close`, this time after `connect`.
    Close(Duration),
    /// `connect` to `AF_UNSPEC` while the connect is in progress.
    Disconnect,
    /// `shutdown` of both directions while the connect is in progress.
    Shutdown,
    /// No failure: connections to the server of this name stay open, others are closed at once.
    Linger(String),
    /// No failure: the process opens all sockets that it may have.
    Hoard(Hoard),
    /// No failure: new network namespaces, and in each a connect to this number of addresses.
    Namespaces(u32),
}

impl Attack {
    /// Connects repeatedly until `stop`.
    pub(super) fn run(&self, to: SocketAddr, stop: impl Fn() -> bool) -> ConnectReport {
        match self {
            Self::Hoard(hoard) => return hoard.run(to, stop),
            Self::Namespaces(addresses) => return namespaces::run(*addresses, to, stop),
            _ => {}
        }
        let (mut report, mut open) = (ConnectReport::default(), VecDeque::new());
        while !stop() {
            if open.len() < AT_ONCE
                && let Some(Some(socket)) =
                    report.note(named("connect", self.attempt(to)), |_| "under way".into())
            {
                open.push_back((Instant::now(), socket));
            }
            while open
                .front()
                .is_some_and(|(begin, _): &(Instant, OwnedFd)| begin.elapsed() > GIVEN_UP)
            {
                open.pop_front();
            }
            thread::sleep(PAUSE);
        }
        report
    }

    /// Starts a connect. Returns its socket unless the socket is closed already.
    fn attempt(&self, to: SocketAddr) -> io::Result<Option<OwnedFd>> {
        if let Self::Linger(name) = self {
            return linger(name, to);
        }
        let mut flags = SockFlag::SOCK_CLOEXEC;
        flags.set(SockFlag::SOCK_NONBLOCK, *self != Self::SendTimeout);
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        match self {
            Self::Device(name) => {
                setsockopt(&socket, sockopt::BindToDevice, &OsString::from(name))?;
            }
            Self::Signed => sign(&socket)?,
            Self::UserTimeout => setsockopt(&socket, sockopt::TcpUserTimeout, &1)?,
            Self::SendTimeout => {
                setsockopt(&socket, sockopt::SendTimeout, &TimeVal::milliseconds(1))?;
            }
            _ => {}
        }
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self {
            Self::Close(after) => thread::sleep(*after),
            Self::Disconnect => disconnect(&socket)?,
            Self::Shutdown => _ = shutdown(socket.as_raw_fd(), Shutdown::Both),
            Self::SendTimeout => {}
            _ => return Ok(Some(socket)),
        }
        Ok(None)
    }
}

/// Connects to `AF_UNSPEC`.
fn disconnect(socket: &OwnedFd) -> nix::Result<()> {
    // SAFETY: all bytes zero is an address of `AF_UNSPEC`.
    let address: libc::sockaddr = unsafe { std::mem::zeroed() };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).expect("16 bytes");
    // SAFETY: the address has the length that is passed, and outlives the call.
    let done = unsafe { libc::connect(socket.as_raw_fd(), &raw const address, length) };
    Errno::result(done).map(drop)
}

/// Connects, and returns the connection if it is to the server of this name.
fn linger(name: &str, to: SocketAddr) -> io::Result<Option<OwnedFd>> {
    let stream = TcpStream::connect(to)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    let reset = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &reset)?;
    Ok((answer.trim_end() == name).then(|| stream.into()))
}

/// `struct tcp_md5sig` of `linux/tcp.h`.
#[repr(C)]
struct Signature {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix: u8,
    key_length: u16,
    device: libc::c_int,
    key: [u8; 80],
}

/// Signs what the socket sends to any IPv4 address.
fn sign(socket: &OwnedFd) -> nix::Result<()> {
    const TCP_MD5SIG_EXT: libc::c_int = 32;
    const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
    // SAFETY: all bytes zero is the address of no family.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    address.ss_family = libc::sa_family_t::try_from(libc::AF_INET).expect("it is 2");
    let signature = Signature {
        address,
        flags: TCP_MD5SIG_FLAG_PREFIX,
        prefix: 0,
        key_length: 1,
        device: 0,
        key: [b'k'; 80],
    };
    let length = libc::socklen_t::try_from(size_of::<Signature>()).expect("some hundred bytes");
    // SAFETY: the option has the length that is passed, and outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_MD5SIG_EXT,
            (&raw const signature).cast(),
            length,
        )
    };
    Errno::result(set).map(drop)
}
