//! What Prometheus is told.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
};

use mesh_tests::{Node, manifest::document, service};

const ADDRESS: &str = "127.0.0.1:9100";

/// One scrape, from inside the node's namespace.
fn scrape(node: &Node) -> String {
    node.place().netns.run(|| {
        let mut stream = TcpStream::connect(ADDRESS).expect("the agent listens for scrapes");
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n").expect("the agent takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the agent answers in text");
        answer
    })
}

#[test]
fn metrics_say_what_the_kernel_counted() {
    let node = Node::setup().flags(&format!("--metrics {ADDRESS}")).start();
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&a);
    let empty = service("shop/empty").address("10.96.0.11").tcp(80);
    node.write("shop.yaml", document([&cart, &empty]));
    node.wait_until_served("shop/empty", &[]);
    let mut client = node.client();
    client.tcp("10.96.0.10:80").times(7);
    client.tcp("10.96.0.11:80").times(3);

    let answer = scrape(&node);
    let is_counted = |line: &&str| line.starts_with("mesh_agent_") && line.contains("_total{");
    let counted: BTreeSet<_> = answer.lines().filter(is_counted).filter(|line| !line.ends_with(" 0")).collect();
    let cart = r#"namespace="shop",service="cart",port="tcp-80",protocol="TCP""#;
    let empty = r#"namespace="shop",service="empty",port="tcp-80",protocol="TCP""#;
    let expected = [
        format!("mesh_agent_service_connects_total{{{cart}}} 7"),
        format!("mesh_agent_backend_connects_total{{{cart},endpoint=\"{}\"}} 7", a.address()),
        format!("mesh_agent_service_refused_no_backend_total{{{empty}}} 3"),
    ];
    assert_eq!(counted, expected.iter().map(String::as_str).collect(), "{answer}");
}
