//! Traffic settings, in native services and in annotations.

use std::{num::NonZeroU32, time::Duration};

use super::{joined, kubernetes, parse, problems};
use crate::{
    model::{
        Balance, CheckOrigin, Drain, HashKey, HealthCheck, Limits, Locality, LocalityLevel,
        LocalityPolicy, Outlier, Probe, Ratio, SlowStart, SourcePreference, Traffic,
    },
    source::Serve,
};

/// A native service with further fields, each on its own line, from the sixth on.
pub(super) fn native(fields: &str) -> String {
    format!(
        "services:\n- name: a\n  address: auto\n  ports: [{{port: 80}}]\n  enabled: true\n{fields}"
    )
}

/// Reads a native service with these fields.
pub(super) fn traffic(fields: &str) -> Traffic {
    let file = parse(&native(fields));
    assert_eq!(file.errors, []);
    placeless(&file.contents.services[0].traffic)
}

/// Returns the errors of a native service with one more field, without file and line.
pub(super) fn problem(field: &str) -> Vec<String> {
    let place = "a.yaml:6: services[0].";
    problems(&native(&format!("  {field}\n")))
        .iter()
        .map(|it| it.strip_prefix(place).unwrap().to_owned())
        .collect()
}

/// A Kubernetes service with annotations, each on its own line, from the sixth on.
pub(super) fn annotated(annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n{annotations}\nspec: {}\n",
        kubernetes::SPEC
    )
}

/// Reads a Kubernetes service with these annotations.
pub(super) fn traffic_of(text: &str) -> Traffic {
    let update = joined(text, Serve::All);
    placeless(&update.services.values().next().unwrap().traffic)
}

/// Returns the settings without their origin.
fn placeless(traffic: &Traffic) -> Traffic {
    Traffic {
        health_origin: CheckOrigin::default(),
        ..traffic.clone()
    }
}

#[test]
fn a_health_check_has_its_origin() {
    let file = parse(&native("  health: {tcp: {}}\n"));
    let expected = CheckOrigin {
        line: 6,
        field: "services[0].health".into(),
        is_annotation: false,
    };
    assert_eq!(file.contents.services[0].traffic.health_origin, expected);
    let update = joined(
        &annotated("\n    mesh-agent.io/health: '{tcp: {}}'\n"),
        Serve::All,
    );
    let place = &update
        .services
        .values()
        .next()
        .unwrap()
        .traffic
        .health_origin;
    let field = "metadata.annotations.mesh-agent.io/health";
    assert_eq!(
        (place.field.as_str(), place.is_annotation, place.line > 1),
        (field, true, true)
    );
}

/// All settings in the native form.
pub(super) const NATIVE: &str = "
  balance: { policy: consistentHash, key: cgroup }
  outlier:
    consecutiveFailures: 5
    baseEjection: 500ms
    maxEjection: 24h
    maxEjectedPercent: 50
    panicPercent: 10
    connectTimeout: 1500ms
  limits: { maxConnections: 1000, maxConnectionsPerEndpoint: 4294967295, maxConnectionsPerClientPercent: 25 }
  locality: { order: [zone, node], failoverPercent: 100, spillFactor: 1.5, sources: local }
  slowStart: { alpha: 0.25, tick: 100ms }
  drain: { beta: 0, tick: 5s }
  health: { tcp: {} }
";

/// All settings as annotations.
const ANNOTATIONS: &str = r#"
    mesh-agent.io/balance: consistent-hash
    mesh-agent.io/hash-key: cgroup
    mesh-agent.io/outlier: |
      consecutiveFailures: 5
      baseEjection: 500ms
      maxEjection: 24h
      maxEjectedPercent: 50
      panicPercent: 10
      connectTimeout: 1500ms
    mesh-agent.io/max-connections: "1000"
    mesh-agent.io/max-connections-per-endpoint: "4294967295"
    mesh-agent.io/max-connections-per-client-percent: "25"
    mesh-agent.io/locality: '{"order": ["zone", "node"], "failoverPercent": 100, "spillFactor": 1.5}'
    mesh-agent.io/source-preference: local
    mesh-agent.io/slow-start: '{"alpha": 0.25, "tick": "100ms"}'
    mesh-agent.io/drain: 'beta: 0, tick: 5s'
    mesh-agent.io/health: '{tcp: {}}'
"#;

fn everything() -> Traffic {
    let (second, two, three) = (
        Duration::from_secs(1),
        NonZeroU32::new(2).unwrap(),
        NonZeroU32::new(3).unwrap(),
    );
    Traffic {
        balance: Balance::ConsistentHash(HashKey::Cgroup),
        outlier: Outlier {
            consecutive_failures: 5,
            base_ejection: second / 2,
            max_ejection: second * 86_400,
            max_ejected_percent: Some(50),
            panic_percent: Some(10),
            connect_timeout: second * 3 / 2,
        },
        limits: Limits {
            connections: NonZeroU32::new(1000),
            connections_per_endpoint: Some(NonZeroU32::MAX),
            percent_per_client: Some(25),
        },
        locality: LocalityPolicy {
            order: vec![LocalityLevel::Zone, LocalityLevel::Node],
            failover_percent: 100,
            spill: Some(150),
            sources: SourcePreference::Local,
            by_hints: false,
        },
        slow_start: Some(SlowStart {
            alpha: Ratio(250_000),
            tick: second / 10,
        }),
        drain: Some(Drain {
            beta: Ratio(0),
            tick: second * 5,
        }),
        health: Some(Box::new(HealthCheck {
            probe: Probe::Tcp,
            port: None,
            interval: second * 5,
            timeout: second,
            jitter_percent: 10,
            rise: two,
            fall: three,
            allow_empty: false,
        })),
        health_origin: CheckOrigin::default(),
    }
}

