//! Health checks by gRPC against real servers.

use std::{net::SocketAddr, time::Duration};

use http_body_util::Empty;
use hyper::{Response, body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tonic_health::{ServingStatus, server::health_reporter};

use super::{ask, check, server};
use crate::model::{HealthCheck, Probe};

fn grpc(service: &str) -> HealthCheck {
    check(Probe::Grpc {
        service: service.into(),
    })
}

/// A server that reports this status of the service `shop.Cart`.
async fn reporting(status: ServingStatus) -> SocketAddr {
    let (reporter, health) = health_reporter();
    reporter.set_service_status("shop.Cart", status).await;
    server::serving(move |stream| {
        let service = TowerToHyperService::new(health.clone());
        async move {
            _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn an_endpoint_reports_its_own_status() {
    let serving = reporting(ServingStatus::Serving).await;
    assert_eq!(
        ask(serving, &grpc("")).await,
        "",
        "of the server as a whole"
    );
    assert_eq!(ask(serving, &grpc("shop.Cart")).await, "");
    let failure = ask(serving, &grpc("shop.Mart")).await;
    assert!(failure.starts_with("gRPC status NOT_FOUND"), "{failure}");
    let stopped = reporting(ServingStatus::NotServing).await;
    assert_eq!(ask(stopped, &grpc("shop.Cart")).await, "gRPC NOT_SERVING");
    let unsure = reporting(ServingStatus::Unknown).await;
    assert_eq!(ask(unsure, &grpc("shop.Cart")).await, "gRPC UNKNOWN");
}

#[tokio::test]
async fn a_server_without_the_protocol_is_not_well() {
    let answer = |_| async {
        let answer = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "12");
        Ok::<_, std::convert::Infallible>(answer.body(Empty::<Bytes>::new()).unwrap())
    };
    let address = server::serving(move |stream| async move {
        let connection = http2::Builder::new(TokioExecutor::new());
        _ = connection
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
    })
    .await;
    assert_eq!(ask(address, &grpc("")).await, "gRPC status UNIMPLEMENTED");
}

#[tokio::test]
async fn what_does_not_speak_http2_is_named() {
    assert_eq!(
        ask(server::refusing().await, &grpc("")).await,
        "connection refused"
    );
    let http1 = server::http(|_| Response::default()).await;
    let failure = ask(http1, &grpc("")).await;
    assert!(failure.starts_with("HTTP/2: "), "{failure}");
    let closing = server::serving(async |stream| drop(stream)).await;
    let failure = ask(closing, &grpc("")).await;
    assert!(
        failure.starts_with("HTTP/2: ") || failure == "connection reset by peer",
        "{failure}"
    );
    let hasty = HealthCheck {
        timeout: Duration::from_millis(100),
        ..grpc("")
    };
    assert_eq!(
        ask(server::silent().await, &hasty).await,
        "no answer in 100ms"
    );
}
