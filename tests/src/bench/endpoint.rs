//! An endpoint with a service time: workers that each accept, wait, answer one byte and close.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::netns::Netns;

/// A running endpoint; dropping it closes its port.
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    netns: Arc<Netns>,
    served: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens at 127.0.9.`host` with `workers` that take `time` for each connection.
    pub fn start(netns: &Arc<Netns>, host: u8, port: u16, workers: usize, time: Duration) -> Self {
        let wanted = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 9, host)), port);
        let listener = Arc::new(
            netns
                .run(|| TcpListener::bind(wanted))
                .expect("no other process is in this namespace"),
        );
        let address = listener.local_addr().expect("a listener has an address");
        let (served, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let work = |_| {
            let (listener, served, stop) = (
                Arc::clone(&listener),
                Arc::clone(&served),
                Arc::clone(&stop),
            );
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok((mut stream, _)) = listener.accept() else {
                        return;
                    };
                    served.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(time);
                    // The client may have disconnected.
                    _ = stream.write_all(b"!");
                }
            })
        };
        let workers = (0..workers).map(work).collect();
        Self {
            address,
            netns: Arc::clone(netns),
            served,
            stop,
            workers,
        }
    }

    /// Connections so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in std::mem::take(&mut self.workers) {
            // Each connect wakes one worker, which may be another one.
            while !worker.is_finished() {
                drop(
                    self.netns.run(|| {
                        TcpStream::connect_timeout(&self.address, Duration::from_millis(50))
                    }),
                );
                thread::sleep(Duration::from_millis(1));
            }
            _ = worker.join();
        }
    }
}
