//! The settings `healthChecks`: how often this node probes endpoints, and which ones.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::{
    error::{named, reason, reasons},
    text::{self, Parsed, all_valid, parsed, valid},
};
use crate::{
    model::CheckPolicy,
    source::settings::{Field, duration, number},
};

const KNOWN: [&str; 5] = [
    "maxPerSecond",
    "minInterval",
    "allowedNetworks",
    "allowCredentials",
    "allowOtherPorts",
];
/// A probe costs about 80 µs of processor time, so 1,000 probes a second cost less than a tenth of
/// a processor.
const MAX_PER_SECOND: u32 = 100_000;
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(24);

/// Settings of health checks, from one origin.
#[derive(Args, Clone, Debug, Default)]
pub struct HealthChecks {
    /// Health checks of this node per second, shared fairly: services that ask for more than their
    /// share are checked less often [default: 1000]
    #[arg(id = "health_check_max_per_second", long = "health-check-max-per-second", env = "MESH_HEALTH_CHECK_MAX_PER_SECOND", value_name = "NUMBER", value_parser = parsed(max_per_second))]
    max_per_second: Option<Parsed<u32>>,
    /// Shortest time from one health check of an endpoint to the next, from 100ms to 24h [default:
    /// 1s]
    #[arg(id = "health_check_min_interval", long = "health-check-min-interval", env = "MESH_HEALTH_CHECK_MIN_INTERVAL", value_name = "DURATION", value_parser = parsed(min_interval))]
    min_interval: Option<Parsed<Duration>>,
    /// Network in which endpoints at loopback, link-local and node addresses are checked; repeat
    /// for several [default: none: such endpoints are served without a check]
    #[arg(id = "health_check_allowed_networks", long = "health-check-allowed-networks", env = "MESH_HEALTH_CHECK_ALLOWED_NETWORKS", value_name = "CIDR", value_delimiter = ',', value_parser = parsed(text::network))]
    allowed_networks: Vec<Parsed<IpNet>>,
    /// Allow health checks from annotations to send other headers than Accept, Host, User-Agent
    /// and a few more, which may carry credentials
    /// [default: false: such services are served without a check]
    #[arg(id = "health_check_allow_credentials", long = "health-check-allow-credentials", env = "MESH_HEALTH_CHECK_ALLOW_CREDENTIALS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    allow_credentials: Option<Parsed<bool>>,
    /// Allow health checks from annotations to use a port that no endpoint of the service has
    /// [default: false: such services are served without a check]
    #[arg(id = "health_check_allow_other_ports", long = "health-check-allow-other-ports", env = "MESH_HEALTH_CHECK_ALLOW_OTHER_PORTS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    allow_other_ports: Option<Parsed<bool>>,
}

impl HealthChecks {
    /// Reads the mapping of the settings file.
    pub(super) fn read(field: Field<'_>) -> Self {
        let Some(field) = field.mapping() else {
            return Self::default();
        };
        field.only(&KNOWN);
        let boolean = |name| field.get(name).and_then(Field::boolean).map(Ok);
        Self {
            max_per_second: field
                .get("maxPerSecond")
                .and_then(|it| number(it, 1..=MAX_PER_SECOND))
                .map(Ok),
            min_interval: field
                .get("minInterval")
                .and_then(|it| duration(it, INTERVALS))
                .map(Ok),
            allowed_networks: field
                .list("allowedNetworks")
                .filter_map(|it| text::from_file(it, text::network))
                .collect(),
            allow_credentials: boolean("allowCredentials"),
            allow_other_ports: boolean("allowOtherPorts"),
        }
    }

    /// Returns what is wrong with flags and environment.
    pub(super) fn wrong(&self) -> Vec<String> {
        let given = [
            ("max-per-second", reason(self.max_per_second.as_ref())),
            ("min-interval", reason(self.min_interval.as_ref())),
            ("allowed-networks", reasons(&self.allowed_networks)),
            ("allow-credentials", reason(self.allow_credentials.as_ref())),
            ("allow-other-ports", reason(self.allow_other_ports.as_ref())),
        ];
        let lines = given.into_iter().flat_map(|(name, reasons)| {
            reasons
                .into_iter()
                .map(move |reason| named(&format!("health-check-{name}"), reason))
        });
        lines.collect()
    }

