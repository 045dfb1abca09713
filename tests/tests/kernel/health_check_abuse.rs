//! Abuse by the author of a Service of health checks, which are requests by root.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mesh_tests::{
    Node,
    kubernetes::{Object, cluster_ip, list, slice},
    service, wait,
};
use serde_json::json;

const ALLOW_LOOPBACK: &str =
    "--health-check-allowed-networks 127.0.0.0/8 --health-check-min-interval 100ms";

/// A server that records each request and sends a fixed answer.
struct Victim {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Victim {
    /// Lives as long as the test process.
    fn start(node: &Node, at: &str, answer: &'static str) -> Self {
        let listener = node
            .place()
            .netns
            .run(|| TcpListener::bind(at))
            .expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (asked, requests) = (Arc::default(), Arc::default());
        let victim = Self {
            address,
            asked: Arc::clone(&asked),
            requests: Arc::clone(&requests),
        };
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap_or_default();
                requests
                    .lock()
                    .expect("no panic")
                    .push(String::from_utf8_lossy(&request[..length]).into_owned());
                _ = stream.write_all(answer.as_bytes());
            }
        });
        victim
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A Service with a health check and one endpoint.
fn checked(name: &str, vip: &str, endpoint: SocketAddr, check: &str) -> [Object; 2] {
    let annotated = cluster_ip(name, &[vip]).annotation("mesh-agent.io/health", check);
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let service = annotated.spec("ports", ports);
    let endpoints =
        json!([{"addresses": [endpoint.ip().to_string()], "conditions": {"ready": true}}]);
    let slice = slice(name, "a")
        .serves("http", "TCP", endpoint.port())
        .set(&["endpoints"], endpoints);
    [service, slice]
}

#[test]
fn loopback_and_node_addresses_are_served_unchecked_unless_the_settings_allow_them() {
    let mut node = Node::start();
    let victim = Victim::start(&node, "127.0.0.1:0", OK);
    let check = "{http: {path: /admin}, interval: 1s, rise: 1, fall: 1}";
    let objects = checked("shop/cart", "10.96.0.10", victim.address, check);
    node.write("cart.json", list(&objects));
    let [error] = <[_; 1]>::try_from(node.wait_for_errors(1)).expect("one error");
    assert_eq!(
        (error.file, error.line > 0),
        (node.file("cart.json").display().to_string(), true)
    );
    assert_eq!(
        error.field,
        "items[0].metadata.annotations.mesh-agent.io/health"
    );
    let reason = format!(
        "endpoint {} of service shop/cart is not checked: it is a loopback address",
        victim.address
    );
    assert!(
        error.reason.starts_with(&reason) && error.reason.contains("healthChecks.allowedNetworks"),
        "{}",
        error.reason
    );
    let status = node.status();
    assert_eq!((status.ready, status.config_valid), (true, false));
    assert_eq!(status.wrong.len(), 1, "{:?}", status.wrong);
    assert_eq!(
        (
            status.wrong[0].name.as_str(),
            status.wrong[0].in_force.as_str()
        ),
        ("service shop/cart", "part")
    );
    let endpoint = node.port("shop/cart").endpoints.remove(0);
    let health = endpoint
        .health
        .clone()
        .expect("it says why it is not checked");
    assert_eq!(
        (endpoint.active, health.state.as_str()),
        (true, "unchecked")
    );
    // Three intervals.
    wait::pass(Duration::from_secs(3));
    assert_eq!(
        victim.asked(),
        0,
        "a Service of another team had root ask a server on loopback"
    );
    node.stop_agent();
    node.add_flags(ALLOW_LOOPBACK);
    node.start_agent();
    wait::until(
        "the check that is allowed now",
        Duration::from_secs(5),
        || victim.asked() > 0,
    );
    node.wait_for_errors(0);
}

#[test]
fn credentials_and_other_ports_from_annotations_are_not_sent() {
    let node = Node::setup().flags(ALLOW_LOOPBACK).start();
    let victims: BTreeMap<&str, Victim> = ["own", "other", "token", "plain"]
        .map(|name| (name, Victim::start(&node, "127.0.0.1:0", OK)))
        .into();
    let interval = "interval: 100ms, timeout: 100ms";
    let port = victims["other"].address.port();
    let services = [
        checked(
            "a/port",
            "10.96.0.10",
            victims["own"].address,
            &format!("{{tcp: {{}}, port: {port}, {interval}}}"),
        ),
        checked(
            "a/token",
            "10.96.0.11",
            victims["token"].address,
            &format!("{{http: {{headers: {{Authorization: Bearer x}}}}, {interval}}}"),
        ),
        checked(
            "a/plain",
            "10.96.0.12",
            victims["plain"].address,
            &format!(
                "{{http: {{headers: {{X-Check: '1'}}}}, port: {}, {interval}}}",
                victims["plain"].address.port()
            ),
        ),
    ];
    node.write("a.json", list(services.iter().flatten()));
    wait::until("the check that is right", Duration::from_secs(5), || {
        victims["plain"].asked() > 3
    });
    assert!(
        victims["plain"].requests.lock().unwrap()[0]
            .to_lowercase()
            .contains("x-check: 1")
    );
    for name in ["own", "other", "token"] {
        assert_eq!(victims[name].asked(), 0, "{name}");
    }
    let errors = node.wait_for_errors(2);
    assert!(
        errors[0].reason.contains("healthChecks.allowOtherPorts"),
        "{}",
        errors[0].reason
    );
    assert!(
        errors[1].reason.contains("healthChecks.allowCredentials"),
        "{}",
        errors[1].reason
    );
    assert!(
        !errors[1].reason.contains("Bearer x"),
        "{}",
        errors[1].reason
    );
}

