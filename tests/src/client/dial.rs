//! Makes single connects.

use std::{
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};

use super::{Protocol, Step};

/// Timeout of an endpoint's answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Result of a connect.
pub struct Dialled {
    /// Duration of the connect alone.
    pub took: Duration,
    /// Result of `getpeername`, if the connect succeeded.
    pub peer: Option<SocketAddr>,
    /// Name of the server, or stage and name of the error.
    pub answer: Result<String, String>,
}

/// Connects once and reads the name of the server.
pub fn dial(protocol: Protocol, to: SocketAddr) -> Dialled {
    match protocol {
        Protocol::Tcp => measure(|| TcpStream::connect(to), TcpStream::peer_addr, tcp_answer),
        Protocol::Udp => measure(|| connected_udp(to), UdpSocket::peer_addr, udp_answer),
    }
}

/// Connects one UDP socket to each address in turn.
pub fn walk(to: &[SocketAddr]) -> io::Result<Vec<Step>> {
    let any = if to.iter().all(SocketAddr::is_ipv4) {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        any_v6()
    };
    let socket = UdpSocket::bind((any, 0))?;
    let step = |to: &SocketAddr| Step {
        peer: named(
            "connect",
            socket.connect(to).and_then(|()| socket.peer_addr()),
        ),
        answer: named("answer", udp_answer(&socket)),
    };
    Ok(to.iter().map(step).collect())
}

fn measure<S>(
    connect: impl FnOnce() -> io::Result<S>,
    peer: impl FnOnce(&S) -> io::Result<SocketAddr>,
    answer: impl FnOnce(&S) -> io::Result<String>,
) -> Dialled {
    let start = Instant::now();
    let connected = connect();
    let took = start.elapsed();
    match named("connect", connected) {
        Ok(socket) => Dialled {
            took,
            peer: peer(&socket).ok(),
            answer: named("answer", answer(&socket)),
        },
        Err(error) => Dialled {
            took,
            peer: None,
            answer: Err(error),
        },
    }
}

fn tcp_answer(stream: &TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(ANSWER))?;
    let mut name = String::new();
    BufReader::new(stream).read_line(&mut name)?;
    // Closes with a reset, because a closed loop would otherwise leave tens of thousands of sockets
    // in TIME_WAIT.
    setsockopt(
        stream,
        Linger,
        &linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )?;
    name.strip_suffix('\n')
        .map(str::to_owned)
        .ok_or(io::ErrorKind::UnexpectedEof.into())
}

fn connected_udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        any_v6()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket)
}

fn udp_answer(socket: &UdpSocket) -> io::Result<String> {
    socket.set_read_timeout(Some(ANSWER))?;
    socket.send(b"what is your name")?;
    let mut name = [0; 256];
    let length = socket.recv(&mut name)?;
    Ok(String::from_utf8_lossy(&name[..length])
        .trim_end()
        .to_owned())
}

fn any_v6() -> IpAddr {
    Ipv6Addr::UNSPECIFIED.into()
}

/// An error as tests write it: `connect ECONNREFUSED`.
pub fn named<T>(stage: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| match error.raw_os_error() {
        Some(number) => format!("{stage} {:?}", Errno::from_raw(number)),
        None => format!("{stage} {:?}", error.kind()),
    })
}
