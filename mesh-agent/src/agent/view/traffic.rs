//! How connects are spread, in the words of the native form.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    api::types,
    model::{Balance, HashKey, Limits, Outlier},
};

/// The policy, and what it hashes of a client.
pub(super) const fn balance(balance: Balance) -> (&'static str, Option<&'static str>) {
    match balance {
        Balance::LeastConnections => ("leastConnections", None),
        Balance::LatencyAware => ("latencyAware", None),
        Balance::Random => ("random", None),
        Balance::RoundRobin => ("roundRobin", None),
        Balance::ConsistentHash(HashKey::NetworkNamespace) => ("consistentHash", Some("namespace")),
        Balance::ConsistentHash(HashKey::Cgroup) => ("consistentHash", Some("cgroup")),
        Balance::ConsistentHash(HashKey::SourceAddress) => ("consistentHash", Some("sourceAddress")),
    }
}

/// Nothing where nothing is limited.
pub(super) fn limits(limits: Limits) -> Option<types::Limits> {
    let Limits { connections, connections_per_endpoint } = limits;
    (limits != Limits::default()).then(|| types::Limits {
        max_connections: connections.map(NonZeroU32::get),
        max_connections_per_endpoint: connections_per_endpoint.map(NonZeroU32::get),
    })
}

/// Nothing where all is as by default.
pub(super) fn outlier(outlier: Outlier) -> Option<types::Outlier> {
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    (outlier != Outlier::default()).then(|| types::Outlier {
        enabled: outlier.consecutive_failures != 0,
        consecutive_failures: outlier.consecutive_failures.into(),
        base_ejection_milliseconds: milliseconds(outlier.base_ejection),
        max_ejection_milliseconds: milliseconds(outlier.max_ejection),
        max_ejected_percent: outlier.max_ejected_percent.into(),
        panic_percent: outlier.panic_percent.into(),
        connect_timeout_milliseconds: milliseconds(outlier.connect_timeout),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_set_is_told() {
        assert_eq!((limits(Limits::default()), outlier(Outlier::default())), (None, None));
        let set = Limits { connections: NonZeroU32::new(5), connections_per_endpoint: None };
        let expected = types::Limits { max_connections: Some(5), max_connections_per_endpoint: None };
        assert_eq!(limits(set), Some(expected));
        assert!(!outlier(Outlier { consecutive_failures: 0, ..Outlier::default() }).unwrap().enabled);
    }
}
