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

/// A native service with further fields, each on a line of its own from the sixth.
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

/// A Kubernetes service with annotations, each on a line of its own from the sixth.
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
const NATIVE: &str = "
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
        health: Some(HealthCheck {
            probe: Probe::Tcp,
            port: None,
            interval: second * 5,
            timeout: second,
            jitter_percent: 10,
            rise: two,
            fall: three,
            allow_empty: false,
        }),
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
fn errors_of_wrong_values_name_the_expected_value() {
    let policies = "leastConnections, latencyAware, random, roundRobin or consistentHash";
    let ejection = "a duration from 100ms to 24h in whole milliseconds";
    let timeout = "a duration from 1s to 1m in whole milliseconds";
    let alpha = "a number above 0 and at most 1, with at most 6 decimals";
    let beta = "a number from 0 and below 1, with at most 6 decimals";
    let unit = "a duration with its unit, like 500ms, 10s or 5m";
    let limit = "a whole number from 1 to 4294967295";
    let share = "a whole number from 1 to 100";
    let expected = [
        ("balance: fair", "", policies, "`fair`"),
        ("balance: [random]", "", policies, "a list"),
        ("balance: {policy: 1}", ".policy", policies, "`1`"),
        (
            "balance: {policy: consistentHash, key: pod}",
            ".key",
            "namespace, cgroup or sourceAddress",
            "`pod`",
        ),
        ("outlier: off", "", "a mapping", "`off`"),
        ("outlier: {enabled: 1}", ".enabled", "true or false", "`1`"),
        (
            "outlier: {consecutiveFailures: 0}",
            ".consecutiveFailures",
            "a whole number from 1 to 255",
            "`0`",
        ),
        (
            "outlier: {consecutiveFailures: 256}",
            ".consecutiveFailures",
            "a whole number from 1 to 255",
            "`256`",
        ),
        ("outlier: {baseEjection: 10}", ".baseEjection", unit, "`10`"),
        (
            "outlier: {baseEjection: '10'}",
            ".baseEjection",
            ejection,
            "the text `\"10\"`",
        ),
        (
            "outlier: {baseEjection: 99ms}",
            ".baseEjection",
            ejection,
            "`99ms`",
        ),
        (
            "outlier: {baseEjection: 100.5ms}",
            ".baseEjection",
            ejection,
            "`100.5ms`",
        ),
        (
            "outlier: {baseEjection: -1s}",
            ".baseEjection",
            ejection,
            "`-1s`",
        ),
        (
            "outlier: {maxEjection: 25h}",
            ".maxEjection",
            ejection,
            "`25h`",
        ),
        (
            "outlier: {maxEjectedPercent: 101}",
            ".maxEjectedPercent",
            "a whole number from 0 to 100",
            "`101`",
        ),
        (
            "outlier: {panicPercent: 50%}",
            ".panicPercent",
            "a whole number from 0 to 100",
            "`50%`",
        ),
        (
            "outlier: {connectTimeout: 999ms}",
            ".connectTimeout",
            timeout,
            "`999ms`",
        ),
        (
            "outlier: {connectTimeout: 61s}",
            ".connectTimeout",
            timeout,
            "`61s`",
        ),
        (
            "limits: {maxConnections: 0}",
            ".maxConnections",
            limit,
            "`0`",
        ),
        (
            "limits: {maxConnectionsPerEndpoint: 4294967296}",
            ".maxConnectionsPerEndpoint",
            limit,
            "`4294967296`",
        ),
        (
            "limits: {maxConnections: 1.5}",
            ".maxConnections",
            limit,
            "`1.5`",
        ),
        (
            "limits: {maxConnections: 5, maxConnectionsPerClientPercent: 0}",
            ".maxConnectionsPerClientPercent",
            share,
            "`0`",
        ),
        ("slowStart: true", "", "a mapping", "`true`"),
        ("slowStart: {alpha: 0}", ".alpha", alpha, "`0`"),
        (
            "slowStart: {alpha: 1.000001}",
            ".alpha",
            alpha,
            "`1.000001`",
        ),
        (
            "slowStart: {alpha: 0.0000001}",
            ".alpha",
            alpha,
            "`0.0000001`",
        ),
        ("slowStart: {alpha: 1e-1}", ".alpha", alpha, "`1e-1`"),
        ("slowStart: {tick: 99ms}", ".tick", ejection, "`99ms`"),
        ("drain: {beta: 1}", ".beta", beta, "`1`"),
        ("drain: {beta: -0.1}", ".beta", beta, "`-0.1`"),
        ("drain: {tick: 1}", ".tick", unit, "`1`"),
    ];
    for (field, place, right, found) in expected {
        let name = field.split_once(':').unwrap().0;
        assert_eq!(
            problem(field),
            [format!("{name}{place}: expected {right}, found {found}")],
            "{field}"
        );
    }
}

