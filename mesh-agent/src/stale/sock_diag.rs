//! Lists and closes sockets of this thread's network namespace over `NETLINK_SOCK_DIAG`
//! (sock_diag(7)).
//!
//! Layouts are those of `include/uapi/linux/netlink.h` and `inet_diag.h`, which never change: three
//! plain structs, so no netlink library.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use bytemuck::{Pod, Zeroable};
use mesh_common::{abi::protocol, addr::Addr};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, send,
            setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

use super::error::Error;
use crate::{
    dataplane::exclude::netns_cookie,
    model::{Protocol, Words as _},
};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// `1 << TCP_…` of `include/net/tcp_states.h`. A connected UDP socket is in this state, any other
/// UDP socket in CLOSE.
const ESTABLISHED: u32 = 1 << 1;
/// SYN_SENT to CLOSING, without TIME_WAIT (held by no process) and without CLOSE and LISTEN (no
/// peer).
const CONNECTED: u32 = 0b1011_0011_1110;

/// All states but TIME_WAIT, SYN_RECV and LISTEN, in which no connecting socket is.
const ALL: u32 = !(1 << 6 | 1 << 3 | 1 << 10 | 1 << 12);

/// `netlink_recvmsg` never builds a packet of more than 32 KiB.
/// <https://github.com/torvalds/linux/blob/v6.1/net/netlink/af_netlink.c>
const BUFFER: usize = 64 * 1024;

/// Timeout of an answer. The kernel answers within the system call, so a wait means that an answer
/// was lost. Packets of other processes do not extend it.
const PATIENCE: Duration = Duration::from_secs(5);
const ONE_PACKET: TimeVal = TimeVal::new(5, 0);
/// Netlink port of the kernel. Other processes with CAP_NET_ADMIN in the network namespace can send
/// to this socket as well.
const KERNEL: u32 = 0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4 = libc::AF_INET as isize,
    V6 = libc::AF_INET6 as isize,
}

/// Which sockets to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Query {
    pub(super) family: Family,
    /// One of [`protocol`].
    pub(super) protocol: u8,
    /// Only sockets connected to this port, in network byte order.
    pub(super) port: Option<u16>,
    /// Whether to list sockets that are not connected as well.
    pub(super) all: bool,
}

/// `struct nlmsghdr`
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Header {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port_id: u32,
}

/// `struct inet_diag_sockid`; ports and addresses in network byte order, an IPv4 address in the
/// first word.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct SocketId {
    source_port: u16,
    destination_port: u16,
    source: [u32; 4],
    destination: [u32; 4],
    interface: u32,
    /// Low half first.
    cookie: [u32; 2],
}

/// `struct inet_diag_req_v2` with its header
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Request {
    header: Header,
    family: u8,
    protocol: u8,
    extensions: u8,
    pad: u8,
    states: u32,
    id: SocketId,
}

/// The head of `struct inet_diag_msg`
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Response {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    id: SocketId,
}

/// A socket as the kernel listed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    family: u8,
    protocol: u8,
    state: u8,
    id: SocketId,
}

impl Found {
    /// Whether a UDP socket is connected.
    pub(super) fn is_established(&self) -> bool {
        1 << self.state == ESTABLISHED
    }

    /// Returns the value of `SO_COOKIE` and `bpf_get_socket_cookie`.
    pub(super) fn cookie(&self) -> u64 {
        u64::from(self.id.cookie[0]) | u64::from(self.id.cookie[1]) << 32
    }

    pub(super) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Returns the address and port (network byte order) of the peer.
    pub(super) fn destination(&self) -> (Addr, u16) {
        let addr = match libc::c_int::from(self.family) {
            libc::AF_INET => Addr::from_v4_word(self.id.destination[0]),
            _ => Addr::from_v6_words(self.id.destination),
        };
        (addr, self.id.destination_port)
    }
}

/// A netlink socket in the network namespace in which it was opened.
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// Sequence number of the last request.
    sequence: u32,
}

impl Diag {
    pub(super) fn open() -> Result<Self, Error> {
        let open = || {
            let socket = socket(
                AddressFamily::Netlink,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkSockDiag,
            )?;
            setsockopt(&socket, ReceiveTimeout, &ONE_PACKET)?;
            Ok(Self {
                socket,
                buffer: vec![0; BUFFER],
                sequence: 0,
            })
        };
        open().map_err(|source| Error::Netlink {
            action: "ask the kernel for",
            source,
        })
    }

