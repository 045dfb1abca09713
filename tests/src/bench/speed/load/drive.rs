//! The clients of a measurement: threads that connect in closed loops and time every step.

use std::{
    net::Ipv4Addr,
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use mesh_common::hash::GOLDEN_64;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, connect, recv, send,
    socket,
};
use serde::{Deserialize, Serialize};

use super::cpu;
use crate::{
    bench::{interrupt, stats::percentile},
    place::Place,
};

/// What a client does in each iteration of its loop.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Connects, sends a byte, receives a byte, closes.
    Tcp,
    /// Connects one UDP socket repeatedly.
    Udp,
    /// Creates, connects and closes a UDP socket.
    FreshUdp,
}

/// Targets of clients: consecutive addresses, chosen at random.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Targets {
    /// First address
    pub first: Ipv4Addr,
    /// Number of addresses
    pub count: u32,
    /// Port of all of them
    pub port: u16,
}

/// What the clients do.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// What each iteration does
    way: Way,
    #[command(flatten)]
    targets: Targets,
    /// Duration of the load, milliseconds
    milliseconds: u64,
    /// Number of concurrent clients
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Bind all clients to this processor, instead of each to another one
    #[arg(long)]
    cpu: Option<usize>,
}

/// Clients of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// What each iteration does.
    pub way: Way,
    /// The targets.
    pub targets: Targets,
    /// Duration of the load.
    pub time: Duration,
    /// Number of concurrent clients.
    pub threads: usize,
    /// The processor that all clients are bound to, if any.
    pub cpu: Option<usize>,
}

/// Result of the clients.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoadResult {
    /// Iterations that succeeded.
    pub ok: u64,
    /// Iterations that failed.
    pub failed: u64,
    /// Time from the first to the last iteration.
    pub seconds: f64,
    /// Median and 99th percentile of the connects, nanoseconds.
    pub connect: [u64; 2],
    /// Median and 99th percentile of whole iterations, nanoseconds.
    pub turn: [u64; 2],
}

/// Runs clients in a place until the time is over.
pub fn drive(place: &Place, clients: Clients) -> LoadResult {
    let Clients {
        way,
        targets: Targets { first, count, port },
        time,
        threads,
        cpu,
    } = clients;
    let mut command = place.command(std::env::current_exe().expect("this program has a path"));
    let way = way.to_possible_value().expect("no way is hidden");
    let words = [
        first.to_string(),
        count.to_string(),
        port.to_string(),
        time.as_millis().to_string(),
    ];
    command
        .args(["drive", way.get_name()])
        .args(words)
        .args(["--threads", &threads.to_string()]);
    if let Some(cpu) = cpu {
        command.args(["--cpu", &cpu.to_string()]);
    }
    let output = command.output().expect("this program starts");
    interrupt::check();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcome: LoadResult = serde_json::from_slice(&output.stdout).expect("clients print JSON");
    assert!(
        outcome.ok > 0 && outcome.failed * 1000 <= outcome.ok,
        "{clients:?} failed: {outcome:?}"
    );
    outcome
}

/// The client process.
pub fn run(options: &Options) -> bool {
    let (start, time) = (Instant::now(), Duration::from_millis(options.milliseconds));
    let options = *options;
    let cpus = options.cpu.map_or_else(cpu::all, |cpu| vec![cpu]);
    let work = |number: usize| {
        let cpu = cpus.iter().cycle().nth(number).copied();
        thread::spawn(move || {
            cpu::stay(cpu);
            Client::new(options, number as u64).run(start + time)
        })
    };
    let threads: Vec<_> = (1..=options.threads).map(work).collect();
    let mut all = Client::new(options, 0);
    for thread in threads {
        let mut one = thread.join().expect("clients do not panic");
        all.connects.append(&mut one.connects);
        all.turns.append(&mut one.turns);
        all.failed += one.failed;
    }
    all.connects.sort_unstable();
    all.turns.sort_unstable();
    let outcome = LoadResult {
        ok: all.turns.len() as u64,
        failed: all.failed,
        seconds: start.elapsed().as_secs_f64(),
        connect: [0.5, 0.99].map(|share| percentile(&all.connects, share)),
        turn: [0.5, 0.99].map(|share| percentile(&all.turns, share)),
    };
    println!(
        "{}",
        serde_json::to_string(&outcome).expect("numbers are JSON")
    );
    true
}

struct Client {
    options: Options,
    chance: u64,
    connects: Vec<u64>,
    turns: Vec<u64>,
    failed: u64,
}

impl Client {
    fn new(options: Options, seed: u64) -> Self {
        let chance = seed.wrapping_mul(GOLDEN_64) | 1;
        Self {
            options,
            chance,
            connects: Vec::new(),
            turns: Vec::new(),
            failed: 0,
        }
    }

    fn run(mut self, end: Instant) -> Self {
        let same = open(Way::Udp);
        loop {
            let start = Instant::now();
            if start >= end {
                return self;
            }
            let target = self.target();
            let connected = match self.options.way {
                Way::Udp => same
                    .as_ref()
                    .ok()
                    .and_then(|socket| turn_on(socket, &target, false)),
                way => open(way)
                    .ok()
                    .and_then(|socket| turn_on(&socket, &target, way == Way::Tcp)),
            };
            match connected {
                Some(connect) => {
                    self.connects.push(nanoseconds(connect));
                    self.turns.push(nanoseconds(start.elapsed()));
                }
                None => self.failed += 1,
            }
        }
    }

    /// Returns a random target. Xorshift is random enough here, and fast.
    fn target(&mut self) -> SockaddrIn {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let Targets { first, count, port } = self.options.targets;
        let place = u32::try_from((self.chance >> 16) % u64::from(count.max(1))).unwrap_or(0);
        let [a, b, c, d] = (u32::from(first) + place).to_be_bytes();
        SockaddrIn::new(a, b, c, d, port)
    }
}

fn open(way: Way) -> nix::Result<std::os::fd::OwnedFd> {
    let (kind, protocol) = match way {
        Way::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Way::Udp | Way::FreshUdp => (SockType::Datagram, SockProtocol::Udp),
    };
    socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, protocol)
}

/// Returns the time of the connect, unless it or the echo failed.
fn turn_on(socket: &impl AsRawFd, target: &SockaddrIn, echo: bool) -> Option<Duration> {
    let (socket, start) = (socket.as_raw_fd(), Instant::now());
    connect(socket, target).ok()?;
    let took = start.elapsed();
    if echo {
        send(socket, b"?", MsgFlags::MSG_NOSIGNAL).ok()?;
        recv(socket, &mut [0], MsgFlags::empty())
            .ok()
            .filter(|&received| received == 1)?;
    }
    Some(took)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
