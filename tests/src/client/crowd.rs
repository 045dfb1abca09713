//! Concurrent connects from many threads of a client process.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};
use serde::{Deserialize, Serialize};

use super::{ConnectReport, Protocol, dial::named};

/// Timeout of an endpoint's answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Number of threads, and the work of each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Crowd {
    /// Number of threads.
    pub threads: u32,
    /// Number of connects per thread.
    pub times: u32,
    /// Protocols and IPv4 addresses to connect to, in turn.
    pub to: Vec<(Protocol, SocketAddr)>,
}

/// Result of a rush.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rushed {
    /// Number of concurrently connected sockets, by round.
    pub connected: Vec<u64>,
    /// Errors by stage and name.
    pub errors: BTreeMap<String, u64>,
}

impl Crowd {
    /// Connects from each thread independently, and closes at once. Answers are counted by
    /// protocol.
    pub(super) fn connect(&self) -> ConnectReport {
        let total = Mutex::new(ConnectReport::default());
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    let mut report = ConnectReport::default();
                    for (_, &(protocol, to)) in (0..self.times).zip(self.to.iter().cycle()) {
                        report.note(open(protocol, to), |_| format!("{protocol:?}"));
                    }
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    add(&mut total.answers, report.answers);
                    add(&mut total.errors, report.errors);
                });
            }
        });
        total.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects from all threads at once. When all threads have connected or failed, the connections
    /// are closed, and the next round begins.
    pub(super) fn rush(&self) -> Rushed {
        let (barrier, open_now) = (Barrier::new(self.threads as usize), AtomicU64::new(0));
        let rushed = Mutex::new(Rushed::default());
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    for (_, &(protocol, to)) in (0..self.times).zip(self.to.iter().cycle()) {
                        barrier.wait();
                        let opened = open(protocol, to);
                        match &opened {
                            Ok(_) => _ = open_now.fetch_add(1, Ordering::SeqCst),
                            Err(error) => {
                                let mut rushed =
                                    rushed.lock().unwrap_or_else(PoisonError::into_inner);
                                *rushed.errors.entry(error.clone()).or_default() += 1;
                            }
                        }
                        if barrier.wait().is_leader() {
                            let mut rushed = rushed.lock().unwrap_or_else(PoisonError::into_inner);
                            rushed.connected.push(open_now.swap(0, Ordering::SeqCst));
                        }
                    }
                });
            }
        });
        rushed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(total: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (name, count) in more {
        *total.entry(name).or_default() += count;
    }
}

/// A connected socket; reset when dropped.
enum Open {
    Tcp { _stream: TcpStream },
    Udp { _socket: UdpSocket },
}

fn open(protocol: Protocol, to: SocketAddr) -> Result<Open, String> {
    match protocol {
        Protocol::Tcp => {
            let stream = named("connect", TcpStream::connect(to))?;
            // Waits for the answer, so that the server's queue does not fill up.
            named("answer", hear(&stream))?;
            Ok(Open::Tcp { _stream: stream })
        }
        Protocol::Udp => {
            let socket = named("bind", UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
            named("connect", socket.connect(to))?;
            Ok(Open::Udp { _socket: socket })
        }
    }
}

fn hear(mut stream: &TcpStream) -> io::Result<()> {
    setsockopt(
        stream,
        Linger,
        &linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.read_exact(&mut [0; 1])
}
