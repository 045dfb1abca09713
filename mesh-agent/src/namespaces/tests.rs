use std::{net::UdpSocket, os::unix::net::UnixStream, path::PathBuf, thread};

use mesh_common::abi::protocol;

use super::{channel::Channel, *};
use crate::stale::{TrackedSocket, tests::scene::cookie};

/// A helper on a thread of this process. It ends with the channel.
fn helper() -> Channel {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || serve::serve(&theirs).unwrap());
    Channel::new(ours)
}

fn ask<T: serde::de::DeserializeOwned>(request: &Request) -> io::Result<T> {
    helper().ask(request, &CancellationToken::new())
}

#[test]
fn helper_tells_the_cookie_of_a_namespace_or_the_reason() {
    let cookie = |path: &str| ask::<Result<u64, String>>(&Request::Cookie(PathBuf::from(path)));
    let own = exclude::own_netns().unwrap();
    assert_eq!(cookie("/proc/self/ns/net").unwrap(), Ok(own));
    let none = "No such file or directory (os error 2)".to_owned();
    assert_eq!(cookie("/no/such").unwrap(), Err(none));
}

#[test]
fn helper_closes_the_sockets_it_is_given() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let socket_cookie = cookie(&socket);
    let address = peer.local_addr().unwrap();
    let tracked = TrackedSocket {
        backend: address.ip().into(),
        port: address.port().to_be(),
        protocol: protocol::UDP,
        backend_index: 7,
        generation: 1,
    };
    let gone = (1, tracked);
    let report: CloseReport = ask(&Request::Close(vec![(socket_cookie, tracked), gone])).unwrap();
    assert_eq!(
        (report.closed, report.not_found),
        (vec![socket_cookie], vec![1])
    );
    socket.set_nonblocking(true).unwrap();
    let error = socket.recv(&mut [0]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNABORTED));
}

#[test]
fn a_result_of_a_scan_is_the_same_at_the_other_end() {
    let peer = UdpSocket::bind("[::1]:0").unwrap();
    let sockets = ["[::1]:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
    sockets[0].connect(peer.local_addr().unwrap()).unwrap();
    let wanted: HashSet<u64> = sockets.iter().map(cookie).collect();
    let here = thread::spawn({
        let wanted = wanted.clone();
        move || stale::scan(&wanted, NamespaceScope::All)
    });
    let there: ScanResult = ask(&Request::Scan(wanted)).unwrap();
    assert_eq!(there, here.join().unwrap());
}

#[test]
fn a_request_ends_with_the_helper_and_with_the_agent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let channel = Channel::new(ours);
    let request = Request::Scan(HashSet::new());
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = channel.ask::<ScanResult>(&request, &stop).unwrap_err();
    assert_eq!(stopped.kind(), io::ErrorKind::TimedOut);
    drop(theirs);
    let gone = channel.ask::<ScanResult>(&request, &CancellationToken::new());
    assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
