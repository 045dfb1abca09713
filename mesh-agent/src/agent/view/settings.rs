//! Formats traffic settings as the native form spells them.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    api::types,
    model::{
        Balance, HealthCheck, Limits, MAX_EJECTED_PERCENT, Outlier, PANIC_PERCENT, Probe,
        Words as _,
    },
};

/// Returns the policy, and the client attribute that it hashes.
pub(super) fn balance(balance: Balance) -> (&'static str, Option<&'static str>) {
    let key = match balance {
        Balance::ConsistentHash(key) => Some(key.word()),
        _ => None,
    };
    (balance.word(), key)
}

/// Returns the limits; nothing when there are none.
pub(super) fn limits(limits: Limits) -> Option<types::Limits> {
    let Limits {
        connections,
        connections_per_endpoint,
        percent_per_client,
    } = limits;
    (limits != Limits::default()).then(|| types::Limits {
        max_connections: connections.map(NonZeroU32::get),
        max_connections_per_endpoint: connections_per_endpoint.map(NonZeroU32::get),
        max_connections_per_client_percent: percent_per_client,
    })
}

/// Returns the health check with the interval in effect.
pub(super) fn health_check(check: &HealthCheck, interval: Duration) -> types::HealthCheck {
    let HealthCheck {
        probe,
        port,
        interval: _,
        timeout,
        jitter_percent,
        rise,
        fall,
        allow_empty,
    } = check;
    types::HealthCheck {
        probe: match probe {
            Probe::Tcp => "tcp".to_owned(),
            Probe::Http(probe) => format!(
                "{} {}",
                if probe.tls { "https" } else { "http" },
                probe.path
            ),
            Probe::Grpc { service } => format!("grpc {service}").trim_end().to_owned(),
        },
        port: *port,
        interval_milliseconds: milliseconds(interval),
        timeout_milliseconds: milliseconds(*timeout),
        jitter_percent: (*jitter_percent).into(),
        rise: rise.get(),
        fall: fall.get(),
        allow_empty: *allow_empty,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the outlier detection; nothing when all settings have the default.
pub(super) fn outlier(outlier: Outlier) -> Option<types::Outlier> {
    (outlier != Outlier::default()).then(|| types::Outlier {
        enabled: outlier.consecutive_failures != 0,
        consecutive_failures: outlier.consecutive_failures.into(),
        base_ejection_milliseconds: milliseconds(outlier.base_ejection),
        max_ejection_milliseconds: milliseconds(outlier.max_ejection),
        max_ejected_percent: outlier
            .max_ejected_percent
            .unwrap_or(MAX_EJECTED_PERCENT)
            .into(),
        panic_percent: outlier.panic_percent.unwrap_or(PANIC_PERCENT).into(),
        connect_timeout_milliseconds: milliseconds(outlier.connect_timeout),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HttpProbe;

    #[test]
    fn health_check_is_shown_with_all_settings() {
        let two = NonZeroU32::new(2).unwrap();
        let check = |probe| HealthCheck {
            probe,
            port: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_millis(500),
            jitter_percent: 10,
            rise: two,
            fall: two,
            allow_empty: false,
        };
        let http = |tls| HttpProbe {
            tls,
            path: "/up".into(),
            headers: vec![],
            status: (200, 399),
            expect_header: None,
        };
        let grpc = |service: &str| Probe::Grpc {
            service: service.into(),
        };
        let probes = [
            Probe::Tcp,
            Probe::Http(http(false)),
            Probe::Http(http(true)),
            grpc(""),
            grpc("cart"),
        ];
        let shown = probes.map(|probe| health_check(&check(probe), Duration::from_secs(5)).probe);
        assert_eq!(shown, ["tcp", "http /up", "https /up", "grpc", "grpc cart"]);
        let shown = health_check(&check(Probe::Tcp), Duration::from_secs(20));
        assert_eq!(
            (
                shown.interval_milliseconds,
                shown.timeout_milliseconds,
                shown.rise
            ),
            (20_000, 500, 2)
        );
    }

    #[test]
    fn settings_with_default_values_are_not_shown() {
        assert_eq!(
            (limits(Limits::default()), outlier(Outlier::default())),
            (None, None)
        );
        let set = Limits {
            connections: NonZeroU32::new(5),
            percent_per_client: Some(25),
            ..Limits::default()
        };
        let expected = types::Limits {
            max_connections: Some(5),
            max_connections_per_endpoint: None,
            max_connections_per_client_percent: Some(25),
        };
        assert_eq!(limits(set), Some(expected));
        assert!(
            !outlier(Outlier {
                consecutive_failures: 0,
                ..Outlier::default()
            })
            .unwrap()
            .enabled
        );
    }
}
