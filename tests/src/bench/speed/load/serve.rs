//! The endpoints of a measurement: one process that echoes one byte of each connection, whatever address it is for.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Child, Stdio},
    sync::Arc,
    thread,
};

use clap::Args;

use super::cpu;
use crate::place::Place;

/// Where it listens.
#[derive(Args, Clone, Copy)]
pub struct Options {
    /// Port, on all addresses
    port: u16,
    /// Connections at the same time
    #[arg(long, default_value_t = 8)]
    threads: usize,
    /// Stay on this processor
    #[arg(long)]
    cpu: Option<usize>,
}

/// A running server process; killed when dropped.
pub struct Server(Child);

impl Server {
    /// Starts it at a place and waits until it listens.
    pub fn start(place: &Place, port: u16, cpu: Option<usize>) -> Self {
        let mut command = place.command(std::env::current_exe().expect("this program has a path"));
        command.args(["serve", &port.to_string()]).stdout(Stdio::piped());
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut process = command.spawn().expect("this program starts");
        let mut ready = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut ready).expect("a pipe can be read");
        assert_eq!(ready, "ready\n", "the server at port {port} does not start");
        Self(process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is this process's child, and not yet reaped: nobody else can be hit.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server process. It runs until it is killed.
pub fn run(options: &Options) -> bool {
    cpu::stay(options.cpu);
    let listener = Arc::new(TcpListener::bind(("0.0.0.0", options.port)).expect("nobody else has this port"));
    let serve = |_| {
        let listener = Arc::clone(&listener);
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|mut stream| {
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|read| read == 1) && stream.write_all(&byte).is_ok() {}
            })
        })
    };
    let threads: Vec<_> = (0..options.threads).map(serve).collect();
    println!("ready");
    threads.into_iter().all(|thread| thread.join().is_ok())
}
