//! The endpoints of a measurement: one process that echoes one byte of each connection, on all
//! addresses.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::fd::AsRawFd as _,
    process::{Child, Stdio},
    sync::Arc,
    thread,
};

use clap::Args;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, bind, setsockopt, socket,
    sockopt::ReusePort,
};

use super::cpu;
use crate::place::Place;

/// Connections that are served concurrently on each processor. More than one, because a proxy begins
/// a connection before it closes the previous one.
const THREADS: usize = 4;

/// Where the server listens.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// Port
    port: u16,
    /// Run on this processor only, instead of on all
    #[arg(long)]
    cpu: Option<usize>,
}

/// A running server process; killed when dropped.
pub struct Server(Child);

impl Server {
    /// Starts the server in a place, and waits until it listens.
    pub fn start(place: &Place, port: u16, cpu: Option<usize>) -> Self {
        let mut command = place.command(std::env::current_exe().expect("this program has a path"));
        command
            .args(["serve", &port.to_string()])
            .stdout(Stdio::piped());
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut process = command.spawn().expect("this program starts");
        let mut ready = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut ready)
            .expect("a pipe can be read");
        assert_eq!(ready, "ready\n", "the server at port {port} does not start");
        Self(process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is this process's child, and not yet reaped: no other process can be hit.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server process. It runs until it is killed.
pub fn run(options: &Options) -> bool {
    let cpus = options.cpu.map_or_else(cpu::all, |cpu| vec![cpu]);
    let listeners: Vec<_> = cpus
        .iter()
        .map(|&cpu| (cpu, Arc::new(listen(options.port, cpu))))
        .collect();
    let serve = |(cpu, listener)| thread::spawn(move || serve(cpu, &listener));
    let threads: Vec<_> = listeners
        .into_iter()
        .flat_map(|one| vec![one; THREADS])
        .map(serve)
        .collect();
    println!("ready");
    threads.into_iter().all(|thread| thread.join().is_ok())
}

/// Serves connections one after the other.
fn serve(cpu: usize, listener: &Arc<TcpListener>) {
    cpu::stay(Some(cpu));
    for mut stream in listener.incoming().flatten() {
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|read| read == 1) && stream.write_all(&byte).is_ok()
        {
        }
    }
}

/// Returns a listener for the connections that arrive on a processor. Then both ends of a connection
/// are on one processor, where it costs least, and added costs show most.
fn listen(port: u16, cpu: usize) -> TcpListener {
    let kind = (
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Tcp,
    );
    let socket = socket(kind.0, kind.1, kind.2, kind.3).expect("descriptors are left for a socket");
    setsockopt(&socket, ReusePort, &true).expect("every kernel has this option");
    let number = libc::c_int::try_from(cpu).expect("a small number");
    let size = libc::socklen_t::try_from(size_of_val(&number)).expect("a small number");
    // SAFETY: the option is read from a live integer of the size that is passed.
    unsafe {
        let value = (&raw const number).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_INCOMING_CPU,
            value,
            size,
        )
    };
    bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))
        .expect("no other process has this port");
    nix::sys::socket::listen(&socket, Backlog::MAXCONN).expect("a bound socket can listen");
    socket.into()
}
