//! Reads outlier detection: when connect failures eject an endpoint.

use std::time::Duration;

use crate::{
    model::Outlier,
    source::{
        duration::{DAY, duration, shown},
        field::Field,
        value,
    },
};

/// The kernel sends the first packet of a connection again after one second (`TCP_TIMEOUT_INIT`):
/// what takes longer is late, what takes less may have been lost just once.
/// <https://github.com/torvalds/linux/blob/v6.1/include/net/tcp.h>
const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);

const SHORTEST_EJECTION: Duration = Duration::from_millis(100);

/// Reads `outlier`.
pub fn read(field: Field<'_>) -> Option<Outlier> {
    let field = field.mapping()?;
    field.only(&[
        "enabled",
        "consecutiveFailures",
        "baseEjection",
        "maxEjection",
        "maxEjectedPercent",
        "panicPercent",
        "connectTimeout",
    ]);
    let default = Outlier::default();
    let percent = |name| field.or(name, None, |field| value::number(field, 0..=100).map(Some));
    let ejection = |name, absent| {
        field.or(name, absent, |field| {
            duration(field, SHORTEST_EJECTION..=DAY)
        })
    };
    let enabled = field.or("enabled", true, Field::boolean);
    let failures = field.or(
        "consecutiveFailures",
        default.consecutive_failures,
        |field| value::number(field, 1..=u8::MAX),
    );
    let base = ejection("baseEjection", default.base_ejection);
    let max = ejection("maxEjection", default.max_ejection);
    let ordered = in_order(field, base, max);
    let max_ejected_percent = percent("maxEjectedPercent");
    let panic_percent = percent("panicPercent");
    let connect_timeout = field.or("connectTimeout", default.connect_timeout, |field| {
        duration(field, FIRST_RETRANSMISSION..=Duration::from_secs(60))
    });
    let (base_ejection, max_ejection) = ordered?;
    Some(Outlier {
        consecutive_failures: if enabled? { failures? } else { 0 },
        base_ejection,
        max_ejection,
        max_ejected_percent: max_ejected_percent?,
        panic_percent: panic_percent?,
        connect_timeout: connect_timeout?,
    })
}

/// Checks that the first ejection is not longer than the longest, and reports the one that is
/// given.
fn in_order(
    field: Field<'_>,
    base: Option<Duration>,
    max: Option<Duration>,
) -> Option<(Duration, Duration)> {
    let (base, max) = (base?, max?);
    if base <= max {
        return Some((base, max));
    }
    let given = field
        .get("maxEjection")
        .or_else(|| field.get("baseEjection"))?;
    given.error(format!(
        "baseEjection ({}) must not be longer than maxEjection ({})",
        shown(base),
        shown(max)
    ))
}
