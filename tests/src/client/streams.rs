//! Long TCP streams that are checked for gaps: each beat sends the next number over every stream
//! and expects it back.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{ConnectReport, Times, dial::named};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Streams that are open.
#[derive(Default)]
pub struct Streams {
    open: Vec<Stream>,
    beat: u64,
}

struct Stream {
    server: String,
    socket: BufReader<TcpStream>,
}

impl Streams {
    /// Opens a number of connections and reads the name of each server.
    pub fn open(&mut self, to: SocketAddr, count: u32) -> ConnectReport {
        let mut report = ConnectReport::default();
        let mut durations = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            let opened = named("connect", TcpStream::connect(to));
            durations.push(start.elapsed());
            let stream = opened.and_then(|socket| {
                *report
                    .peers
                    .entry(named("getpeername", socket.peer_addr())?)
                    .or_default() += 1;
                named("answer", Stream::hear(socket))
            });
            self.open
                .extend(report.note(stream, |stream| stream.server.clone()));
        }
        report.took = Times::of(durations);
        report
    }

    /// Sends a number over every stream. A stream that fails is counted once and dropped.
    pub fn beat(&mut self) -> ConnectReport {
        self.beat += 1;
        let number = self.beat.to_be_bytes();
        let mut report = ConnectReport::default();
        let sent: Vec<_> = self
            .open
            .drain(..)
            .map(|stream| named("send", stream.send(number)))
            .collect();
        for stream in sent {
            let answered = stream.and_then(|stream| stream.expect(number));
            self.open
                .extend(report.note(answered, |stream| stream.server.clone()));
        }
        report
    }
}

impl Stream {
    fn hear(socket: TcpStream) -> io::Result<Self> {
        socket.set_read_timeout(Some(ANSWER))?;
        socket.set_nodelay(true)?;
        let mut socket = BufReader::with_capacity(64, socket);
        let mut line = String::new();
        socket.read_line(&mut line)?;
        let server = line
            .strip_suffix('\n')
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .to_owned();
        Ok(Self { server, socket })
    }

    fn send(mut self, number: [u8; 8]) -> io::Result<Self> {
        self.socket.get_mut().write_all(&number)?;
        Ok(self)
    }

    fn expect(mut self, number: [u8; 8]) -> Result<Self, String> {
        let mut answer = [0; 8];
        named("answer", self.socket.read_exact(&mut answer))?;
        if answer == number {
            Ok(self)
        } else {
            Err("a gap".into())
        }
    }
}
