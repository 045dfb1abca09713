//! Health checks.

mod http;

use std::{num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use self::http::HttpForm;
use crate::{
    model::{HealthCheck, Probe},
    source::{
        duration::{DAY, Time, shown},
        field::Field,
        setting::{Plain, Setting},
        value::{Bool, PortNumber, Text, Whole},
    },
};

const PROBES: [&str; 4] = ["tcp", "http", "https", "grpc"];

/// Message about a health check without a probe.
const NO_PROBE: &str =
    "says no probe: one of `tcp: {}`, `http: {}`, `https: {}` and `grpc: {}` is needed";

/// Default of the timeout, if the interval is not shorter.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Number of probes in a row.
type InARow = Whole<NonZeroU32, 1, 4_294_967_295>;

/// Active health checks by the agent. Exactly one of `tcp`, `http`, `https` and `grpc` is given.
/// UDP ports are not checked.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(
    rename = "Health",
    extend("oneOf" = PROBES.map(|it| serde_json::json!({"required": [it], "errorMessage": NO_PROBE})))
)]
pub struct HealthForm {
    /// The port accepts a connection; an empty mapping.
    tcp: Setting<TcpForm>,
    /// A GET request.
    http: Setting<HttpForm>,
    /// A GET request with TLS. The certificate is not verified.
    https: Setting<HttpForm>,
    /// A request of `grpc.health.v1.Health/Check`.
    grpc: Setting<GrpcForm>,
    /// Port to check.
    #[schemars(extend("x-default" = "the endpoint's"))]
    port: Plain<PortNumber>,
    /// Time from one check to the next.
    interval: Plain<Time<100, DAY>>,
    /// Time until a check without an answer fails.
    #[schemars(extend("default" = shown(TIMEOUT), "x-range" = "1ms–`interval`"))]
    timeout: Plain<Time<1, DAY>>,
    /// The interval varies by up to this share.
    jitter_percent: Plain<Whole<u8, 0, 50>>,
    /// Passed checks in a row until an endpoint is healthy.
    rise: Plain<InARow>,
    /// Failed checks in a row until it is unhealthy.
    fall: Plain<InARow>,
    /// Take the last endpoints out as well when all fail.
    allow_empty: Plain<Bool>,
}

/// A TCP probe, which has no settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TcpProbe")]
struct TcpForm {}

/// A probe with the gRPC health checking protocol.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "GrpcProbe")]
struct GrpcForm {
    /// Service in the request.
    #[schemars(extend("x-default" = "the server"))]
    service: Plain<Text>,
}

impl Default for HealthForm {
    fn default() -> Self {
        let count = |number| NonZeroU32::new(number).expect("given as more than zero");
        Self {
            tcp: Setting::Absent,
            http: Setting::Absent,
            https: Setting::Absent,
            grpc: Setting::Absent,
            port: Setting::Absent,
            interval: Plain::default_to(Duration::from_secs(5)),
            timeout: Setting::Absent,
            jitter_percent: Plain::default_to(10),
            rise: Plain::default_to(count(2)),
            fall: Plain::default_to(count(3)),
            allow_empty: Plain::default_to(false),
        }
    }
}

impl HealthForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Option<Field<'_>>) -> Option<HealthCheck> {
        let field = field?;
        let http = |form: Setting<HttpForm>, name| {
            let tls = name == "https";
            form.convert(None, |form| Some(Some(form.model(field.get(name)?, tls)?)))
        };
        let probes = [
            self.tcp.convert(None, |TcpForm {}| Some(Some(Probe::Tcp))),
            http(self.http, "http"),
            http(self.https, "https"),
            self.grpc.convert(None, |form| Some(Some(form.model()?))),
        ];
        let times = times(field, self.interval.value(), self.timeout.optional());
        let probe = only(field, probes);
        let (interval, timeout) = times?;
        Some(HealthCheck {
            probe: probe?,
            port: self.port.optional()?,
            interval,
            timeout,
            jitter_percent: self.jitter_percent.value()?,
            rise: self.rise.value()?,
            fall: self.fall.value()?,
            allow_empty: self.allow_empty.value()?,
        })
    }
}

impl GrpcForm {
    fn model(self) -> Option<Probe> {
        let service = self.service.optional()?.unwrap_or_default();
        Some(Probe::Grpc {
            service: service.to_string(),
        })
    }
}

/// Returns the probe. Exactly one kind must be given.
fn only(field: Field<'_>, probes: [Option<Option<Probe>>; 4]) -> Option<Probe> {
    let given: Vec<Field<'_>> = PROBES.iter().filter_map(|name| field.get(name)).collect();
    match &*given {
        [_] => probes.into_iter().flatten().flatten().next(),
        [] => field.error(NO_PROBE),
        [_, second, ..] => {
            second.error("a second probe: only one of tcp, http, https and grpc can be given")
        }
    }
}

/// Returns interval and timeout. The default timeout is at most the interval.
fn times(
    field: Field<'_>,
    interval: Option<Duration>,
    timeout: Option<Option<Duration>>,
) -> Option<(Duration, Duration)> {
    let (interval, timeout) = (interval?, timeout?);
    match (timeout, field.get("timeout")) {
        (Some(timeout), Some(field)) if timeout > interval => field.error(format!(
            "longer than the interval, which is {}",
            shown(interval)
        )),
        (timeout, _) => Some((interval, timeout.unwrap_or(TIMEOUT.min(interval)))),
    }
}
