//! Reads the traffic settings of a service: balancing, outlier detection, limits, locality, ramps
//! and health checks. The native form has them as fields, Kubernetes as annotations whose text is
//! read by the same functions.

pub mod balance;
pub mod health;
pub mod limits;
pub mod locality;
pub mod outlier;
pub mod ramp;

use super::field::Field;
use crate::model::{CheckOrigin, LocalityPolicy, Outlier, Protocol, Traffic};

/// Fields of a native service that this module reads.
pub const FIELDS: [&str; 7] = [
    "balance",
    "outlier",
    "limits",
    "locality",
    "slowStart",
    "drain",
    "health",
];

/// Reads the fields of a native service.
pub fn read(service: Field<'_>) -> Option<Traffic> {
    let balance = service.or("balance", Default::default(), balance::read);
    let outlier = service.or("outlier", Outlier::default(), outlier::read);
    let limits = service.or("limits", Default::default(), limits::read);
    let locality = service.or("locality", LocalityPolicy::default(), locality::read);
    let slow_start = service.or("slowStart", None, |field| ramp::slow_start(field).map(Some));
    let drain = service.or("drain", None, |field| ramp::drain(field).map(Some));
    let health = service.or("health", None, |field| health::read(field).map(Some));
    Some(Traffic {
        balance: balance?,
        outlier: outlier?,
        limits: limits?,
        locality: locality?,
        slow_start: slow_start?,
        drain: drain?,
        health: health?,
        health_origin: check_origin(service.get("health"), false),
    })
}

/// Returns the place of a health check, or an empty one without a health check.
pub fn check_origin(health: Option<Field<'_>>, is_annotation: bool) -> CheckOrigin {
    health.map_or_else(CheckOrigin::default, |it| CheckOrigin {
        line: it.line(),
        field: it.path(),
        is_annotation,
    })
}

/// Reports a health check of a service without TCP ports. UDP ports beside TCP ports are not
/// checked.
pub fn check_probed(health: Option<Field<'_>>, mut protocols: impl Iterator<Item = Protocol>) {
    if let Some(health) = health
        && protocols.next() == Some(Protocol::Udp)
        && protocols.all(|protocol| protocol == Protocol::Udp)
    {
        health.report("a health check needs a TCP port, and this service has only UDP ports");
    }
}
