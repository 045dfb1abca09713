//! Scans of the sockets of this machine.

use std::{net::SocketAddr, sync::mpsc, thread};

use mesh_common::abi::SocketRow;

use super::CAP_SYS_ADMIN;
use super::scene::{in_private_namespace, tracked, udp, udp_to, without};
use crate::stale::{NamespaceScope, ScanResult, scan, sock_diag::Diag, socket_scan::SocketFate};

#[test]
fn a_scan_without_sys_admin_covers_this_namespace_only_and_names_the_reason() {
    let (theirs_in, theirs) = mpsc::channel();
    let (done, wait) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        in_private_namespace(move || {
            let server = udp("127.0.0.1");
            theirs_in
                .send((udp_to(&server, "127.0.0.1"), netns()))
                .unwrap();
            _ = wait.recv();
        });
    });
    let ((theirs, their_peer), their_netns) = theirs.recv().unwrap();
    let server = udp("127.0.0.1");
    let (ours, our_peer) = udp_to(&server, "127.0.0.1");
    let row = |peer: SocketAddr, netns: u32| SocketRow {
        netns,
        backend: peer.ip().into(),
        backend_port: peer.port().to_be(),
        ..bytemuck::Zeroable::zeroed()
    };
    let [our_cookie, their_cookie] = [&ours, &theirs].map(|socket| tracked(socket, our_peer).0);
    let absent = u64::MAX;
    let wanted = [our_cookie, their_cookie, absent].into();
    let fates = |seen: &ScanResult| {
        let rows = [
            (our_cookie, row(our_peer, netns())),
            (absent, row(our_peer, netns())),
            (their_cookie, row(their_peer, their_netns)),
            (absent, row(their_peer, their_netns)),
        ];
        rows.map(|(cookie, row)| seen.fate(cookie, &row))
    };

    let limited = without(CAP_SYS_ADMIN, || scan(&wanted, NamespaceScope::All));
    let full = thread::scope(|scope| {
        scope
            .spawn(|| scan(&wanted, NamespaceScope::All))
            .join()
            .unwrap()
    });
    drop(done);
    holder.join().unwrap();

    assert_eq!(
        fates(&limited),
        [
            SocketFate::There,
            SocketFate::Gone,
            SocketFate::There,
            SocketFate::There
        ]
    );
    assert!(
        limited
            .unsearched
            .iter()
            .any(|reason| reason.contains("CAP_SYS_ADMIN")),
        "{limited:?}"
    );
    assert_eq!(
        fates(&full),
        [
            SocketFate::There,
            SocketFate::Gone,
            SocketFate::There,
            SocketFate::Gone
        ]
    );
}

/// Lower half of the cookie of this thread's network namespace.
fn netns() -> u32 {
    Diag::open().unwrap().netns().unwrap()
}
