//! The steps of a pass in one address family.
//!
//! A probe that gets no answer counts as failed only where the kernel holds no row of it: otherwise
//! the program did its part, and it is the listener of the agent that cannot be reached.

use std::{
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

use mesh_common::abi::socket_state;
use nix::{
    libc,
    sys::socket::{SockaddrStorage, connect, setsockopt, sockopt},
};

use super::{
    family::{ANSWER, Family, OPS, RELEASE},
    hook_state::{HookState, Pass},
};
use crate::dataplane::probe_services::{ProbeRows, cookie};

const MESSAGE: &[u8] = b"mesh-agent self-probe";

/// Probes the hooks of a family.
pub(super) fn steps(
    family: &Family,
    [tcp, connected, unconnected]: [OwnedFd; 3],
    rows: &ProbeRows,
) -> Pass {
    let hooks = family.hooks;
    let probe = Probe { family, rows };
    let by_tcp = probe.by_tcp(&tcp.into());
    let by_udp = probe.by_udp(connected.into());
    let (sendmsg, recvmsg) = probe.by_datagram(&unconnected.into());
    [
        (hooks.connect, by_tcp.connect.and(by_udp.connect)),
        (
            hooks.getpeername,
            by_tcp.getpeername.and(by_udp.getpeername),
        ),
        (hooks.sendmsg, sendmsg),
        (hooks.recvmsg, recvmsg),
        (OPS, by_tcp.other),
        (RELEASE, by_udp.other),
    ]
    .into()
}

struct Probe<'a> {
    family: &'a Family,
    rows: &'a ProbeRows,
}

/// Outcomes of a connect.
struct Connected {
    connect: HookState,
    getpeername: HookState,
    /// `sock_ops` of TCP, `sock_release` of UDP.
    other: HookState,
}

impl Connected {
    fn none(connect: HookState, hook: &str) -> Self {
        let later = HookState::Unknown(format!("{hook} did not connect the probe"));
        Self {
            connect,
            getpeername: later.clone(),
            other: later,
        }
    }

    /// Without a record no program knows what the socket asked for, as for any client.
    fn not_recorded() -> Self {
        let reason = "map SOCKETS has no record of the probe: it is full, or the agent is at its --max-sockets-per-client";
        let unknown = HookState::Unknown(reason.to_owned());
        Self {
            connect: HookState::Works,
            getpeername: unknown.clone(),
            other: unknown,
        }
    }
}

impl Probe<'_> {
    fn by_tcp(&self, socket: &TcpStream) -> Connected {
        let frontend = self.family.tcp_frontend;
        let reached = prepare(socket)
            .and_then(|()| socket.set_write_timeout(Some(ANSWER)))
            .and_then(|()| {
                Ok(connect(
                    socket.as_raw_fd(),
                    &SockaddrStorage::from(frontend),
                )?)
            })
            .and_then(|()| self.accept(socket.local_addr()?.port()));
        // The row of the socket is removed when the connection ends.
        let state = self.state(socket);
        if let Err(error) = reached {
            let connect = lost(frontend, &error, state.is_some());
            return Connected::none(connect, self.family.hooks.connect);
        }
        let Some(state) = state else {
            return Connected::not_recorded();
        };
        Connected {
            connect: HookState::Works,
            getpeername: shown(socket.peer_addr(), frontend),
            other: match state & socket_state::HELD {
                0 => HookState::Fails("the connection is not counted".to_owned()),
                _ => HookState::Works,
            },
        }
    }

    /// Takes the connection from a port; others are not the probe's.
    fn accept(&self, port: u16) -> io::Result<()> {
        loop {
            let (_, from) = self.family.tcp.accept()?;
            if from.port() == port {
                return Ok(());
            }
        }
    }

    fn by_udp(&self, socket: UdpSocket) -> Connected {
        let frontend = self.family.udp_frontend;
        let reached = prepare(&socket)
            .and_then(|()| socket.connect(frontend))
            .and_then(|()| socket.send(MESSAGE))
            .and_then(|_| self.receive(socket.local_addr()?.port()));
        let state = self.state(&socket);
        if let Err(error) = reached {
            let connect = lost(frontend, &error, state.is_some());
            return Connected::none(connect, self.family.hooks.connect);
        }
        if state.is_none() {
            return Connected::not_recorded();
        }
        let getpeername = shown(socket.peer_addr(), frontend);
        let cookie = cookie(&socket);
        drop(socket);
        let left = cookie.map_or(Ok(None), |cookie| self.rows.record(cookie));
        Connected {
            connect: HookState::Works,
            getpeername,
            other: match left {
                Ok(None) => HookState::Works,
                Ok(Some(_)) => {
                    HookState::Fails("a closed socket keeps its row in map SOCKETS".to_owned())
                }
                Err(error) => HookState::Unknown(error.to_string()),
            },
        }
    }

    /// Returns the results of the hooks that send and receive datagrams.
    fn by_datagram(&self, socket: &UdpSocket) -> (HookState, HookState) {
        let frontend = self.family.udp_frontend;
        let reached = prepare(socket)
            .and_then(|()| socket.set_read_timeout(Some(ANSWER)))
            .and_then(|()| socket.send_to(MESSAGE, frontend))
            .and_then(|_| self.receive(socket.local_addr()?.port()));
        let from = match reached {
            Ok(from) => from,
            Err(error) => {
                let later = format!("{} did not send the probe", self.family.hooks.sendmsg);
                let sent = lost(frontend, &error, self.rows.has_flow(socket));
                return (sent, HookState::Unknown(later));
            }
        };
        let answer = self.family.udp.send_to(MESSAGE, from);
        let answered = answer.and_then(|_| Ok(socket.recv_from(&mut [0; MESSAGE.len()])?.1));
        (HookState::Works, shown(answered, frontend))
    }

    /// Takes the datagram from a port; others are not the probe's.
    fn receive(&self, port: u16) -> io::Result<SocketAddr> {
        loop {
            let (_, from) = self.family.udp.recv_from(&mut [0; MESSAGE.len()])?;
            if from.port() == port {
                return Ok(from);
            }
        }
    }

    /// Returns the state in the row of a socket, if the programs recorded it.
    fn state(&self, socket: &impl AsFd) -> Option<u64> {
        let row = self.rows.record(cookie(socket).ok()?).ok()??;
        Some(row.state)
    }
}

/// Keeps a probe that is not translated on this machine, and its port free after the end.
fn prepare(socket: &impl AsFd) -> io::Result<()> {
    setsockopt(socket, sockopt::BindToDevice, &"lo".into())?;
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(socket, sockopt::Linger, &at_once)?)
}

fn lost(frontend: SocketAddr, error: &io::Error, is_recorded: bool) -> HookState {
    if is_recorded {
        let reason = format!("the agent cannot be reached on loopback: {}", said(error));
        HookState::Unknown(reason)
    } else {
        HookState::Fails(format!("{frontend} is not translated: {}", said(error)))
    }
}

/// Returns the error; the kernel calls a limit of time differently for each system call.
fn said(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINPROGRESS) => format!("no answer in {} ms", ANSWER.as_millis()),
        _ => error.to_string(),
    }
}

fn shown(peer: io::Result<SocketAddr>, frontend: SocketAddr) -> HookState {
    match peer {
        Ok(peer) if peer == frontend => HookState::Works,
        Ok(peer) => HookState::Fails(format!("shows {peer} instead of {frontend}")),
        Err(error) => {
            HookState::Unknown(format!("the address of the peer cannot be read: {error}"))
        }
    }
}
