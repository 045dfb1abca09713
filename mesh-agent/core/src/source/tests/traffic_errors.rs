//! Errors in traffic settings, in native services and in annotations.

use super::problems;
use super::traffic::{annotated, native, problem};

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
        (
            "balance: {key: cgroup}",
            "balance.key: only the policy consistentHash has a key",
        ),
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
            "limits.maxConnectionsPerClientPercent: maxConnections or maxConnectionsPerEndpoint is missing, which it is a percentage of",
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
fn an_annotation_that_cannot_be_parsed_is_the_only_error() {
    let text = annotated(
        "    mesh-agent.io/balance: '{'
    mesh-agent.io/hash-key: cgroup
    mesh-agent.io/max-connections: 5
    mesh-agent.io/max-connections-per-client-percent: '20'",
    );
    let expected = [
        "a.yaml:6: metadata.annotations.mesh-agent.io/balance: \
         while parsing a node, did not find expected node content",
        "a.yaml:8: metadata.annotations.mesh-agent.io/max-connections: \
         expected text, in quotes, found `5`",
    ];
    assert_eq!(problems(&text), expected);
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
