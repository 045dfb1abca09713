//! Continuous traffic while the agent is changed, killed and restarted: a process in the demo's
//! cgroup connects in a closed loop, and each answer is recorded with its time.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{client, site::Site};

/// Pause between connects, so that the loop does not use up the machine's ports.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// The outcome of one connect.
pub struct Answer {
    /// Time of the answer.
    pub at: Instant,
    /// Name of the endpoint, or the error.
    pub from: Result<String, String>,
}

/// Running traffic.
pub struct Traffic {
    child: Child,
    input: Option<ChildStdin>,
    incoming: mpsc::Receiver<Answer>,
    answers: Vec<Answer>,
}

impl Traffic {
    /// Starts the traffic.
    pub fn start(site: &Site, to: &str) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let mut command =
            client::inside(site, this.to_str().context("path of xtask is not UTF-8")?);
        command
            .args(["traffic", to])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("start traffic")?;
        let output = child.stdout.take().context("standard output is piped")?;
        let (sender, incoming) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines
                .map(|line| parse(&line))
                .try_for_each(|answer| sender.send(answer))
        });
        Ok(Self {
            input: child.stdin.take(),
            child,
            incoming,
            answers: Vec::new(),
        })
    }

    /// Returns all answers since `start`.
    pub fn since(&mut self, start: Instant) -> &[Answer] {
        self.answers.extend(self.incoming.try_iter());
        &self.answers[self.answers.partition_point(|answer| answer.at < start)..]
    }

    /// Stops the traffic after the current connect. Returns the number of connects.
    pub fn finish(mut self) -> anyhow::Result<usize> {
        drop(self.input.take());
        self.answers.extend(self.incoming.iter());
        self.child.wait()?;
        Ok(self.answers.len())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs in the traffic process: prints one line per connect until standard input ends.
pub fn generate(to: SocketAddr) -> anyhow::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    thread::spawn({
        let ended = ended.clone();
        move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        }
    });
    let mut output = io::stdout();
    while !ended.load(Ordering::Relaxed) {
        match ask(to) {
            Ok(name) => writeln!(output, "{name}")?,
            Err(error) => writeln!(output, "{ERROR}{error}")?,
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// First character of a line with an error.
const ERROR: char = '!';

fn parse(line: &str) -> Answer {
    let from = line
        .strip_prefix(ERROR)
        .map_or_else(|| Ok(line.to_owned()), |error| Err(error.to_owned()));
    Answer {
        at: Instant::now(),
        from,
    }
}

fn ask(to: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.lines().last().filter(|line| !line.is_empty());
    body.map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server::Server;

    #[test]
    fn asking_returns_the_name_of_the_endpoint() {
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let _server = Server::http(address, "catalog-1").unwrap();
        assert_eq!(ask(address).unwrap(), "catalog-1");
    }

    #[test]
    fn errors_are_told_from_names() {
        assert_eq!(parse("catalog-1").from, Ok("catalog-1".to_owned()));
        assert_eq!(parse("!refused").from, Err("refused".to_owned()));
    }
}
