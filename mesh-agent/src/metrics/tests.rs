use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::*;
use crate::api::{
    fixture::{Fake, ailing, busy_cart, checked_cart, healthy},
    types::HookProbe,
};

#[test]
fn a_scrape_shows_the_present_view() {
    let expected = include_str!("scrape.txt");
    let text = String::from_utf8(scrape(&healthy()).unwrap().into()).unwrap();
    assert_eq!(without_later_counters(&text), expected);
}

#[test]
fn hooks_that_were_probed_serve_or_not() {
    let probe = |hook: &str, state: &str, at| HookProbe {
        hook: hook.into(),
        state: state.into(),
        reason: String::new(),
        last_success_unix_seconds: at,
    };
    let mut fake = healthy();
    fake.status.self_probe = vec![
        probe("connect4", "fails", Some(7)),
        probe("connect6", "unknown", None),
        probe("sock_ops", "works", Some(9)),
    ];
    let text = String::from_utf8(scrape(&fake).unwrap().into()).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("mesh_agent_self_probe_"))
        .collect();
    let expected = [
        r#"mesh_agent_self_probe_success{hook="connect4"} 0"#,
        r#"mesh_agent_self_probe_success{hook="sock_ops"} 1"#,
        r#"mesh_agent_self_probe_last_success_timestamp_seconds{hook="connect4"} 7"#,
        r#"mesh_agent_self_probe_last_success_timestamp_seconds{hook="sock_ops"} 9"#,
    ];
    assert_eq!(lines, expected);
}

/// Removes the lines of counters after the last one in `scrape.txt`. They follow from the table.
fn without_later_counters(text: &str) -> String {
    let last = Counter::RefusedShare.index();
    let later = Counter::ALL[last + 1..]
        .iter()
        .map(|counter| format!("mesh_agent_service_{}", counter.name()));
    let later: Vec<String> = later.collect();
    let is_later = |line: &str| {
        let words = line
            .split([' ', '{'])
            .map(|word| word.trim_end_matches("_total"));
        words
            .into_iter()
            .any(|word| later.iter().any(|it| it == word))
    };
    text.split_inclusive('\n')
        .filter(|line| !is_later(line))
        .collect()
}

fn told(service: Service) -> String {
    let text = scrape(&Fake {
        services: Ok(vec![service]),
        ..healthy()
    })
    .unwrap();
    String::from_utf8(text.into()).unwrap()
}

#[test]
fn load_is_shown_by_backend_and_by_service() {
    let text = told(busy_cart());
    let lines = |name: &str| -> Vec<String> {
        let labels = r#"{namespace="shop",service="cart",port="http",protocol="TCP""#;
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(labels));
        lines.map(|line| line.replace('"', "")).collect()
    };
    let of = |values: [&str; 4]| {
        let backends = [
            "10.0.0.1:8080",
            "10.0.0.2:8080",
            "10.0.0.3:8080",
            "[fd00::a:1]:8080",
        ];
        std::array::from_fn::<_, 4, _>(|at| format!(",endpoint={}}} {}", backends[at], values[at]))
    };
    assert_eq!(
        lines("mesh_agent_backend_connections"),
        of(["40", "0", "0", "12"])
    );
    assert_eq!(
        lines("mesh_agent_backend_connecting"),
        of(["2", "0", "0", "0"])
    );
    assert_eq!(
        lines("mesh_agent_backend_ejected"),
        of(["0", "1", "0", "0"])
    );
    assert_eq!(
        lines("mesh_agent_backend_handshake_seconds"),
        [",endpoint=10.0.0.1:8080} 0.00125"]
    );
    assert_eq!(lines("mesh_agent_service_connections"), ["} 52"]);
    assert_eq!(
        lines("mesh_agent_service_capacity"),
        [",state=usable} 200", ",state=total} 500"]
    );
}

#[test]
fn only_checked_endpoints_are_healthy_or_not() {
    let text = told(checked_cart());
    let (_, health) = text
        .split_once("# TYPE mesh_agent_endpoint_healthy gauge\n")
        .unwrap();
    let labels = r#"namespace="shop",service="cart",port"#;
    let expected = format!(
        r#"mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="10.0.0.1:8080"}} 1
mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="10.0.0.2:8080"}} 0
mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="[fd00::a:1]:8080"}} 1
mesh_agent_endpoint_healthy{{{labels}="admin",protocol="TCP",endpoint="10.0.0.4:9000"}} 0
# EOF
"#
    );
    assert_eq!(health, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_the_state_of_the_agent() {
    let well = served(healthy()).await;
    assert_eq!(
        page(well, "/healthz"),
        ("HTTP/1.1 200 OK".into(), "ok\n".into())
    );
    assert_eq!(
        page(well, "/readyz"),
        ("HTTP/1.1 200 OK".into(), "ready\n".into())
    );
    assert_eq!(page(well, "/metrics").0, "HTTP/1.1 200 OK");
    let ill = served(ailing()).await;
    assert_eq!(
        page(ill, "/healthz"),
        ("HTTP/1.1 200 OK".into(), "ok\n".into())
    );
    assert_eq!(
        page(ill, "/readyz"),
        (
            "HTTP/1.1 503 Service Unavailable".into(),
            "not ready\n".into()
        )
    );
    let unreadable = "map SERVICES: cannot read row 7: gone\n";
    assert_eq!(
        page(ill, "/metrics"),
        (
            "HTTP/1.1 500 Internal Server Error".into(),
            unreadable.into()
        )
    );
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let Ok(Listener::Tcp(first)) = bind(&any()).await else {
        panic!("no port is free")
    };
    let address = first.local_addr().unwrap();
    let error = bind(&Address::Tcp(address)).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("metrics address {address}: cannot listen: ")),
        "{error}"
    );
}

async fn served(fake: Fake) -> SocketAddr {
    let Ok(Listener::Tcp(listener)) = bind(&any()).await else {
        panic!("no port is free")
    };
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        Listener::Tcp(listener),
        None,
        Arc::new(fake),
        CancellationToken::new(),
    ));
    address
}

fn any() -> Address {
    Address::Tcp(([127, 0, 0, 1], 0).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_can_be_served_on_a_socket_and_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let (path, token) = (
        directory.path().join("metrics.sock"),
        directory.path().join("token"),
    );
    std::fs::write(&token, "t0ken\n").unwrap();
    let listener = bind(&Address::Unix(path.clone())).await.unwrap();
    tokio::spawn(serve(
        listener,
        Some(token),
        Arc::new(healthy()),
        CancellationToken::new(),
    ));
    let page = |request: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        write!(stream, "GET {request}\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap().to_owned()
    };
    assert_eq!(page("/healthz HTTP/1.1"), "HTTP/1.1 200 OK");
    assert_eq!(page("/readyz HTTP/1.1"), "HTTP/1.1 200 OK");
    assert_eq!(page("/metrics HTTP/1.1"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(
        page("/metrics HTTP/1.1\r\nauthorization: Bearer x"),
        "HTTP/1.1 401 Unauthorized"
    );
    assert_eq!(
        page("/metrics HTTP/1.1\r\nauthorization: Bearer t0ken"),
        "HTTP/1.1 200 OK"
    );
}

/// The first line and the body of the answer.
fn page(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().into(), body.into())
}
