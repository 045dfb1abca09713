//! Sockets, private network namespaces and threads with fewer capabilities.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use mesh_common::abi::protocol;
use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{
        AddressFamily, SockFlag, SockType, getsockopt, socket, sockopt::SockType as Kind,
    },
};

use super::{Tracked, TrackedSocket};

pub(super) fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test closes sockets in other network namespaces: run it as root"
    );
}

/// Returns the row that the kernel programs would write for a connected socket.
pub(super) fn tracked(socket: &impl AsFd, peer: SocketAddr) -> Tracked {
    let kind = getsockopt(socket, Kind).unwrap();
    let protocol = if kind == SockType::Datagram {
        protocol::UDP
    } else {
        protocol::TCP
    };
    let row = TrackedSocket {
        backend: peer.ip().into(),
        port: peer.port().to_be(),
        protocol,
        backend_index: 7,
        generation: 1,
    };
    (cookie(socket), row)
}

pub(crate) fn cookie(socket: &impl AsFd) -> u64 {
    let (mut cookie, mut length) = (0_u64, 8);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: SO_COOKIE writes the eight bytes of `cookie`, whose size `length` says.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!((result, length), (0, 8));
    cookie
}

pub(super) fn udp(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

/// A UDP socket and where it is connected.
pub(super) fn udp_to(server: &UdpSocket, client: &str) -> (UdpSocket, SocketAddr) {
    let peer = SocketAddr::new(client.parse().unwrap(), server.local_addr().unwrap().port());
    let socket = udp(if peer.is_ipv4() { "0.0.0.0" } else { "::" });
    socket.connect(peer).unwrap();
    (socket, peer)
}

pub(super) fn assert_aborted<T: std::fmt::Debug>(result: std::io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionAborted);
}

pub(super) fn assert_delivers(from: &UdpSocket, to: &UdpSocket) {
    from.send(b"still here").unwrap();
    let mut buffer = [0; 16];
    let length = to.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"still here");
}

/// Runs in its own network namespace, with loopback.
pub(super) fn in_private_namespace<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    need_root();
    thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                raise_loopback();
                run()
            })
            .join()
            .unwrap()
    })
}

fn raise_loopback() {
    let socket = udp_unbound();
    // SAFETY: all zeros is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l'.cast_signed(), b'o'.cast_signed()]);
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap();
    // SAFETY: SIOCSIFFLAGS reads an `ifreq` with name and flags set.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

pub(super) fn udp_unbound() -> OwnedFd {
    socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap()
}

/// Runs on a thread without a capability.
pub(super) fn without<T: Send>(capability: u32, run: impl FnOnce() -> T + Send) -> T {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let words = |name| {
        let hex = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim();
        let set = u64::from_str_radix(hex, 16).unwrap() & !(1 << capability);
        [set & u64::from(u32::MAX), set >> 32].map(|word| u32::try_from(word).unwrap())
    };
    let (effective, permitted, inheritable) =
        (words("CapEff:"), words("CapPrm:"), words("CapInh:"));
    // `_LINUX_CAPABILITY_VERSION_3` and this thread; then two of `struct __user_cap_data_struct`.
    let header = [0x2008_0522_u32, 0];
    let data = [0, 1].map(|half| [effective[half], permitted[half], inheritable[half]]);
    thread::scope(|scope| {
        let limited = scope.spawn(move || {
            // SAFETY: both arrays have the layout that capset(2) reads.
            let result =
                unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const data) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            run()
        });
        limited.join().unwrap()
    })
}
