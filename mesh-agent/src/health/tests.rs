//! Tests of probes against real servers on loopback, and of the task that runs them.

mod drive;
mod fair_shares;
mod grpc;
mod http;
mod measured;
mod server;
mod tcp;

use std::net::SocketAddr;

use super::*;
use crate::{
    desired::{Target, fixture},
    model::{HealthCheck, Probe},
};

fn target(address: SocketAddr) -> Target {
    Target {
        service: fixture::name("cart"),
        address: address.ip(),
        port: address.port(),
    }
}

/// Returns the failure of one probe, or an empty text.
async fn ask(address: SocketAddr, check: &HealthCheck) -> String {
    Prober::new()
        .probe(&target(address), check)
        .await
        .err()
        .map(|failure| failure.to_string())
        .unwrap_or_default()
}

fn check(probe: Probe) -> HealthCheck {
    checks::tests::check(probe)
}
