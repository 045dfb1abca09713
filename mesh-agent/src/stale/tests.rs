//! Tests with sockets of this machine's kernel, in this network namespace and in private ones. Need
//! root.

mod capabilities;
mod scan;
pub(crate) mod scene;

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    path::Path,
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};

use mesh_common::abi::{BackendRow, backend_state, protocol};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::socket::{SockaddrIn, bind, connect, setsockopt, sockopt::ReusePort},
};

use self::scene::{
    assert_aborted, assert_delivers, in_private_namespace, need_root, tracked, udp, udp_to,
    udp_unbound, without,
};
use super::{CloseReport, NamespaceScope, Tracked, TrackedSocket, stale};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

fn destroy(sockets: &[Tracked]) -> CloseReport {
    super::destroy(sockets, NamespaceScope::All)
}

/// Address of a server, and the address by which a client connects to it.
const FAMILIES: [(&str, &str); 3] = [
    ("127.0.0.1", "127.0.0.1"),
    ("::1", "::1"),
    ("127.0.0.1", "::ffff:127.0.0.1"),
];

/// Calls `destroy` from the test's own thread, whose namespace is not the one of `run`.
fn destroyed_from_outside(run: impl FnOnce(&dyn Fn(&[Tracked]) -> CloseReport) + Send) {
    thread::scope(|scope| {
        let (jobs_in, jobs) = mpsc::channel::<Vec<Tracked>>();
        let (reports_in, reports) = mpsc::channel();
        scope.spawn(move || {
            jobs.into_iter()
                .for_each(|job| reports_in.send(destroy(&job)).unwrap());
        });
        in_private_namespace(move || {
            run(&|sockets| {
                jobs_in.send(sockets.to_vec()).unwrap();
                reports.recv().unwrap()
            });
        });
    });
}

fn udp_is_closed_and_its_neighbours_are_not(
    destroy: &dyn Fn(&[Tracked]) -> CloseReport,
    server: &str,
    client: &str,
) {
    let (server, elsewhere) = (udp(server), udp(server));
    let (victim, peer) = udp_to(&server, client);
    let (neighbour, _) = udp_to(&server, client);
    let (reconnected, _) = udp_to(&server, client);
    // Several ports, so that the kernel does not filter by one and the search itself must tell them
    // apart.
    let absent = (
        u64::MAX,
        TrackedSocket {
            port: 0x0900,
            ..tracked(&victim, peer).1
        },
    );
    let rows = [tracked(&victim, peer), tracked(&reconnected, peer), absent];
    reconnected
        .connect(SocketAddr::new(
            peer.ip(),
            elsewhere.local_addr().unwrap().port(),
        ))
        .unwrap();

    let report = destroy(&rows);

    assert_eq!(report.closed, [rows[0].0]);
    assert_eq!(report.not_found, [rows[1].0, absent.0]);
    assert_aborted(victim.recv(&mut [0; 16]));
    assert_delivers(&neighbour, &server);
    assert_delivers(&reconnected, &elsewhere);
    victim.connect(reconnected.peer_addr().unwrap()).unwrap();
    assert_delivers(&victim, &elsewhere);
}