#[test]
fn values_that_do_not_fit_together_are_errors() {
    let expected = [
        (
            "balance: {policy: random, key: cgroup}",
            "balance.key: only the policy consistentHash has a key",
        ),
        ("balance: {key: cgroup}", "balance.policy: missing"),
        (
            "outlier: {baseEjection: 10s, maxEjection: 9s}",
            "outlier.maxEjection: baseEjection (10s) must not be longer than maxEjection (9s)",
        ),
        (
            "outlier: {baseEjection: 10m}",
            "outlier.baseEjection: baseEjection (10m) must not be longer than maxEjection (5m)",
        ),
        (
            "outlier: {failures: 1}",
            "outlier.failures: unknown field; known here: enabled, consecutiveFailures, \
             baseEjection, maxEjection, maxEjectedPercent, panicPercent, connectTimeout",
        ),
        (
            "limits: {max: 1}",
            "limits.max: unknown field; known here: maxConnections, maxConnectionsPerEndpoint, \
             maxConnectionsPerClientPercent",
        ),
        (
            "limits: {maxConnectionsPerClientPercent: 25}",
            "limits.maxConnectionsPerClientPercent: maxConnections is missing, which it is a percentage of",
        ),
        (
            "slowStart: {beta: 1}",
            "slowStart.beta: unknown field; known here: alpha, tick",
        ),
        (
            "drain: {alpha: 1}",
            "drain.alpha: unknown field; known here: beta, tick",
        ),
    ];
    for (field, right) in expected {
        assert_eq!(problem(field), [right], "{field}");
    }
}

#[test]
fn wrong_annotations_are_named_with_the_path_inside_of_them() {
    let text = annotated(
        r#"    mesh-agent.io/balance: fair
    mesh-agent.io/hash-key: pod
    mesh-agent.io/max-connections: 5
    mesh-agent.io/max-connections-per-endpoint: many
    mesh-agent.io/outlier: '{"baseEjection": 10, "outlier": 1}'
    mesh-agent.io/slow-start: '{'
    mesh-agent.io/drain: ''
    mesh-agent.io/health: |
      http:
        headers: {a: [b]}
      rise: 0
    mesh-agent.io/source-preference: near
    mesh-agent.io/locality: "--- 1\n--- 2"
    mesh-agent.io/of-a-later-version: x"#,
    );
    let expected = [
        "6: balance: expected leastConnections, latencyAware, random, roundRobin or consistentHash, found `fair`",
        "7: hash-key: expected namespace, cgroup or sourceAddress, found `pod`",
        "8: max-connections: expected text, in quotes, found `5`",
        "9: max-connections-per-endpoint: expected a whole number from 1 to 4294967295, found `many`",
        "10: outlier.baseEjection: expected a duration with its unit, like 500ms, 10s or 5m, found `10`",
        "10: outlier.outlier: unknown field; known here: enabled, consecutiveFailures, baseEjection, maxEjection, \
         maxEjectedPercent, panicPercent, connectTimeout",
        "11: slow-start: while parsing a node, did not find expected node content",
        "12: drain: expected a mapping, found nothing",
        "13: health.http.headers.a: expected the text of a header, in one line, found a list",
        "13: health.rise: expected a whole number from 1 to 4294967295, found `0`",
        "17: source-preference: expected local, remote or none, found `near`",
        "18: locality: expected one YAML or JSON value, found `--- 1 --- 2`",
    ];
    let shortened = |text: &String| {
        text.replace("a.yaml:", "")
            .replace("metadata.annotations.mesh-agent.io/", "")
    };
    assert_eq!(
        problems(&text).iter().map(shortened).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn hash_key_needs_the_policy_that_hashes() {
    let problem = "a.yaml:6: metadata.annotations.mesh-agent.io/hash-key: only the policy consistentHash has a key";
    assert_eq!(
        problems(&annotated("    mesh-agent.io/hash-key: cgroup")),
        [problem]
    );
}

#[test]
fn all_errors_of_all_fields_are_reported_together() {
    // Each of these is wrong in itself. Any combination reports exactly these errors.
    let wrong = [
        "  balance: fair\n",
        "  outlier: {panicPercent: 101}\n",
        "  limits: {maxConnections: 0}\n",
        "  locality: {order: [house]}\n",
        "  slowStart: {alpha: 2}\n",
        "  drain: {beta: 2}\n",
        "  health: {tcp: {}, rise: 0}\n",
    ];
    for chosen in 0..1_u32 << wrong.len() {
        let fields = wrong
            .iter()
            .enumerate()
            .filter(|(bit, _)| chosen & (1 << bit) != 0);
        let fields: Vec<&str> = fields.map(|(_, field)| *field).collect();
        let found = problems(&native(&fields.concat()));
        let places = found
            .iter()
            .map(|it| it.split(": ").next().unwrap().to_owned());
        let expected = (0..fields.len()).map(|line| format!("a.yaml:{}", line + 6));
        assert_eq!(places.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        for (field, problem) in fields.iter().zip(&found) {
            let name = field.trim().split(':').next().unwrap();
            assert!(
                problem.contains(&format!("services[0].{name}")),
                "{problem}"
            );
        }
    }
}
