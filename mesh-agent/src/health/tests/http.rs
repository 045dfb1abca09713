//! Health checks by HTTP against real servers.

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
};

use super::{ask, check, server};
use crate::model::{HealthCheck, HttpProbe, Probe};

fn probe() -> HttpProbe {
    HttpProbe {
        tls: false,
        path: "/ready".into(),
        headers: vec![],
        status: (200, 399),
        expect_header: None,
    }
}

fn http(probe: HttpProbe) -> HealthCheck {
    check(Probe::Http(probe))
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("x-ready", "no")
        .body(Full::from("a body\n"))
        .unwrap()
}

/// `200` if the request is as expected, else `400`.
fn demand(it: bool) -> Response<Full<Bytes>> {
    answer(
        if it {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        }
        .as_u16(),
    )
}

fn header<'a>(request: &'a Request<Incoming>, name: &str) -> &'a str {
    request
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_status_decides() {
    let well = server::http(|request| demand(request.uri().path() == "/ready")).await;
    assert_eq!(ask(well, &http(probe())).await, "");
    let ill = server::http(|_| answer(503)).await;
    assert_eq!(
        ask(ill, &http(probe())).await,
        "HTTP status 503, wanted 200-399"
    );
    assert_eq!(
        ask(
            ill,
            &http(HttpProbe {
                status: (503, 503),
                ..probe()
            })
        )
        .await,
        ""
    );
}

#[tokio::test]
async fn a_header_can_be_required() {
    let server = server::http(|_| answer(200)).await;
    let wanted = |name: &str, value: &str| {
        http(HttpProbe {
            expect_header: Some((name.into(), value.into())),
            ..probe()
        })
    };
    assert_eq!(ask(server, &wanted("X-Ready", "no")).await, "");
    assert_eq!(
        ask(server, &wanted("x-ready", "yes")).await,
        "header x-ready has another value, wanted \"yes\""
    );
    assert_eq!(
        ask(server, &wanted("x-role", "main")).await,
        "header x-role is missing, wanted \"main\""
    );
}

#[tokio::test]
async fn the_request_has_user_agent_and_host() {
    let server = server::http(|request| {
        let host = header(request, "host").starts_with("127.0.0.1:");
        demand(host && header(request, "user-agent").starts_with("mesh-agent/"))
    })
    .await;
    assert_eq!(ask(server, &http(probe())).await, "");
    let named = server::http(|request| {
        demand(
            header(request, "host") == "cart.shop"
                && header(request, "x-check") == "1"
                && request.uri() == "/a?b=c",
        )
    })
    .await;
    let headers = vec![
        ("Host".into(), "cart.shop".into()),
        ("X-Check".into(), "1".into()),
    ];
    assert_eq!(
        ask(
            named,
            &http(HttpProbe {
                headers,
                path: "/a?b=c".into(),
                ..probe()
            })
        )
        .await,
        ""
    );
}

#[tokio::test]
async fn certificates_are_not_verified() {
    let server = server::https(|request| demand(request.uri() == "/ready")).await;
    assert_eq!(
        ask(
            server,
            &http(HttpProbe {
                tls: true,
                ..probe()
            })
        )
        .await,
        ""
    );
    let ill = server::https(|_| answer(500)).await;
    assert_eq!(
        ask(
            ill,
            &http(HttpProbe {
                tls: true,
                ..probe()
            })
        )
        .await,
        "HTTP status 500, wanted 200-399"
    );
    let plain = server::http(|_| answer(200)).await;
    let failure = ask(
        plain,
        &http(HttpProbe {
            tls: true,
            ..probe()
        }),
    )
    .await;
    assert!(failure.starts_with("TLS: "), "{failure}");
}

#[tokio::test]
async fn the_timeout_covers_the_whole_probe() {
    let hasty = |tls| HealthCheck {
        timeout: Duration::from_millis(100),
        ..http(HttpProbe { tls, ..probe() })
    };
    let silent = server::silent().await;
    for tls in [false, true] {
        let start = Instant::now();
        assert_eq!(ask(silent, &hasty(tls)).await, "no answer in 100ms");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(
        ask(server::refusing().await, &hasty(false)).await,
        "connection refused"
    );
}

#[tokio::test]
async fn what_is_not_http_is_named() {
    use tokio::io::AsyncWriteExt as _;
    let babbling = server::serving(async |mut stream| {
        _ = stream.write_all(b"220 mail ready\r\n").await;
        _ = stream.flush().await;
        std::future::pending::<()>().await;
    })
    .await;
    let failure = ask(babbling, &http(probe())).await;
    assert!(failure.starts_with("HTTP: "), "{failure}");
    let closing = server::serving(async |stream| drop(stream)).await;
    let failure = ask(closing, &http(probe())).await;
    assert!(
        failure.starts_with("HTTP: ") || failure == "connection reset by peer",
        "{failure}"
    );
}

#[tokio::test]
async fn an_invalid_request_is_not_the_endpoints_failure() {
    let server = server::http(|_| answer(200)).await;
    let failure = ask(
        server,
        &http(HttpProbe {
            headers: vec![("a b".into(), "c".into())],
            ..probe()
        }),
    )
    .await;
    assert!(failure.starts_with("cannot ask: "), "{failure}");
}
