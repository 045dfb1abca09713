//! One probe of one endpoint, whatever its kind.

use std::net::SocketAddr;

use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    failure::{Failure, Outcome},
    grpc, http, tcp, tls,
};
use crate::{
    desired::Target,
    model::{HealthCheck, Probe},
};

/// Asks endpoints at their own address. The agent is in the same cgroup tree as everybody, so an endpoint whose address
/// and port are also a front end of some service would be asked by way of that service, exactly as others reach it.
#[derive(Clone)]
pub(super) struct Prober {
    tls: TlsConnector,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self { tls: tls::connector() }
    }

    /// The timeout is over all of it: connect, handshakes, request and answer.
    pub(super) async fn probe(&self, target: &Target, check: &HealthCheck) -> Outcome {
        let address = SocketAddr::new(target.address, check.port.unwrap_or(target.port));
        let answer = timeout(check.timeout, self.ask(address, &check.probe)).await;
        answer.unwrap_or(Err(Failure::NoAnswer(check.timeout)))
    }

    /// The large futures are boxed, or a TCP probe would be as large: kilobytes, moved around and taken from the system
    /// anew for each group of probes.
    async fn ask(&self, address: SocketAddr, probe: &Probe) -> Outcome {
        match probe {
            Probe::Tcp => tcp::probe(address).await,
            Probe::Http(probe) => Box::pin(http::probe(&self.tls, address, probe)).await,
            Probe::Grpc { service } => Box::pin(grpc::probe(address, service)).await,
        }
    }
}
