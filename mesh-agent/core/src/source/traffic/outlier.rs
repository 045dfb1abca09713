//! Outlier detection: when connect failures eject an endpoint.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{MAX_EJECTED_PERCENT, Outlier, PANIC_PERCENT},
    source::{
        duration::{DAY, Time, shown},
        field::Field,
        setting::{Plain, Setting},
        value::{Bool, Whole},
    },
};

/// The kernel sends the first packet of a connection again after one second (`TCP_TIMEOUT_INIT`):
/// what takes longer is late, what takes less may have been lost just once.
/// <https://github.com/torvalds/linux/blob/v6.1/include/net/tcp.h>
const FIRST_RETRANSMISSION: u64 = 1000;

/// When failed connects eject an endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "Outlier")]
pub struct OutlierForm {
    /// Whether failed connects eject endpoints.
    enabled: Plain<Bool>,
    /// Failed connects of one client in a row.
    consecutive_failures: Plain<Whole<u8, 1, 255>>,
    /// Duration of the first ejection; doubles each time in a row.
    base_ejection: Plain<Time<100, DAY>>,
    /// Longest ejection.
    max_ejection: Plain<Time<100, DAY>>,
    /// Largest share of endpoints that are ejected for all clients.
    #[schemars(extend("default" = MAX_EJECTED_PERCENT))]
    max_ejected_percent: Plain<Whole<u8, 0, 100>>,
    /// Below this share of usable endpoints, ejections for all clients are ignored.
    #[schemars(extend("default" = PANIC_PERCENT))]
    panic_percent: Plain<Whole<u8, 0, 100>>,
    /// A connect without an answer fails after this time; at least 1s, because the kernel reports
    /// a missing answer when it sends the second SYN.
    connect_timeout: Plain<Time<FIRST_RETRANSMISSION, 60_000>>,
}

impl Default for OutlierForm {
    fn default() -> Self {
        let default = Outlier::default();
        Self {
            enabled: Plain::default_to(true),
            consecutive_failures: Plain::default_to(default.consecutive_failures),
            base_ejection: Plain::default_to(default.base_ejection),
            max_ejection: Plain::default_to(default.max_ejection),
            max_ejected_percent: Setting::Absent,
            panic_percent: Setting::Absent,
            connect_timeout: Plain::default_to(default.connect_timeout),
        }
    }
}

impl OutlierForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Option<Field<'_>>) -> Option<Outlier> {
        let ordered = in_order(field, self.base_ejection.value(), self.max_ejection.value());
        let failures = self.consecutive_failures.value()?;
        let (base_ejection, max_ejection) = ordered?;
        Some(Outlier {
            consecutive_failures: if self.enabled.value()? { failures } else { 0 },
            base_ejection,
            max_ejection,
            max_ejected_percent: self.max_ejected_percent.optional()?,
            panic_percent: self.panic_percent.optional()?,
            connect_timeout: self.connect_timeout.value()?,
        })
    }
}

/// Checks that the first ejection is not longer than the longest, and reports the one that is
/// given.
fn in_order(
    field: Option<Field<'_>>,
    base: Option<Duration>,
    max: Option<Duration>,
) -> Option<(Duration, Duration)> {
    let (base, max) = (base?, max?);
    if base <= max {
        return Some((base, max));
    }
    let given = field?
        .get("maxEjection")
        .or_else(|| field?.get("baseEjection"))?;
    given.error(format!(
        "baseEjection ({}) must not be longer than maxEjection ({})",
        shown(base),
        shown(max)
    ))
}
