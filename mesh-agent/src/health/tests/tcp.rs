//! Health checks by TCP against real servers.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::{ask, check, server};
use crate::model::{HealthCheck, Probe};

#[tokio::test]
async fn an_endpoint_that_accepts_is_healthy_and_one_that_refuses_is_not() {
    let (_listener, address) = server::listener().await;
    assert_eq!(ask(address, &check(Probe::Tcp)).await, "");
    assert_eq!(
        ask(server::refusing().await, &check(Probe::Tcp)).await,
        "connection refused"
    );
}

#[tokio::test]
async fn the_port_of_the_check_is_asked_instead_of_the_endpoints() {
    let (_listener, address) = server::listener().await;
    let other = HealthCheck {
        port: Some(address.port()),
        ..check(Probe::Tcp)
    };
    assert_eq!(ask(server::refusing().await, &other).await, "");
}

#[tokio::test]
async fn a_probe_leaves_no_socket_behind_and_wakes_no_program() {
    let (listener, address) = server::listener().await;
    for _ in 0..10 {
        assert_eq!(ask(address, &check(Probe::Tcp)).await, "");
    }
    // A connection that is made after the probes is the first that the program sees.
    let later = tokio::net::TcpStream::connect(address).await.unwrap();
    let (accepted, from) = listener.accept().await.unwrap();
    assert_eq!(from, later.local_addr().unwrap());
    assert_eq!(sockets_to(address.port()), 1, "the later one alone");
    drop((accepted, later));
}

/// Counts client sockets, in any state, whose peer has this port.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let peer = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter(|line| {
            line.split_whitespace()
                .nth(2)
                .is_some_and(|it| it.ends_with(&peer))
        })
        .count()
}

#[tokio::test]
async fn a_request_leaves_no_socket_behind() {
    let (listener, address) = server::listener().await;
    drop(super::super::tcp::connect(address).await.unwrap());
    let (mut accepted, _) = listener.accept().await.unwrap();
    // A reset, not an orderly end: neither side keeps the connection in TIME_WAIT.
    let end = accepted.read_u8().await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_endpoint_that_drops_packets_is_not_waited_for() {
    // The queue of a listener that never accepts is full after two; what comes then is dropped.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = vec![];
    let hasty = HealthCheck {
        timeout: Duration::from_millis(200),
        ..check(Probe::Tcp)
    };
    while let Ok(Ok(stream)) = tokio::time::timeout(
        Duration::from_millis(200),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        fill.push(stream);
        assert!(fill.len() < 100, "the queue does not fill");
    }
    assert_eq!(ask(address, &hasty).await, "no answer in 200ms");
}
