//! One address family of the probe: its hooks, its probe address and its listeners.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use mesh_common::abi::protocol;
use nix::sys::{
    socket::{AddressFamily, SockType, setsockopt, sockopt},
    time::{TimeVal, TimeValLike as _},
};

use crate::dataplane::probe_services::ProbeService;

/// Most time to wait for one answer. On loopback it takes microseconds.
pub(super) const ANSWER: Duration = Duration::from_millis(400);

/// Hooks of one family.
#[derive(Clone, Copy)]
pub(super) struct Hooks {
    pub(super) connect: &'static str,
    pub(super) sendmsg: &'static str,
    pub(super) recvmsg: &'static str,
    pub(super) getpeername: &'static str,
}

pub(super) const V4: Hooks = Hooks {
    connect: "connect4",
    sendmsg: "sendmsg4",
    recvmsg: "recvmsg4",
    getpeername: "getpeername4",
};
pub(super) const V6: Hooks = Hooks {
    connect: "connect6",
    sendmsg: "sendmsg6",
    recvmsg: "recvmsg6",
    getpeername: "getpeername6",
};
/// Hook of TCP states, and hook of closed sockets.
pub(super) const OPS: &str = "sock_ops";
pub(super) const RELEASE: &str = "sock_release";
/// Hooks of both families.
pub(super) const SHARED: [&str; 2] = [OPS, RELEASE];

impl Hooks {
    /// Returns all hooks of the family alone.
    pub(super) fn all(self) -> impl Iterator<Item = &'static str> {
        [self.connect, self.sendmsg, self.recvmsg, self.getpeername].into_iter()
    }
}

/// A family with its listeners.
pub(super) struct Family {
    pub(super) hooks: Hooks,
    pub(super) tcp: TcpListener,
    pub(super) udp: UdpSocket,
    /// Where a probe by TCP connects, and one by UDP. The ports are those of the listeners, so that
    /// each of several agents of a cgroup has its own probe.
    pub(super) tcp_frontend: SocketAddr,
    pub(super) udp_frontend: SocketAddr,
}

impl Family {
    pub(super) fn open(hooks: Hooks, probe: IpAddr, loopback: IpAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind((loopback, 0))?;
        let udp = UdpSocket::bind((loopback, 0))?;
        let limit = TimeVal::milliseconds(ANSWER.as_millis().try_into().expect("a short time"));
        // It also limits accept(2).
        setsockopt(&tcp, sockopt::ReceiveTimeout, &limit)?;
        udp.set_read_timeout(Some(ANSWER))?;
        Ok(Self {
            hooks,
            tcp_frontend: SocketAddr::new(probe, tcp.local_addr()?.port()),
            udp_frontend: SocketAddr::new(probe, udp.local_addr()?.port()),
            tcp,
            udp,
        })
    }

    /// Returns the kinds of sockets that a pass needs: TCP, UDP that is connected, and UDP that is
    /// not.
    pub(super) fn kinds(&self) -> [(AddressFamily, SockType); 3] {
        let family = match self.tcp_frontend {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        [SockType::Stream, SockType::Datagram, SockType::Datagram].map(|kind| (family, kind))
    }

    /// Returns the services that lead to the listeners.
    pub(super) fn services(&self) -> impl Iterator<Item = ProbeService> {
        let tcp = (self.tcp_frontend, protocol::TCP, self.tcp.local_addr());
        let udp = (self.udp_frontend, protocol::UDP, self.udp.local_addr());
        [tcp, udp]
            .into_iter()
            .map(|(frontend, protocol, listener)| ProbeService {
                frontend,
                protocol,
                listener: listener.expect("a bound socket has an address"),
            })
    }
}
