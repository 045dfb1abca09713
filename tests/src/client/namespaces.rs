//! Network namespaces that a client creates one after another. Services with session affinity see
//! each as another client.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{SockaddrStorage, connect},
};

use super::{ConnectReport, Transport, dial::named, sockets};

/// Pause after each namespace, in which the kernel can remove it.
const PAUSE: Duration = Duration::from_millis(1);

/// Creates namespaces until `stop`. In each, connects a UDP socket to this number of consecutive IPv4
/// addresses. The report counts namespaces, and what the kernel answered to the connects.
pub(super) fn run(addresses: u32, first: SocketAddr, stop: impl Fn() -> bool) -> ConnectReport {
    let mut report = ConnectReport::default();
    while !stop() {
        let entered = named(
            "unshare",
            unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into),
        );
        if report.note(entered, |()| "namespace".into()).is_some() {
            let visited = named("socket", visit(addresses, first, &mut report));
            report.note(visited, |()| "visited".into());
        }
        thread::sleep(PAUSE);
    }
    report
}

fn visit(addresses: u32, first: SocketAddr, report: &mut ConnectReport) -> io::Result<()> {
    let IpAddr::V4(ip) = first.ip() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let socket = sockets::open(Transport::Udp, ([0, 0, 0, 0], 0).into())?;
    for number in 0..addresses {
        let ip = Ipv4Addr::from_bits(ip.to_bits() + number);
        let to = SockaddrStorage::from(SocketAddr::from((ip, first.port())));
        let answer = connect(socket.as_raw_fd(), &to).map_err(Into::into);
        report.note(named("connect", answer), |()| "connected".into());
    }
    Ok(())
}