    pub(super) fn or(self, other: Self) -> Self {
        let list = if self.allowed_networks.is_empty() {
            other.allowed_networks
        } else {
            self.allowed_networks
        };
        Self {
            max_per_second: self.max_per_second.or(other.max_per_second),
            min_interval: self.min_interval.or(other.min_interval),
            allowed_networks: list,
            allow_credentials: self.allow_credentials.or(other.allow_credentials),
            allow_other_ports: self.allow_other_ports.or(other.allow_other_ports),
        }
    }

    /// Fills in absent settings.
    pub(super) fn complete(self) -> CheckPolicy {
        let default = CheckPolicy::default();
        CheckPolicy {
            max_per_second: valid(self.max_per_second).unwrap_or(default.max_per_second),
            min_interval: valid(self.min_interval).unwrap_or(default.min_interval),
            allowed_networks: all_valid(self.allowed_networks),
            allow_credentials: valid(self.allow_credentials).unwrap_or(default.allow_credentials),
            allow_other_ports: valid(self.allow_other_ports).unwrap_or(default.allow_other_ports),
        }
    }
}

fn max_per_second(text: &str) -> Parsed<u32> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=MAX_PER_SECOND).contains(number));
    number.map_or_else(
        || text::expected(&format!("a whole number from 1 to {MAX_PER_SECOND}"), text),
        Ok,
    )
}

fn min_interval(text: &str) -> Parsed<Duration> {
    let interval = text::interval(text)
        .ok()
        .filter(|interval| INTERVALS.contains(interval));
    interval.map_or_else(|| text::expected("a duration from 100ms to 24h", text), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Settings, fixture};

    fn settings(text: &str, health_checks: HealthChecks) -> Result<Settings, Vec<String>> {
        let given = Given {
            health_checks,
            ..Given::default()
        };
        fixture::resolve(text, given)
    }

    #[test]
    fn checks_are_settings_of_file_and_flags() {
        assert_eq!(
            settings("", HealthChecks::default()).unwrap().check_policy,
            CheckPolicy::default()
        );
        let text = "healthChecks:\n  maxPerSecond: 50\n  minInterval: 200ms\n  allowedNetworks: [127.0.0.0/8]\n  \
                    allowCredentials: true\n  allowOtherPorts: true\n";
        let expected = CheckPolicy {
            max_per_second: 50,
            min_interval: Duration::from_millis(200),
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allow_credentials: true,
            allow_other_ports: true,
        };
        assert_eq!(
            settings(text, HealthChecks::default())
                .unwrap()
                .check_policy,
            expected
        );
        let flags = HealthChecks {
            max_per_second: Some(max_per_second("7")),
            ..HealthChecks::default()
        };
        assert_eq!(
            settings(text, flags).unwrap().check_policy,
            CheckPolicy {
                max_per_second: 7,
                ..expected
            }
        );
    }

    #[test]
    fn errors_of_health_check_settings_name_the_expected_value() {
        let text = "healthChecks: {maxPerSecond: 0, minInterval: 1ms, allowedNetworks: [x], allow: true}\n";
        let flags = HealthChecks {
            min_interval: Some(min_interval("0s")),
            ..HealthChecks::default()
        };
        let lines = settings(text, flags).unwrap_err();
        let reasons: Vec<&str> = lines
            .iter()
            .map(|line| line.split_once("healthChecks.").map_or(&**line, |it| it.1))
            .collect();
        let expected = [
            "allow: unknown field; known here: maxPerSecond, minInterval, allowedNetworks, allowCredentials, allowOtherPorts",
            "allowedNetworks[0]: expected a network, like 10.96.0.0/16, found `x`",
            "maxPerSecond: expected a whole number from 1 to 100000, found `0`",
            "minInterval: expected a duration from 100ms to 24h in whole milliseconds, found `1ms`",
            "--health-check-min-interval (or MESH_HEALTH_CHECK_MIN_INTERVAL): expected a duration from 100ms to 24h, found `0s`",
        ];
        assert_eq!(reasons, expected);
    }
}
