use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    client::{Client, Error},
    connection_limits::MAX_CONNECTIONS,
    fixture::{Served, ailing, cart, dns, headless, healthy, served, status},
};

#[tokio::test]
async fn every_page_shows_the_view() {
    let agent = served(healthy());
    let client = Client::new(agent.socket.clone());
    assert_eq!(client.status().await.unwrap(), status());
    assert_eq!(client.services(None).await.unwrap(), [dns(), cart()]);
    assert_eq!(client.services(Some("shop")).await.unwrap(), [cart()]);
    assert_eq!(client.services(Some("a b&c")).await.unwrap(), []);
    assert_eq!(client.service("shop", "cart").await.unwrap(), cart());
    assert_eq!(client.service("shop", "db").await.unwrap(), headless());
}

#[tokio::test]
async fn unknown_service_is_named() {
    let agent = served(healthy());
    let error = Client::new(agent.socket.clone())
        .service("shop", "car/../t")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "no service shop/car/../t; there are: kube-system/dns, shop/cart"
    );
}

#[tokio::test]
async fn service_left_out_names_the_line_of_its_error() {
    let mut fake = healthy();
    fake.status.wrong = vec![types::Wrong {
        file: "team.yaml".into(),
        line: 10,
        name: "service t2/bad".into(),
        scope: "object".into(),
        in_force: "nothing".into(),
        effect: String::new(),
    }];
    let agent = served(fake);
    let error = Client::new(agent.socket.clone())
        .service("t2", "bad")
        .await
        .unwrap_err();
    let expected =
        "service t2/bad is left out because of team.yaml:10; `meshctl status` says what is wrong";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn failed_read_is_an_error_of_the_agent() {
    let agent = served(ailing());
    let error = Client::new(agent.socket.clone())
        .services(None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the agent answered 500: map SERVICES: cannot read row 7: gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_after_a_change_says_that_the_change_is_in_force() {
    let fake = ailing();
    let commands = Arc::clone(&fake.commands);
    let agent = served(fake);
    let drain = "POST /v1/services/shop/cart/endpoints/10.0.0.1:8080/drain";
    let (code, body) = raw(&agent, &format!("{drain} HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!(code, "HTTP/1.1 500 Internal Server Error");
    assert_eq!(
        body,
        r#"{"error":"the change is in force, but the service cannot be read after it: map SERVICES: cannot read row 7: gone"}"#
    );
    assert_eq!(
        *commands.lock().unwrap(),
        ["shop/cart 10.0.0.1:8080 draining"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_answered_in_json() {
    let agent = served(healthy());
    let answer = |request: &str| raw(&agent, &format!("{request} HTTP/1.1\r\nhost: a\r\n\r\n"));
    let (code, body) = answer("GET /v2/status");
    assert_eq!(code, "HTTP/1.1 404 Not Found");
    assert!(
        body.starts_with(
            r#"{"error":"no such page; there are /v1/status, /v1/doctor, /v1/support, "#
        ),
        "{body}"
    );
    let (code, body) = answer("DELETE /v1/services/shop/cart");
    assert_eq!(code, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(
        body,
        r#"{"error":"use GET, and POST for drain, undrain and weight"}"#
    );
    let (code, body) = answer("GET /v1/services?name=cart");
    assert_eq!(code, "HTTP/1.1 400 Bad Request");
    assert!(
        body.contains("unknown field `name`, expected `namespace`"),
        "{body}"
    );
    assert_eq!(
        answer("POST /v1/services/shop/cart/endpoints/10.0.0.1:8080/stop").0,
        "HTTP/1.1 404 Not Found"
    );
    let (code, body) = answer("POST /v1/services/shop/cart/endpoints/a/drain");
    assert_eq!(
        (code.as_str(), body.as_str()),
        (
            "HTTP/1.1 400 Bad Request",
            r#"{"error":"`a` is not ADDRESS:PORT"}"#
        )
    );
    let (code, body) = answer("GET /v1/explain");
    assert_eq!(code, "HTTP/1.1 400 Bad Request");
    assert!(body.contains("missing field `to`"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_read_are_answered_in_json() {
    let agent = served(healthy());
    let drain = "POST /v1/services/shop/cart/endpoints/10.0.0.1:8080/drain HTTP/1.1\r\nhost: a\r\n";
    for (request, status) in [
        (
            "GET /v1/services/%ff/cart HTTP/1.1\r\nhost: a\r\n\r\n",
            "400 Bad Request",
        ),
        (
            &format!("{drain}content-length: 17000\r\n\r\n{:17000}", ""),
            "413 Payload Too Large",
        ),
        (
            &format!("{drain}transfer-encoding: chunked\r\n\r\nx\r\n"),
            "400 Bad Request",
        ),
    ] {
        let (code, body) = raw(&agent, request);
        assert_eq!(code, format!("HTTP/1.1 {status}"));
        let error = serde_json::from_str::<types::ApiError>(&body);
        assert!(
            error.is_ok_and(|it| !it.error.is_empty()),
            "{request}: {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_opens_and_slow_clients_leave_the_server_responsive() {
    let agent = served(healthy());
    let mut held: Vec<_> = (0..MAX_CONNECTIONS).map(|_| slow(&agent)).collect();
    for _ in 0..10_000 {
        held.push(UnixStream::connect(&agent.socket).unwrap());
        if held.len() > 300 {
            held.drain(..100);
        }
    }
    let start = Instant::now();
    assert_eq!(
        Client::new(agent.socket.clone()).status().await.unwrap(),
        status()
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert!(
        held.iter_mut()
            .filter_map(|stream| is_open(stream).then_some(()))
            .count()
            <= MAX_CONNECTIONS
    );
}

#[tokio::test]
async fn cancel_ends_the_server_and_idle_clients() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let cancel = CancellationToken::new();
    let server = tokio::spawn(serve(
        bind(&path, None).unwrap(),
        Arc::new(healthy()),
        Access::default(),
        cancel.clone(),
    ));
    let _idle = UnixStream::connect(&path).unwrap();
    Client::new(path.clone()).status().await.unwrap();
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(1), server)
        .await
        .unwrap()
        .unwrap();
    let error = Client::new(path).status().await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
}

/// Sends a request as it stands; the first line and the body of the answer.
fn raw(agent: &Served, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().into(), body.into())
}

/// A client that never finishes its request.
fn slow(agent: &Served) -> UnixStream {
    let mut stream = UnixStream::connect(&agent.socket).unwrap();
    stream
        .write_all(b"GET /v1/status HTTP/1.1\r\nhost:")
        .unwrap();
    stream
}

fn is_open(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
