//! Metrics for Prometheus.

use std::{
    collections::{BTreeSet, VecDeque},
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use mesh_tests::{Node, manifest::document, service, wait};

const ADDRESS: &str = "127.0.0.1:9100";

/// Scrapes the metrics from inside the node's namespace.
fn scrape(node: &Node) -> String {
    node.place().netns.run(|| {
        let mut stream = TcpStream::connect(ADDRESS).expect("the agent listens for scrapes");
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n")
            .expect("the agent takes a request");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the agent answers in text");
        answer
    })
}

#[test]
fn metrics_show_the_counters_of_the_kernel() {
    let node = Node::setup().flags(&format!("--metrics {ADDRESS}")).start();
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&a);
    let empty = service("shop/empty").address("10.96.0.11").tcp(80);
    node.write("shop.yaml", document([&cart, &empty]));
    node.wait_until_served("shop/empty", &[]);
    let mut client = node.client();
    client.tcp("10.96.0.10:80").times(7);
    client.tcp("10.96.0.11:80").times(3);

    let answer = scrape(&node);
    let is_counted = |line: &&str| line.starts_with("mesh_agent_") && line.contains("_total{");
    let counted: BTreeSet<_> = answer
        .lines()
        .filter(is_counted)
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    let cart = r#"namespace="shop",service="cart",port="tcp-80",protocol="TCP""#;
    let empty = r#"namespace="shop",service="empty",port="tcp-80",protocol="TCP""#;
    let expected = [
        format!("mesh_agent_service_connects_total{{{cart}}} 7"),
        format!(
            "mesh_agent_backend_connects_total{{{cart},endpoint=\"{}\"}} 7",
            a.address()
        ),
        format!("mesh_agent_service_refused_no_backend_total{{{empty}}} 3"),
    ];
    assert_eq!(
        counted,
        expected.iter().map(String::as_str).collect(),
        "{answer}"
    );
}

/// Sends a request and never reads the answer.
fn scrape_slowly(node: &Node) -> TcpStream {
    let mut stream = node
        .place()
        .netns
        .run(|| TcpStream::connect(ADDRESS))
        .expect("the agent listens for scrapes");
    // The agent may have closed the connection already.
    _ = write!(stream, "GET /metrics HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n");
    stream
}

/// Returns the time of a request for a page, or nothing if the page was incomplete after a second.
fn page(node: &Node, path: &str) -> Option<Duration> {
    let start = Instant::now();
    let answer = node.place().netns.run(|| {
        let mut stream = TcpStream::connect(ADDRESS)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    answer
        .ok()
        .filter(|answer| answer.starts_with("HTTP/1.0 200"))
        .map(|_| start.elapsed())
}

/// Before answers were shared and bounded, 50 slow scrapes a second of 3,000 services took 1.8
/// processors and 645 MB, and health pages failed.
#[test]
fn slow_scrapers_do_not_delay_others() {
    let node = Node::setup()
        .alone()
        .flags(&format!("--metrics {ADDRESS}"))
        .start();
    let services: Vec<_> = (0..3000_u32)
        .map(|number| {
            let cart = service(&format!("shop/cart-{number}")).address(&format!(
                "10.96.{}.{}",
                number / 250,
                number % 250 + 1
            ));
            (0..4_u8).fold(cart.tcp(80), |cart, host| {
                cart.at(format!("10.{}.{}.{host}:80", number / 250, number % 250)
                    .parse()
                    .expect("an address"))
            })
        })
        .collect();
    node.write("shop.yaml", document(&services));
    wait::until("3,000 services", Duration::from_secs(30), || {
        node.find_service("shop/cart-2999").is_some()
    });
    let (length, memory) = (scrape(&node).len(), node.agent_memory_kib());
    let (start, cpu) = (Instant::now(), node.agent_cpu());
    let (mut held, mut pages, mut failed, mut slowest) = (VecDeque::new(), 0, 0, Duration::ZERO);
    for number in 0..500_u32 {
        wait::pass(
            (start + Duration::from_millis(20) * number).saturating_duration_since(Instant::now()),
        );
        held.push_back(scrape_slowly(&node));
        if number % 10 == 0 {
            for path in ["/healthz", "/readyz"] {
                pages += 1;
                match page(&node, path) {
                    Some(took) => slowest = slowest.max(took),
                    None => failed += 1,
                }
            }
        }
    }
    let cpu = (node.agent_cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    let grown = node.agent_memory_kib().saturating_sub(memory) / 1024;
    println!(
        "50 slow scrapes a second of {} KiB: {failed} of {pages} health pages failed, slowest {slowest:?}, {cpu:.2} \
         processors, {grown} MiB more memory",
        length / 1024
    );
    assert_eq!(failed, 0, "of {pages} health pages");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    // Other tests run at the same time and slow down this one.
    assert!(cpu < 0.9, "{cpu} processors");
    assert!(grown < 150, "{grown} MiB");
    drop(held);
    let paths = ["/healthz", "/readyz"];
    assert!(paths.iter().all(|path| page(&node, path).is_some()));
}
