//! Connections to endpoints, and the probe that asks for nothing else.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::failure::{Failure, Outcome};

/// A connection that is reset when it is dropped. Whoever closes a connection first keeps it in `TIME_WAIT` for a
/// minute; of 2,000 endpoints asked every 5 s, that would be 24,000 sockets. Nobody waits for data of a probe, so
/// nothing is lost. The probes of Kubernetes do the same, with a linger time of 1 s.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Whether the endpoint accepts a connection.
pub(super) async fn probe(address: SocketAddr) -> Outcome {
    connect(address).await.map(drop)
}
