//! Connects to addresses that no service owns.

use mesh_tests::{Node, client::protocol::counts};

#[test]
fn connects_to_anything_else_are_untouched() {
    let node = Node::start();
    let a = node.serve_cart();
    let before = node.services();
    let mut client = node.client();

    let endpoint = client.tcp(&a.address().to_string()).times(100);
    assert_eq!(endpoint.answers, counts([("a", 100)]));
    assert_eq!(endpoint.peers, [(a.address(), 100)].into());
    assert_eq!(
        client.tcp("127.0.0.1:1").times(100).errors,
        counts([("connect ECONNREFUSED", 100)])
    );
    for (what, to) in [
        ("another address", "10.96.0.11:80"),
        ("another port", "10.96.0.10:81"),
    ] {
        assert_eq!(
            client.tcp(to).once().errors,
            counts([("connect ENETUNREACH", 1)]),
            "{what}"
        );
    }
    let other_protocol = client.udp("10.96.0.10:80").once();
    assert_eq!(other_protocol.errors, counts([("connect ENETUNREACH", 1)]));

    assert_eq!(node.services(), before, "nothing was counted");
}

#[test]
fn sockets_of_other_cgroups_are_untouched() {
    let node = Node::start();
    let _server = node.serve_cart();
    let outside = mesh_tests::place::Place {
        netns: node.place().netns.clone(),
        ..Default::default()
    };
    let report = mesh_tests::Client::start(&outside)
        .tcp("10.96.0.10:80")
        .once();
    assert_eq!(report.errors, counts([("connect ENETUNREACH", 1)]));
}
