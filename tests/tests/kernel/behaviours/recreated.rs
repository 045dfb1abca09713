//! Services that are removed and created again: behaviour 14.

use mesh_tests::{Manifest, Node, client::protocol::counts, service};

use super::{REFUSED, UNREACHABLE, expect_tcp, expect_tcp_error, expect_udp};

#[test]
fn b14_a_recreated_service_serves_at_once_under_the_same_or_another_address() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = |address: &str| service("shop/cart").address(address).tcp(80).udp(53);
    let mut client = node.client();
    node.write("cart.yaml", cart("10.96.0.10").endpoint(&a));
    expect_tcp(&mut client, "10.96.0.10:80", "a");
    for round in 0..5 {
        // Another service keeps the directory from being empty: an empty directory removes nothing.
        node.write(
            "other.yaml",
            service("shop/other").address("10.96.0.99").tcp(80),
        );
        node.remove("cart.yaml");
        expect_tcp_error(&mut client, "10.96.0.10:80", UNREACHABLE);
        let (server, name) = if round % 2 == 0 { (&b, "b") } else { (&a, "a") };
        node.write("cart.yaml", cart("10.96.0.10").endpoint(server));
        expect_tcp(&mut client, "10.96.0.10:80", name);
        expect_udp(&mut client, "10.96.0.10:53", name);
    }

    node.write("cart.yaml", cart("10.96.0.20").endpoint(&b));
    expect_tcp(&mut client, "10.96.0.20:80", "b");
    assert_eq!(
        client.tcp("10.96.0.10:80").times(100).errors,
        counts([(UNREACHABLE, 100)])
    );
}

#[test]
fn b14_a_service_scales_from_nothing_to_many_and_back() {
    let node = Node::start();
    let servers = ["a", "b", "c", "d"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    let mut client = node.client();
    for _ in 0..3 {
        node.write("cart.yaml", &cart);
        expect_tcp_error(&mut client, "10.96.0.10:80", REFUSED);
        for count in [4, 1, 3] {
            let some: Vec<_> = servers[..count].iter().collect();
            node.write("cart.yaml", cart.clone().endpoints(some.iter().copied()));
            node.wait_until_served("shop/cart", &some);
            let report = client.tcp("10.96.0.10:80").times(200);
            assert_eq!(
                (report.errors, report.answers.len()),
                (counts([]), count),
                "{:?}",
                report.answers
            );
        }
    }
    node.write("cart.yaml", &cart);
    expect_tcp_error(&mut client, "10.96.0.10:80", REFUSED);
}

#[test]
fn b14_three_services_scale_up_and_down_without_affecting_each_other() {
    let node = Node::start();
    let names = ["one", "two", "three"];
    let servers = names.map(|name| node.server(name));
    let to = |index: usize| format!("10.96.0.{}:80", 10 + index);
    let manifest = |index: usize| -> Manifest {
        let service = service(&format!("shop/{}", names[index]))
            .address(&format!("10.96.0.{}", 10 + index))
            .tcp(80);
        service.endpoint(&servers[index])
    };
    let file = |index: usize| format!("{}.yaml", names[index]);
    let mut client = node.client();
    for index in 0..names.len() {
        node.write(&file(index), manifest(index));
    }
    for round in 0..6 {
        let down = round % names.len();
        for (index, name) in names.iter().enumerate() {
            expect_tcp(&mut client, &to(index), name);
        }
        node.remove(&file(down));
        expect_tcp_error(&mut client, &to(down), UNREACHABLE);
        for index in (0..names.len()).filter(|&index| index != down) {
            expect_tcp(&mut client, &to(index), names[index]);
        }
        node.write(&file(down), manifest(down));
    }
}
