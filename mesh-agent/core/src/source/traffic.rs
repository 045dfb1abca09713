//! The traffic settings of a service: balancing, outlier detection, limits, locality, ramps and
//! health checks.

pub mod balance;
pub mod health;
pub mod limits;
pub mod locality;
pub mod outlier;
pub mod ramp;

use super::field::Field;
use crate::model::{CheckOrigin, Protocol};

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
