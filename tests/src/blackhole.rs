//! An endpoint that never answers: a listener that never accepts and whose queue is full.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use nix::sys::socket::{Backlog, listen};

use crate::netns::Netns;

/// An endpoint that does not answer connects. When it is dropped, connects are refused.
pub struct Blackhole {
    listener: TcpListener,
    address: SocketAddr,
    _queued: TcpStream,
}

impl Blackhole {
    /// Opens a blackhole at `ip` in `netns`, on a free port.
    pub fn open(netns: &Netns, ip: IpAddr) -> Self {
        Self::open_at(netns, (ip, 0).into())
    }

    /// Opens a blackhole at an address and port; port 0 takes a free one.
    pub fn open_at(netns: &Netns, at: SocketAddr) -> Self {
        netns.run(|| {
            let listener = TcpListener::bind(at).expect("a free port");
            // A second call changes the length of the queue. Length 0 holds one connection.
            listen(&listener, Backlog::new(0).expect("zero is a length"))
                .expect("the socket listens already");
            let address = listener.local_addr().expect("a listener has an address");
            let queued = TcpStream::connect(address).expect("the queue takes one connection");
            let more = TcpStream::connect_timeout(&address, Duration::from_millis(50));
            assert!(
                more.is_err(),
                "{address} answers although its queue is full"
            );
            Self {
                listener,
                address,
                _queued: queued,
            }
        })
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Enlarges the queue, so that connects are answered from now on.
    pub fn fill(&self) {
        listen(&self.listener, Backlog::new(100).expect("a length"))
            .expect("the socket listens already");
    }
}
