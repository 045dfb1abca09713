//! Runs one probe of an endpoint, of any kind.

use std::net::SocketAddr;

use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    failure::{Failure, ProbeResult},
    grpc, http, tcp, tls,
};
use crate::{
    desired::Target,
    model::{HealthCheck, Probe},
};

/// Probes endpoints at their own address. The agent is in the same cgroup tree as all clients, so
/// an endpoint whose address and port are also a frontend is probed through that service, as
/// clients would reach it.
#[derive(Clone)]
pub(super) struct Prober {
    tls: TlsConnector,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            tls: tls::connector(),
        }
    }

    /// Runs a probe. The timeout covers connect, handshakes, request and answer.
    pub(super) async fn probe(&self, target: &Target, check: &HealthCheck) -> ProbeResult {
        let address = SocketAddr::new(target.address, check.port.unwrap_or(target.port));
        let answer = timeout(check.timeout, self.ask(address, &check.probe)).await;
        answer.unwrap_or(Err(Failure::NoAnswer(check.timeout)))
    }

    /// Boxes the large futures. Otherwise a TCP probe would be kilobytes large as well, and be
    /// moved and allocated for each group of probes.
    async fn ask(&self, address: SocketAddr, probe: &Probe) -> ProbeResult {
        match probe {
            Probe::Tcp => tcp::probe(address).await,
            Probe::Http(probe) => Box::pin(http::probe(&self.tls, address, probe)).await,
            Probe::Grpc { service } => Box::pin(grpc::probe(address, service)).await,
        }
    }
}
