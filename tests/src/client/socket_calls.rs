//! Methods of a test on single sockets of a client process.

use std::{net::SocketAddr, path::Path};

use super::{Act, Client, Done, Heard, Request, SocketId, Transport, address};

impl Client {
    /// A UDP socket bound to an address like `0.0.0.0:0` or `[::]:5000`.
    pub fn udp_socket(&mut self, bind: &str) -> SocketId {
        self.socket(Transport::Udp, bind)
    }

    /// A TCP socket bound to an address like `0.0.0.0:0` or `127.0.0.5:0`.
    pub fn tcp_socket(&mut self, bind: &str) -> SocketId {
        self.socket(Transport::Tcp, bind)
    }

    /// Opens a socket, which must succeed.
    pub fn socket(&mut self, transport: Transport, bind: &str) -> SocketId {
        self.try_socket(transport, bind)
            .unwrap_or_else(|error| panic!("{transport:?} at {bind}: {error}"))
    }

    /// Opens a socket, if the kernel supports it.
    pub fn try_socket(&mut self, transport: Transport, bind: &str) -> Done<SocketId> {
        self.ask(&Request::Open {
            transport,
            bind: address(bind),
        });
        self.answer()
    }

    /// Receives a socket that another process passes at `path` while this one waits.
    pub fn take_from(&mut self, path: &Path, passing: impl FnOnce()) -> SocketId {
        self.ask(&Request::Take { path: path.into() });
        passing();
        self.answer::<Done<SocketId>>()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `connect`
    pub fn connect(&mut self, socket: SocketId, to: &str) -> Done {
        self.act(socket, Act::Connect(address(to)))
    }

    /// `connect` to `AF_UNSPEC`
    pub fn disconnect(&mut self, socket: SocketId) -> Done {
        self.act(socket, Act::Disconnect)
    }

    /// `getpeername`
    pub fn peer(&mut self, socket: SocketId) -> Done<SocketAddr> {
        self.act_for(socket, Act::Peer)
    }

    /// `getsockname`
    pub fn local(&mut self, socket: SocketId) -> Done<SocketAddr> {
        self.act_for(socket, Act::Local)
    }

    /// `send`
    pub fn send(&mut self, socket: SocketId) -> Done {
        self.act(socket, Act::Send)
    }

    /// `sendto`
    pub fn send_to(&mut self, socket: SocketId, to: &str) -> Done {
        self.act(socket, Act::SendTo(address(to)))
    }

    /// `recvfrom`, for at most a second.
    pub fn receive(&mut self, socket: SocketId) -> Done<Heard> {
        self.act_for(socket, Act::Receive)
    }

    /// `recvfrom` of what is there already; `EAGAIN` if nothing is.
    pub fn receive_now(&mut self, socket: SocketId) -> Done<Heard> {
        self.act_for(socket, Act::ReceiveNow)
    }

    /// `sendto` and `recvfrom`
    pub fn ask_at(&mut self, socket: SocketId, to: &str) -> Done<Heard> {
        self.send_to(socket, to)?;
        self.receive(socket)
    }

    /// Returns the server that answers a `sendto`, or the errno.
    pub fn name_at(&mut self, socket: SocketId, to: &str) -> Done<String> {
        self.ask_at(socket, to).map(|heard| heard.name)
    }

    /// Returns the server that answers a `send` on a connected socket, or the errno.
    pub fn name_of_peer(&mut self, socket: SocketId) -> Done<String> {
        self.send(socket)?;
        self.receive(socket).map(|heard| heard.name)
    }

    /// Takes the pending error, if there is one.
    pub fn pending_error(&mut self, socket: SocketId) -> Option<String> {
        self.act(socket, Act::Error).err()
    }

    /// `close`
    pub fn close(&mut self, socket: SocketId) {
        self.act(socket, Act::Close)
            .expect("an open socket can be closed");
    }

    /// `close` with a reset.
    pub fn reset(&mut self, socket: SocketId) {
        self.act(socket, Act::Reset)
            .expect("an open socket can be closed");
    }

    /// Starts a `connect` without waiting; returns true if it is under way.
    pub fn start_connect(&mut self, socket: SocketId, to: &str) -> bool {
        self.act(socket, Act::StartConnect(address(to))) == Err("EINPROGRESS".into())
    }

    /// Runs an act that returns no value.
    pub fn act(&mut self, socket: SocketId, act: Act) -> Done {
        self.act_for(socket, act)
    }

    fn act_for<T: serde::de::DeserializeOwned>(&mut self, socket: SocketId, act: Act) -> Done<T> {
        self.ask(&Request::Act { socket, act });
        self.answer()
    }
}
