//! Servers that answer with their name, over HTTP or with a UDP datagram.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Longest time that a server waits for a client, and until a UDP server notices that it must stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that answers with a name. `drop` returns when its socket is closed.
pub struct Server {
    stop: Arc<AtomicBool>,
    wake: Box<dyn Fn() + Send>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts an HTTP server that answers each request with `name` and closes the connection.
    pub fn http(address: SocketAddr, name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        // A connect wakes the thread in `accept`, so that it sees that it must stop.
        let wake = move || drop(TcpStream::connect(address));
        Ok(Self::spawn(wake, move |stop| {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // An error of one client must not affect others.
                let _ = stream.and_then(|stream| answer_http(&stream, name));
            }
        }))
    }

    /// Starts a UDP server that answers each datagram with `name` and a newline.
    pub fn udp(address: SocketAddr, name: &'static str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::spawn(
            || (),
            move |stop| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = answer_udp(&socket, name);
                }
            },
        ))
    }

    fn spawn(
        wake: impl Fn() + Send + 'static,
        serve: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || serve(&stop)
        });
        Self {
            stop,
            wake: Box::new(wake),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.wake)();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer_http(mut stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(stream).lines();
    while request
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let length = name.len() + 1;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{name}\n"
    )
}

fn answer_udp(socket: &UdpSocket, name: &str) -> io::Result<()> {
    let (_, client) = socket.recv_from(&mut [0; 512])?;
    socket.send_to(format!("{name}\n").as_bytes(), client)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn free_tcp() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[test]
    fn http_server_says_its_name_until_dropped() {
        let address = free_tcp();
        let server = Server::http(address, "catalog-1").unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ncatalog-1\n"),
            "{answer}"
        );

        drop(server);
        assert_eq!(
            TcpStream::connect(address).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[test]
    fn udp_server_answers_each_datagram_with_its_name() {
        let address = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let _server = Server::udp(address, "stock-1").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(address).unwrap();
        let mut answer = [0; 16];
        for _ in 0..2 {
            client.send(b"?").unwrap();
            let length = client.recv(&mut answer).unwrap();
            assert_eq!(&answer[..length], b"stock-1\n");
        }
    }
}