#[test]
fn a_service_without_settings_gets_the_defaults() {
    assert_eq!(traffic(""), Traffic::default());
    let by_hints = Traffic {
        locality: LocalityPolicy {
            by_hints: true,
            ..LocalityPolicy::default()
        },
        ..Traffic::default()
    };
    assert_eq!(
        traffic_of(&kubernetes::declared(kubernetes::SPEC)),
        by_hints
    );
    assert_eq!(
        traffic("  balance: null\n  outlier: {}\n  limits: {}\n  health: ~\n"),
        Traffic::default()
    );
}

#[test]
fn every_setting_has_a_native_field() {
    assert_eq!(traffic(NATIVE), everything());
}

#[test]
fn annotations_are_equivalent_to_native_fields() {
    let braces = ANNOTATIONS.replace("'beta: 0, tick: 5s'", "'{beta: 0, tick: 5s}'");
    assert_eq!(traffic_of(&annotated(&braces)), everything());
}

#[test]
fn every_policy_has_a_name_in_both_spellings() {
    let policies = [
        (
            "leastConnections",
            "least-connections",
            Balance::LeastConnections,
        ),
        ("latencyAware", "latency-aware", Balance::LatencyAware),
        ("random", "random", Balance::Random),
        ("roundRobin", "round-robin", Balance::RoundRobin),
        (
            "consistentHash",
            "consistent-hash",
            Balance::ConsistentHash(HashKey::NetworkNamespace),
        ),
    ];
    for (native, annotation, policy) in policies {
        assert_eq!(traffic(&format!("  balance: {native}\n")).balance, policy);
        assert_eq!(
            traffic(&format!("  balance: {{policy: {annotation}}}\n")).balance,
            policy
        );
        let annotation = format!("    mesh-agent.io/balance: {annotation}\n");
        assert_eq!(traffic_of(&annotated(&annotation)).balance, policy);
    }
    for (word, key) in [
        ("namespace", HashKey::NetworkNamespace),
        ("cgroup", HashKey::Cgroup),
        ("sourceAddress", HashKey::SourceAddress),
    ] {
        let field = format!("  balance: {{policy: consistentHash, key: {word}}}\n");
        assert_eq!(traffic(&field).balance, Balance::ConsistentHash(key));
    }
}

#[test]
fn ejection_can_be_switched_off() {
    let off = Outlier {
        consecutive_failures: 0,
        ..Outlier::default()
    };
    assert_eq!(traffic("  outlier: {enabled: false}\n").outlier, off);
    assert_eq!(
        traffic("  outlier: {enabled: true}\n").outlier,
        Outlier::default()
    );
    let annotation = "    mesh-agent.io/outlier: 'enabled: false'\n";
    assert_eq!(traffic_of(&annotated(annotation)).outlier, off);
}

#[test]
fn ramps_have_defaults() {
    let second = Duration::from_secs(1);
    let ramps = traffic("  slowStart: {}\n  drain: {}\n");
    assert_eq!(
        ramps.slow_start,
        Some(SlowStart {
            alpha: Ratio(100_000),
            tick: second
        })
    );
    assert_eq!(
        ramps.drain,
        Some(Drain {
            beta: Ratio(500_000),
            tick: second
        })
    );
    assert_eq!(
        traffic("  slowStart: {alpha: 1}\n")
            .slow_start
            .unwrap()
            .alpha,
        Ratio(1_000_000)
    );
    assert_eq!(
        traffic("  slowStart: {alpha: .000001}\n")
            .slow_start
            .unwrap()
            .alpha,
        Ratio(1)
    );
    assert_eq!(
        traffic("  drain: {beta: 0.9999990}\n").drain.unwrap().beta,
        Ratio(999_999)
    );
}

#[test]
fn endpoints_have_locality_and_capacity() {
    let text = native(
        "  endpoints: [{address: 10.0.0.1, cloud: x, region: r, zone: z, capacity: 1000000}]\n",
    );
    let endpoint = parse(&text).contents.services[0].ports[0].endpoints[0].clone();
    let some = |text: &str| Some(text.into());
    assert_eq!(
        endpoint.locality,
        Locality {
            cloud: some("x"),
            region: some("r"),
            zone: some("z")
        }
    );
    assert_eq!((endpoint.capacity, endpoint.source), (1_000_000, None));
    let wrong = "endpoints: [{address: 10.0.0.1, cloud: '', region: 1, zone: [], capacity: 0}]";
    let expected = [
        "endpoints[0].capacity: expected a whole number from 1 to 1000000, found `0`",
        "endpoints[0].cloud: expected a name, found ``",
        "endpoints[0].region: expected text, found `1`",
        "endpoints[0].zone: expected text, found a list",
    ];
    assert_eq!(problem(wrong), expected);
}

#[test]
fn an_annotation_for_one_field_wins_over_one_for_the_mapping() {
    let annotations = "
    mesh-agent.io/balance: '{policy: consistentHash, key: cgroup}'
    mesh-agent.io/hash-key: source-address
    mesh-agent.io/locality: '{sources: local, order: [region, zone], failoverPercent: 5}'
    mesh-agent.io/source-preference: remote
";
    let expected = Traffic {
        balance: Balance::ConsistentHash(HashKey::SourceAddress),
        locality: LocalityPolicy {
            order: vec![LocalityLevel::Region, LocalityLevel::Zone],
            failover_percent: 5,
            sources: SourcePreference::Remote,
            ..LocalityPolicy::default()
        },
        ..Traffic::default()
    };
    assert_eq!(traffic_of(&annotated(annotations)), expected);
}