fn tcp_is_closed_and_its_neighbours_are_not(
    destroy: &dyn Fn(&[Tracked]) -> CloseReport,
    server: &str,
    client: &str,
) {
    let listener = TcpListener::bind((server, 0)).unwrap();
    let peer = SocketAddr::new(
        client.parse().unwrap(),
        listener.local_addr().unwrap().port(),
    );
    let pair = || {
        (
            TcpStream::connect(peer).unwrap(),
            listener.accept().unwrap().0,
        )
    };
    let (mut victim, mut victim_peer) = pair();
    let (mut neighbour, mut neighbour_peer) = pair();
    let row = tracked(&victim, peer);

    let report = destroy(&[row]);

    assert_eq!(
        report,
        CloseReport {
            closed: vec![row.0],
            ..CloseReport::default()
        }
    );
    assert_aborted(victim.read(&mut [0; 16]));
    assert_eq!(
        victim_peer.read(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    neighbour.write_all(b"still here").unwrap();
    let mut buffer = [0; 10];
    neighbour_peer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still here");
}

#[test]
fn sockets_are_stale_by_the_state_and_generation_of_their_backend() {
    let row = |generation, state| BackendRow {
        generation,
        state,
        ..bytemuck::Zeroable::zeroed()
    };
    let backends = crate::table::Table::from([
        (0, row(1, backend_state::ACTIVE)),
        (1, row(1, backend_state::DRAINING)),
        (2, row(1, backend_state::DOWN)),
        (3, row(1, backend_state::RETIRED)),
        (4, row(2, backend_state::ACTIVE)),
        (5, row(1, backend_state::FREE)),
        (
            7,
            BackendRow {
                drain_seconds: 9,
                ..row(1, backend_state::RETIRED)
            },
        ),
    ]);
    let sockets = |protocol, from: u64| {
        (0..8).map(move |backend_index| {
            let row = TrackedSocket {
                backend_index,
                generation: 1,
                protocol,
                ..bytemuck::Zeroable::zeroed()
            };
            (from + u64::from(backend_index), row)
        })
    };
    let tracked: Vec<Tracked> = sockets(protocol::UDP, 10)
        .chain(sockets(protocol::TCP, 20))
        .collect();
    let cookies: Vec<u64> = stale(&tracked, &backends)
        .into_iter()
        .map(|(cookie, _)| cookie)
        .collect();
    assert_eq!(cookies, [12, 13, 14, 15, 16, 23, 24, 25, 26]);
}

#[test]
fn udp_in_this_namespace_is_closed_and_its_neighbours_are_not() {
    need_root();
    for (server, client) in FAMILIES {
        udp_is_closed_and_its_neighbours_are_not(&destroy, server, client);
    }
}

#[test]
fn udp_in_another_namespace_is_closed_and_its_neighbours_are_not() {
    for (server, client) in FAMILIES {
        destroyed_from_outside(|destroy| {
            udp_is_closed_and_its_neighbours_are_not(destroy, server, client);
        });
    }
}

#[test]
fn tcp_in_this_namespace_is_closed_and_its_neighbours_are_not() {
    need_root();
    for (server, client) in FAMILIES {
        tcp_is_closed_and_its_neighbours_are_not(&destroy, server, client);
    }
}

#[test]
fn tcp_in_another_namespace_is_closed_and_its_neighbours_are_not() {
    for (server, client) in FAMILIES {
        destroyed_from_outside(|destroy| {
            tcp_is_closed_and_its_neighbours_are_not(destroy, server, client);
        });
    }
}

#[test]
fn namespace_that_is_only_mounted_is_searched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netns with a space");
    File::create(&path).unwrap();
    let (server, client) = in_private_namespace(|| {
        mount(
            Some("/proc/thread-self/ns/net"),
            &path,
            None::<&Path>,
            MsFlags::MS_BIND,
            None::<&Path>,
        )
        .unwrap();
        let server = udp("127.0.0.1");
        let client = udp_to(&server, "127.0.0.1");
        (server, client)
    });
    let row = tracked(&client.0, client.1);

    let mounted = destroy(&[row]);
    umount2(&path, MntFlags::MNT_DETACH).unwrap();

    assert_eq!(
        mounted,
        CloseReport {
            closed: vec![row.0],
            ..CloseReport::default()
        }
    );
    assert_aborted(client.0.recv(&mut [0; 16]));
    assert!(server.take_error().unwrap().is_none());
}

#[test]
fn both_protocols_and_families_are_closed_in_one_go() {
    need_root();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(peer).unwrap();
    let (v4, v6) = (udp("127.0.0.1"), udp("::1"));
    let ((first, first_peer), (second, second_peer)) =
        (udp_to(&v4, "127.0.0.1"), udp_to(&v6, "::1"));
    let rows = [
        tracked(&stream, peer),
        tracked(&first, first_peer),
        tracked(&second, second_peer),
    ];

    let report = destroy(&rows);

    let mut closed = report.closed.clone();
    closed.sort_unstable();
    let mut cookies: Vec<u64> = rows.iter().map(|(cookie, _)| *cookie).collect();
    cookies.sort_unstable();
    assert_eq!(closed, cookies);
    assert_eq!((report.not_found, report.failed), (vec![], vec![]));
    assert_aborted(stream.read(&mut [0; 1]));
    assert_aborted(first.recv(&mut [0; 1]));
    assert_aborted(second.recv(&mut [0; 1]));
}

/// The kernel looks up the socket to close by its addresses; only the cookie tells these two apart.
#[test]
fn socket_with_the_same_addresses_as_a_stale_one_is_left_alone() {
    need_root();
    let server = udp("127.0.0.1");
    let peer = server.local_addr().unwrap();
    let local = udp("127.0.0.1").local_addr().unwrap();
    let twin = || {
        let socket = udp_unbound();
        setsockopt(&socket, ReusePort, &true).unwrap();
        let address = |address| match address {
            SocketAddr::V4(v4) => SockaddrIn::from(v4),
            SocketAddr::V6(_) => unreachable!("bound to an IPv4 address"),
        };
        bind(socket.as_raw_fd(), &address(local)).unwrap();
        connect(socket.as_raw_fd(), &address(peer)).unwrap();
        UdpSocket::from(socket)
    };
    for tracked_one in [0, 1] {
        let twins = [twin(), twin()];
        let row = tracked(&twins[tracked_one], peer);
        let report = destroy(&[row]);
        assert_eq!(report.closed.len() + report.not_found.len(), 1);
        assert!(twins[1 - tracked_one].take_error().unwrap().is_none());
        assert_eq!(twins[1 - tracked_one].peer_addr().unwrap(), peer);
    }
}

#[test]
fn every_other_of_two_thousand_in_three_namespaces_is_closed_once() {
    let (sockets_in, sockets) = mpsc::channel();
    let (done, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (sockets_in, wait) = (sockets_in.clone(), &wait);
            scope.spawn(move || {
                in_private_namespace(|| {
                    let server = udp("127.0.0.1");
                    let open: Vec<_> = (0..667).map(|_| udp_to(&server, "127.0.0.1")).collect();
                    sockets_in
                        .send(
                            open.iter()
                                .map(|(socket, peer)| tracked(socket, *peer))
                                .collect(),
                        )
                        .unwrap();
                    _ = wait.lock().unwrap().recv();
                });
            });
        }
        drop(sockets_in);
        let all: Vec<Vec<Tracked>> = (0..3).map(|_| sockets.recv().unwrap()).collect();
        let stale: Vec<Tracked> = all.iter().flatten().step_by(2).copied().collect();
        let started = Instant::now();
        let report = destroy(&stale);
        println!(
            "{} of 2001 sockets closed in {:?}",
            report.closed.len(),
            started.elapsed()
        );
        assert_eq!(report.closed.len(), stale.len());
        let again = destroy(&stale);
        assert_eq!(
            (again.closed.len(), again.not_found.len()),
            (0, stale.len())
        );
        drop(done);
    });
}
