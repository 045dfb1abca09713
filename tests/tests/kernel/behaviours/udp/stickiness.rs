//! UDP sockets keep their endpoint while it serves: behaviour 6.

use super::*;

#[test]
fn b06_unconnected_udp_socket_keeps_its_endpoint_while_that_serves() {
    let mut node = Node::start();
    let servers = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| node.server(name));
    node.write("dns.yaml", dns().endpoints(&servers));
    node.wait_until_served("shop/dns", &servers.each_ref());
    let mut client = node.client();
    // Fewer clients than endpoints, so that there is always one without a client.
    let sockets = [0; 4].map(|port| client.udp_socket(&format!("0.0.0.0:{port}")));
    let chosen = sockets.map(|socket| client.name_at(socket, DNS).unwrap());
    let keep: Vec<_> = servers
        .iter()
        .filter(|server| chosen.iter().any(|name| name == server.name()))
        .collect();
    let mut expect_the_same = || {
        for (socket, name) in sockets.iter().zip(&chosen) {
            for _ in 0..10 {
                assert_eq!(client.name_at(*socket, DNS).as_ref(), Ok(name));
            }
        }
    };
    expect_the_same();

    let more = ["i", "j"].map(|name| node.server(name));
    for _ in 0..3 {
        // Other endpoints leave and join, and the order of the list changes.
        node.write("dns.yaml", dns().endpoints(keep.iter().copied()));
        node.wait_until_served("shop/dns", &keep);
        expect_the_same();
        node.write(
            "dns.yaml",
            dns().endpoints(&more).endpoints(keep.iter().rev().copied()),
        );
        node.wait_until_served(
            "shop/dns",
            &more.iter().chain(keep.iter().copied()).collect::<Vec<_>>(),
        );
        expect_the_same();
    }
    // Weights change.
    node.write(
        "dns.yaml",
        keep.iter()
            .fold(dns().weighted(&more[0], 50), |dns, server| {
                dns.weighted(server, 1)
            }),
    );
    node.wait_until_served(
        "shop/dns",
        &more[..1]
            .iter()
            .chain(keep.iter().copied())
            .collect::<Vec<_>>(),
    );
    expect_the_same();
    // Other services change.
    node.write(
        "more.yaml",
        service("shop/more")
            .address("10.96.0.11")
            .udp(53)
            .endpoints(&servers),
    );
    node.wait_until_served("shop/more", &servers.each_ref());
    expect_the_same();
    node.kill_agent();
    expect_the_same();
    node.start_agent();
    expect_the_same();
}

#[test]
fn b06_an_endpoint_that_comes_back_takes_no_socket_from_another() {
    let (node, a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    assert_eq!(client.name_at(socket, DNS), Ok("a".into()));
    node.write("dns.yaml", dns().endpoint(&b));
    node.wait_until_served("shop/dns", &[&b]);
    assert_eq!(client.name_at(socket, DNS), Ok("b".into()));
    node.write("dns.yaml", dns().endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/dns", &[&a, &b]);
    for _ in 0..100 {
        assert_eq!(client.name_at(socket, DNS), Ok("b".into()));
    }
}

#[test]
fn b06_one_socket_keeps_an_endpoint_of_each_of_many_services() {
    const SERVICES: u8 = 20;
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let address = |number: u8| format!("10.96.0.{}", 10 + number);
    let services: Vec<_> = (0..SERVICES)
        .map(|number| {
            service(&format!("shop/s{number}"))
                .address(&address(number))
                .udp(53)
                .endpoints(&servers)
        })
        .collect();
    node.write("shop.yaml", document(&services));
    for number in 0..SERVICES {
        node.wait_until_served(&format!("shop/s{number}"), &servers.each_ref());
    }
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    let mut ask_all = || -> Vec<Heard> {
        let ask = |number| {
            client
                .ask_at(socket, &format!("{}:53", address(number)))
                .unwrap()
        };
        (0..SERVICES).map(ask).collect()
    };
    let first = ask_all();
    let from = |number| Some(format!("{}:53", address(number)).parse().unwrap());
    assert_eq!(
        first.iter().map(|heard| heard.from).collect::<Vec<_>>(),
        (0..SERVICES).map(from).collect::<Vec<_>>()
    );
    for _ in 0..20 {
        assert_eq!(ask_all(), first);
    }
}

#[test]
fn b06_a_socket_follows_a_service_address_to_its_new_service() {
    let (node, a, b) = served_by_the_first();
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    assert_eq!(client.name_at(socket, DNS), Ok("a".into()));
    // The endpoint still serves, at another service address.
    let moved = service("shop/dns")
        .address("10.96.0.11")
        .udp(53)
        .endpoint(&a);
    let heir = service("shop/heir")
        .address("10.96.0.10")
        .udp(53)
        .endpoint(&b);
    node.write("dns.yaml", document([&moved, &heir]));
    node.wait_until_served("shop/heir", &[&b]);
    assert_eq!(client.name_at(socket, DNS), Ok("b".into()));
    assert_eq!(client.name_at(socket, "10.96.0.11:53"), Ok("a".into()));
}

#[test]
fn b06_a_socket_returns_when_the_service_becomes_node_local() {
    let mut node = Node::setup()
        .flags("--node-name here --external-cidr 192.0.2.0/24")
        .start();
    let [far, near] = ["far", "near"].map(|name| node.server(name));
    // An external address keeps the far endpoint in use.
    let dns = dns()
        .with("externalIPs: [192.0.2.10]")
        .on_node(&far, "elsewhere");
    node.write("dns.yaml", dns.clone());
    node.wait_until_served("shop/dns", &[&far]);
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:5000");
    assert_eq!(client.name_at(socket, DNS), Ok("far".into()));
    node.write(
        "dns.yaml",
        dns.on_node(&near, "here")
            .with("internalTrafficPolicy: Local"),
    );
    node.wait_until_served("shop/dns", &[&far, &near]);
    wait::until("the near endpoint to answer", MOVED, || {
        client.name_at(socket, DNS) == Ok("near".into())
    });
    node.stop_agent();
    assert_eq!(client.name_at(socket, DNS), Ok("near".into()));
}
