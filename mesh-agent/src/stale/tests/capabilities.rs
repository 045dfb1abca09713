//! What is closed without a capability, and what the report says about it.

use super::*;

#[test]
fn without_sys_admin_only_this_namespace_is_served_and_the_report_says_so() {
    let (theirs_in, theirs) = mpsc::channel();
    let (done, wait) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        in_private_namespace(move || {
            let server = udp("127.0.0.1");
            theirs_in.send(udp_to(&server, "127.0.0.1")).unwrap();
            _ = wait.recv();
        });
    });
    let (theirs, their_peer) = theirs.recv().unwrap();
    let server = udp("127.0.0.1");
    let (ours, our_peer) = udp_to(&server, "127.0.0.1");
    let rows = [tracked(&ours, our_peer), tracked(&theirs, their_peer)];

    let own = crate::stale::destroy(&rows[1..], NamespaceScope::Own);
    let limited = without(CAP_SYS_ADMIN, || destroy(&rows));
    let theirs_is_open = theirs.take_error().unwrap().is_none();
    let full = destroy(&rows[1..]);
    drop(done);
    holder.join().unwrap();

    assert_eq!(
        own,
        CloseReport {
            not_found: vec![rows[1].0],
            ..CloseReport::default()
        },
        "no other namespace is entered"
    );
    assert_eq!(
        (limited.closed, limited.not_found),
        (vec![rows[0].0], vec![rows[1].0])
    );
    let sentence = "stale sockets outside the agent's own network namespace stay open: entering another namespace \
                    needs CAP_SYS_ADMIN";
    assert!(
        limited.failed.contains(&sentence.to_owned()),
        "{:?}",
        limited.failed
    );
    assert!(theirs_is_open);
    assert_eq!(full.closed, [rows[1].0]);
}

#[test]
fn without_net_admin_the_socket_stays_open_and_the_report_says_why() {
    need_root();
    let server = udp("127.0.0.1");
    let (socket, peer) = udp_to(&server, "127.0.0.1");
    let report = without(CAP_NET_ADMIN, || destroy(&[tracked(&socket, peer)]));
    let failed = vec!["stale sockets stay open: closing them needs CAP_NET_ADMIN".to_owned()];
    assert_eq!(
        report,
        CloseReport {
            failed,
            ..CloseReport::default()
        }
    );
    assert_delivers(&socket, &server);
}
