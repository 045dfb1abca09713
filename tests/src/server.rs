//! An endpoint: a thread that answers its own name over TCP and UDP and counts whom it answered.

use std::{
    collections::BTreeSet,
    io::{self, PipeWriter, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns::Netns;

/// Serves until dropped.
pub struct Server {
    name: String,
    address: SocketAddr,
    seen: Arc<Seen>,
    // Its end tells the thread to stop.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    tcp: AtomicU64,
    udp: AtomicU64,
    clients: Mutex<BTreeSet<IpAddr>>,
}

impl Seen {
    fn clients(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counted before the answer, so that a client that has its answer finds itself counted.
    fn count(&self, counter: &AtomicU64, client: SocketAddr) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.clients().insert(client.ip().to_canonical());
    }
}

impl Server {
    /// Listens at `ip` in `netns`, on one free port for both protocols.
    pub fn start(netns: &Netns, name: &str, ip: IpAddr) -> Self {
        let (tcp, udp) = netns.run(|| bind(ip).unwrap_or_else(|error| panic!("server {name} at {ip}: {error}")));
        let address = tcp.local_addr().expect("a listener has an address");
        let seen = Arc::new(Seen::default());
        let (stopped, stop) = io::pipe().expect("descriptors are left for a pipe");
        let thread = thread::spawn({
            let (answer, seen) = (format!("{name}\n"), Arc::clone(&seen));
            move || serve(&tcp, &udp, &answer, &seen, stopped.as_fd())
        });
        Self { name: name.into(), address, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// What it answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// TCP connections answered.
    pub fn tcp(&self) -> u64 {
        self.seen.tcp.load(Ordering::SeqCst)
    }

    /// UDP datagrams answered.
    pub fn udp(&self) -> u64 {
        self.seen.udp.load(Ordering::SeqCst)
    }

    /// Source addresses of everybody answered.
    pub fn clients(&self) -> BTreeSet<IpAddr> {
        self.seen.clients().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; a second one here would hide the test's.
            let _ = thread.join();
        }
    }
}

/// A port that is free for TCP may be taken for UDP: then another one.
fn bind(ip: IpAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..16 {
        let tcp = TcpListener::bind((ip, 0))?;
        tcp.set_nonblocking(true)?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => return udp.set_nonblocking(true).map(|()| (tcp, udp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn serve(tcp: &TcpListener, udp: &UdpSocket, answer: &str, seen: &Seen, stopped: BorrowedFd<'_>) {
    loop {
        let mut ready = [tcp.as_fd(), udp.as_fd(), stopped].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE).expect("polling three open descriptors");
        if ready[2].any() != Some(false) {
            return;
        }
        answer_tcp(tcp, answer, seen);
        answer_udp(udp, answer, seen);
    }
}

fn answer_tcp(listener: &TcpListener, answer: &str, seen: &Seen) {
    while let Ok((mut stream, client)) = listener.accept() {
        seen.count(&seen.tcp, client);
        // A client that left early has counted its own error.
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn answer_udp(socket: &UdpSocket, answer: &str, seen: &Seen) {
    let mut question = [0; 64];
    while let Ok((_, client)) = socket.recv_from(&mut question) {
        seen.count(&seen.udp, client);
        // A client that left early has counted its own error.
        let _ = socket.send_to(answer.as_bytes(), client);
    }
}