#[test]
fn answers_of_endpoints_are_never_shown() {
    let node = Node::setup().flags(ALLOW_LOOPBACK).start();
    let header = Victim::start(
        &node,
        "127.0.0.1:0",
        "HTTP/1.1 200 OK\r\nx-ready: s3cr3t\r\ncontent-length: 0\r\n\r\n",
    );
    let babble = Victim::start(&node, "127.0.0.1:0", "s3cr3t s3cr3t\r\n\r\n");
    let tls = Victim::start(&node, "127.0.0.1:0", "s3cr3t s3cr3t s3cr3t\r\n\r\n");
    let check = |probe: &str| {
        format!("health: {{{probe}, interval: 100ms, timeout: 100ms, rise: 1, fall: 1}}")
    };
    let expect = check("http: {expectHeader: {x-ready: 'yes'}}");
    node.write(
        "a.yaml",
        service("a/a")
            .address("10.96.0.10")
            .tcp(80)
            .with(&expect)
            .at(header.address),
    );
    node.write(
        "b.yaml",
        service("a/b")
            .address("10.96.0.11")
            .tcp(80)
            .with(&check("http: {}"))
            .at(babble.address),
    );
    node.write(
        "c.yaml",
        service("a/c")
            .address("10.96.0.12")
            .tcp(80)
            .with(&check("https: {}"))
            .at(tls.address),
    );
    for name in ["a/a", "a/b", "a/c"] {
        wait::until("the check fails", Duration::from_secs(5), || {
            let port = node
                .find_service(name)
                .map(|service| service.ports[0].clone());
            let health = port.and_then(|port| port.endpoints[0].health.clone());
            health.is_some_and(|health| health.state == "unhealthy")
        });
    }
    let told = [
        "service list",
        "service get a/a",
        "service get a/b",
        "service get a/c",
        "backend list",
        "status",
    ];
    let told = told.map(|line| node.meshctl(line).stdout).concat()
        + &node.log()
        + &node.get("/v1/services").body;
    assert!(
        told.contains("x-ready") && !told.contains("s3cr3t"),
        "{told}"
    );
}

/// 20,000 endpoints every 100 ms took 1.65 processors, and others waited.
#[test]
fn one_service_with_many_endpoints_takes_neither_cpu_nor_probes_of_others() {
    let node = Node::setup().alone().flags(ALLOW_LOOPBACK).start();
    let sink = node
        .place()
        .netns
        .run(|| TcpListener::bind("0.0.0.0:0"))
        .expect("no other process is in this namespace");
    let port = sink.local_addr().expect("a listener has an address").port();
    thread::spawn(move || sink.incoming().for_each(drop));
    let victim = Victim::start(&node, "127.9.0.1:0", OK);
    let fast = "health: {tcp: {}, interval: 100ms, timeout: 100ms}";
    let slow = "health: {http: {}, interval: 500ms, timeout: 500ms}";
    node.write(
        "victim.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with(slow)
            .at(victim.address),
    );
    let mut greedy = service("greedy/all")
        .address("10.96.0.11")
        .tcp(80)
        .with(fast);
    for host in 0..20_000_u32 {
        greedy = greedy.at(format!("127.8.{}.{}:{port}", host / 250, host % 250 + 1)
            .parse()
            .expect("an address"));
    }
    node.write("greedy.yaml", greedy);
    wait::until("the greedy service", Duration::from_secs(20), || {
        node.find_service("greedy/all")
            .is_some_and(|service| service.ports[0].endpoints.len() == 20_000)
    });
    // Compiling 20,000 endpoints is over.
    wait::pass(Duration::from_secs(3));
    let (asked, cpu) = (victim.asked(), node.agent_cpu());
    wait::pass(Duration::from_secs(10));
    let (asked, cpu) = (
        victim.asked() - asked,
        (node.agent_cpu() - cpu).as_secs_f64() / 10.0,
    );
    println!(
        "20,000 endpoints every 100 ms: {cpu:.2} processors; the other service was checked {asked} times of 20"
    );
    assert!(cpu < 0.4, "{cpu} processors");
    assert!(
        (16..=24).contains(&asked),
        "{asked} checks of the other service in 10 s, 20 are right"
    );
}
