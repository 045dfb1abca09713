//! A server: a thread that answers with its name over TCP and UDP, and counts its clients.

use std::{
    collections::BTreeSet,
    io::{self, PipeWriter, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{netns::Netns, requirements};

/// Behaviour of a server after it has sent its name over TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Closes the connection.
    Closes,
    /// Echoes, until the client closes the connection.
    Echoes,
}

/// A server; stopped when dropped.
pub struct Server {
    name: String,
    address: SocketAddr,
    seen: Arc<Seen>,
    // The thread stops when this end of the pipe is closed.
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

    /// Counts before answering, so that a client with an answer is counted.
    fn count(&self, counter: &AtomicU64, client: SocketAddr) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.clients().insert(client.ip().to_canonical());
    }
}

impl Server {
    /// Listens at `ip` in `netns`, on one free port for both protocols.
    pub fn start(netns: &Netns, name: &str, ip: IpAddr) -> Self {
        Self::start_as(Manner::Closes, netns, name, ip)
    }

    /// Listens at `ip` in `netns`, on one free port for both protocols, with this behaviour.
    pub fn start_as(manner: Manner, netns: &Netns, name: &str, ip: IpAddr) -> Self {
        Self::start_at(manner, netns, name, (ip, 0).into())
    }

    /// Listens at an address and port; port 0 takes a free one.
    pub fn start_at(manner: Manner, netns: &Netns, name: &str, at: SocketAddr) -> Self {
        requirements::descriptors();
        let (tcp, udp) =
            netns.run(|| bind(at).unwrap_or_else(|error| panic!("server {name} at {at}: {error}")));
        let address = tcp.local_addr().expect("a listener has an address");
        let seen = Arc::new(Seen::default());
        let (stopped, stop) = io::pipe().expect("descriptors are left for a pipe");
        let thread = thread::spawn({
            let (answer, seen) = (format!("{name}\n"), Arc::clone(&seen));
            move || serve(manner, &tcp, &udp, &answer, &seen, stopped.as_fd())
        });
        Self {
            name: name.into(),
            address,
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The name that it answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address at which it listens.
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

    /// Returns the source addresses of all clients.
    pub fn clients(&self) -> BTreeSet<IpAddr> {
        self.seen.clients().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic is printed already. A second panic here would hide that of the test.
            let _ = thread.join();
        }
    }
}

/// Binds both protocols. Tries another port if the TCP port is not free for UDP.
fn bind(at: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..16 {
        let tcp = TcpListener::bind(at)?;
        tcp.set_nonblocking(true)?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => return udp.set_nonblocking(true).map(|()| (tcp, udp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn serve(
    manner: Manner,
    tcp: &TcpListener,
    udp: &UdpSocket,
    answer: &str,
    seen: &Seen,
    stopped: BorrowedFd<'_>,
) {
    let mut held: Vec<TcpStream> = Vec::new();
    loop {
        let own = [tcp.as_fd(), udp.as_fd(), stopped];
        let all = own.into_iter().chain(held.iter().map(AsFd::as_fd));
        let mut ready: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut ready, PollTimeout::NONE).expect("polling open descriptors");
        if ready[2].any() != Some(false) {
            return;
        }
        let mut is_ready = ready[3..]
            .iter()
            .map(|fd| fd.any() != Some(false))
            .collect::<Vec<_>>()
            .into_iter();
        held.retain_mut(|stream| !is_ready.next().unwrap_or_default() || echo(stream));
        answer_tcp(tcp, answer, seen, |stream| {
            if manner == Manner::Echoes {
                held.push(stream);
            }
        });
        answer_udp(udp, answer, seen);
    }
}

fn answer_tcp(listener: &TcpListener, answer: &str, seen: &Seen, mut then: impl FnMut(TcpStream)) {
    while let Ok((mut stream, client)) = listener.accept() {
        seen.count(&seen.tcp, client);
        // Fails when the client has closed the socket early. The client counts that.
        let _ = stream.write_all(answer.as_bytes());
        then(stream);
    }
}

/// Echoes the bytes that can be read; returns false at the end of the stream. Clients send little and
/// wait for the echo, so writing never blocks.
fn echo(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 256];
    match stream.read(&mut bytes) {
        Ok(0) | Err(_) => false,
        Ok(length) => stream.write_all(&bytes[..length]).is_ok(),
    }
}

fn answer_udp(socket: &UdpSocket, answer: &str, seen: &Seen) {
    let mut question = [0; 64];
    while let Ok((_, client)) = socket.recv_from(&mut question) {
        seen.count(&seen.udp, client);
        // Fails when the client has closed the socket early. The client counts that.
        let _ = socket.send_to(answer.as_bytes(), client);
    }
}
