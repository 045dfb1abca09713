//! A client: a process in a place. It is a process because programs run for the sockets of a cgroup,
//! and a thread is in the cgroup of its process. Test and client exchange lines of JSON.

pub mod act;
pub mod attack;
pub mod crowd;
pub mod dial;
pub mod hoard;
mod namespaces;
pub mod protocol;
pub mod request;
pub mod serve;
mod socket_calls;
pub mod sockets;
pub mod streams;

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::de::DeserializeOwned;

use crate::{binary, place::Place};

pub use act::{Act, Done, Heard, SocketId, Transport};
pub use attack::Attack;
pub use crowd::{Crowd, Rushed};
pub use hoard::Hoard;
pub use protocol::{ConnectReport, Protocol, Step, Times};
pub use request::Request;

/// A client process; ended when dropped.
pub struct Client {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    // Dropped after the process: a cgroup with processes cannot be removed.
    _place: Place,
}

impl Client {
    /// Starts a client in `place`.
    pub fn start(place: &Place) -> Self {
        Self::run_by(place.command(binary::find("mesh-client")), place)
    }

    /// Starts a client by a command that ends with the client's program, in `place`.
    pub fn run_by(mut command: Command, place: &Place) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a client: {error}"));
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Self {
            process,
            questions,
            answers,
            _place: place.clone(),
        }
    }

    /// Prepares a TCP connect to an address like `10.96.0.10:80`, `[fd00:96::10]:80` or
    /// `[::ffff:10.96.0.10]:80`.
    pub fn tcp(&mut self, to: &str) -> Dial<'_> {
        Dial {
            client: self,
            protocol: Protocol::Tcp,
            to: address(to),
        }
    }

    /// Prepares a UDP connect: a connected socket, and a datagram each way.
    pub fn udp(&mut self, to: &str) -> Dial<'_> {
        Dial {
            client: self,
            protocol: Protocol::Udp,
            to: address(to),
        }
    }

    /// Connects one UDP socket to each address in turn.
    pub fn walk(&mut self, to: &[SocketAddr]) -> Vec<Step> {
        self.ask(&Request::Walk { to: to.into() });
        self.answer()
    }

    /// Opens TCP streams that stay open.
    pub fn open_streams(&mut self, to: &str, count: u32) -> ConnectReport {
        self.ask(&Request::OpenStreams {
            to: address(to),
            count,
        });
        self.answer()
    }

    /// Connects from several threads and closes at once.
    pub fn crowd(&mut self, crowd: &Crowd) -> ConnectReport {
        self.ask(&Request::Crowd(crowd.clone()));
        self.answer()
    }

    /// Connects from several threads at once; all sockets are open before any is closed.
    pub fn rush(&mut self, crowd: &Crowd) -> Rushed {
        self.ask(&Request::Rush(crowd.clone()));
        self.answer()
    }

    /// Attacks until stopped, while the test continues. The report has no answers; its errors are
    /// the immediate results of `connect`.
    pub fn attack(&mut self, attack: Attack, to: &str) -> Loop<'_> {
        self.ask(&Request::Attack {
            attack,
            to: address(to),
        });
        Loop { client: self }
    }

    /// Kills the process.
    pub fn kill(mut self) {
        self.process.kill().expect("it is this process's child");
        self.process.wait().expect("it is this process's child");
    }

    /// Sends a number over every open stream and expects it back.
    pub fn beat(&mut self) -> ConnectReport {
        self.ask(&Request::Beat);
        self.answer()
    }

    fn ask(&mut self, request: &Request) {
        let line = serde_json::to_string(request).expect("requests are plain data");
        let questions = self.questions.as_mut().expect("open until dropped");
        writeln!(questions, "{line}").expect("the client process lives");
    }

    fn answer<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the client process answers in text");
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the client process said {line:?}: {error}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The process ends with its input.
        drop(self.questions.take());
        // It is this process's child, and not yet reaped: no other process can be hit.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connect that is being prepared.
pub struct Dial<'a> {
    client: &'a mut Client,
    protocol: Protocol,
    to: SocketAddr,
}

impl<'a> Dial<'a> {
    /// Connects once.
    pub fn once(self) -> ConnectReport {
        self.times(1)
    }

    /// Connects a number of times, one after the other.
    pub fn times(self, times: u32) -> ConnectReport {
        self.client.ask(&Request::Connect {
            protocol: self.protocol,
            to: self.to,
            times,
        });
        self.client.answer()
    }

    /// Connects one after the other until stopped, while the test continues.
    pub fn again_and_again(self) -> Loop<'a> {
        self.client.ask(&Request::KeepConnecting {
            protocol: self.protocol,
            to: self.to,
        });
        Loop {
            client: self.client,
        }
    }
}

/// Connects that go on while the test continues.
pub struct Loop<'a> {
    client: &'a mut Client,
}

impl Loop<'_> {
    /// Finishes the current connect, and returns the report of all.
    pub fn stop(self) -> ConnectReport {
        self.client.ask(&Request::Stop);
        self.client.answer()
    }
}

/// Parses an address literal of a test.
fn address(literal: &str) -> SocketAddr {
    literal
        .parse()
        .unwrap_or_else(|error| panic!("{literal}: {error}"))
}