    /// Lists all connected sockets that match.
    pub(super) fn list(&mut self, query: &Query) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        self.list_each(query, |socket| found.push(socket))?;
        Ok(found)
    }

    /// Calls `each` for all connected sockets that match.
    pub(super) fn list_each(
        &mut self,
        query: &Query,
        mut each: impl FnMut(Found),
    ) -> Result<(), Error> {
        let id = SocketId {
            destination_port: query.port.unwrap_or(0),
            ..SocketId::zeroed()
        };
        self.send(
            SOCK_DIAG_BY_FAMILY,
            NLM_F_DUMP,
            query.family as u8,
            query.protocol,
            id,
            query.all,
        )
        .and_then(|()| self.answer(query.protocol, &mut each))
        .map_err(|source| list_error(query.protocol, source))
    }

    /// Returns the lower half of the network namespace's cookie.
    pub(super) fn netns(&self) -> io::Result<u32> {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        netns_cookie(self.socket.as_fd()).map(|cookie| cookie as u32)
    }

    /// Closes one socket. Returns false if it is gone, or no longer connected from and to these
    /// addresses.
    pub(super) fn destroy(&mut self, found: &Found) -> Result<bool, Error> {
        self.send(
            SOCK_DESTROY,
            NLM_F_ACK,
            found.family,
            found.protocol,
            found.id,
            false,
        )
        .and_then(|()| self.answer(found.protocol, &mut drop))
        .map(|()| true)
        .or_else(destroy_error)
    }

    fn send(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        protocol: u8,
        id: SocketId,
        all: bool,
    ) -> nix::Result<()> {
        let length = u32::try_from(size_of::<Request>()).expect("a small struct");
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            length,
            kind,
            flags: NLM_F_REQUEST | flags,
            sequence: self.sequence,
            port_id: 0,
        };
        let states = match protocol {
            _ if all => ALL,
            protocol::UDP => ESTABLISHED,
            _ => CONNECTED,
        };
        let request = Request {
            header,
            family,
            protocol,
            extensions: 0,
            pad: 0,
            states,
            id,
        };
        send(
            self.socket.as_raw_fd(),
            bytemuck::bytes_of(&request),
            MsgFlags::empty(),
        )
        .map(drop)
    }

    /// Receives the answer to the last request. Packets of other processes are ignored.
    fn answer(&mut self, protocol: u8, each: &mut impl FnMut(Found)) -> nix::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let (length, from) =
                recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer)?;
            if from.is_none_or(|from| from.pid() != KERNEL) {
                continue;
            }
            if !self.take(length, protocol, each)? {
                return Ok(());
            }
        }
        Err(Errno::ETIMEDOUT)
    }

    /// Handles one packet of the kernel; returns false after the last one.
    fn take(&self, length: usize, protocol: u8, each: &mut impl FnMut(Found)) -> nix::Result<bool> {
        for (header, payload) in messages(&self.buffer[..length]) {
            match header.kind {
                // A packet of an answer that timed out.
                _ if header.sequence != self.sequence => {}
                SOCK_DIAG_BY_FAMILY => {
                    let Response {
                        family, state, id, ..
                    } = head(payload).ok_or(Errno::EBADMSG)?;
                    each(Found {
                        family,
                        protocol,
                        state,
                        id,
                    });
                }
                // Both begin with an error number, negative or zero.
                NLMSG_DONE | NLMSG_ERROR => {
                    return match head::<i32>(payload).ok_or(Errno::EBADMSG)? {
                        0.. => Ok(false),
                        error => Err(Errno::from_raw(-error)),
                    };
                }
                _ => {}
            }
        }
        Ok(true)
    }
}

fn list_error(protocol: u8, source: Errno) -> Error {
    match source {
        // No handler of this protocol: `inet_diag_lock_handler`.
        // https://github.com/torvalds/linux/blob/v6.1/net/ipv4/inet_diag.c
        Errno::ENOENT => {
            let protocol = Protocol::of_number(protocol).unwrap_or(Protocol::Tcp);
            Error::KernelCannotList(protocol.word())
        }
        source => Error::Netlink {
            action: "list",
            source,
        },
    }
}

fn destroy_error(source: Errno) -> Result<bool, Error> {
    match source {
        Errno::ENOENT => Ok(false),
        // The handler has no `destroy`: `__sock_diag_cmd`.
        // https://github.com/torvalds/linux/blob/v6.1/net/core/sock_diag.c
        Errno::EOPNOTSUPP => Err(Error::KernelCannotDestroy),
        Errno::EPERM => Err(Error::NetAdminMissing),
        source => Err(Error::Netlink {
            action: "close",
            source,
        }),
    }
}

/// Returns header and payload of each message in a packet; ends at a truncated one.
fn messages(mut packet: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let header: Header = head(packet)?;
        let length = usize::try_from(header.length).ok()?;
        let payload = packet.get(size_of::<Header>()..length)?;
        packet = packet.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, payload))
    })
}

fn head<T: Pod>(bytes: &[u8]) -> Option<T> {
    bytes
        .get(..size_of::<T>())
        .map(bytemuck::pod_read_unaligned)
}

#[cfg(test)]
mod tests;
