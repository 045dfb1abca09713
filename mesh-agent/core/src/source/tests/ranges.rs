//! Ranges of settings.

use super::{problems, schema::schema_errors, traffic::native};

/// A field with `_` for its value, its least and its greatest value, and values just outside.
type Range = (&'static str, [&'static str; 2], &'static [&'static str]);

const RANGES: [Range; 23] = [
    (
        "endpoints: [{address: 10.0.0.1, weight: _}]",
        ["0", "65535"],
        &["-1", "65536"],
    ),
    (
        "endpoints: [{address: 10.0.0.1, capacity: _}]",
        ["1", "1000000"],
        &["0", "1000001"],
    ),
    (
        "affinity: {timeoutSeconds: _}",
        ["1", "86400"],
        &["0", "86401"],
    ),
    ("drainSeconds: _", ["0", "65535"], &["-1", "65536"]),
    (
        "outlier: {consecutiveFailures: _}",
        ["1", "255"],
        &["0", "256"],
    ),
    (
        "outlier: {baseEjection: _, maxEjection: 24h}",
        ["100ms", "24h"],
        &["99ms", "25h"],
    ),
    (
        "outlier: {baseEjection: 100ms, maxEjection: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
    ),
    (
        "outlier: {maxEjectedPercent: _}",
        ["0", "100"],
        &["-1", "101"],
    ),
    ("outlier: {panicPercent: _}", ["0", "100"], &["-1", "101"]),
    (
        "outlier: {connectTimeout: _}",
        ["1s", "60s"],
        &["999ms", "61s"],
    ),
    ("limits: {maxConnections: _}", ["1", "4294967295"], &["0"]),
    (
        "limits: {maxConnections: 8, maxConnectionsPerClientPercent: _}",
        ["1", "100"],
        &["0", "101"],
    ),
    (
        "locality: {failoverPercent: _}",
        ["1", "100"],
        &["0", "101"],
    ),
    (
        "locality: {spillFactor: _}",
        ["1.01", "650"],
        &["1", "1.005", "650.01"],
    ),
    ("slowStart: {alpha: _}", ["0.000001", "1"], &["0", "1.1"]),
    ("slowStart: {tick: _}", ["100ms", "24h"], &["99ms", "25h"]),
    ("drain: {beta: _}", ["0", "0.999999"], &["-0.1", "1"]),
    ("drain: {tick: _}", ["100ms", "24h"], &["99ms", "25h"]),
    (
        "health: {tcp: {}, interval: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
    ),
    (
        "health: {tcp: {}, timeout: _}",
        ["1ms", "5s"],
        &["0ms", "5001ms"],
    ),
    ("health: {tcp: {}, jitterPercent: _}", ["0", "50"], &["51"]),
    (
        "health: {tcp: {}, rise: 1, fall: _}",
        ["1", "4294967295"],
        &["0"],
    ),
    (
        "health: {http: {status: _}}",
        ["200", "599"],
        &["199", "600"],
    ),
];

#[test]
fn the_first_and_the_last_value_of_a_range_are_right() {
    for (field, good, bad) in RANGES {
        let text = |value: &str| native(&format!("  {}\n", field.replace('_', value)));
        for value in good {
            assert_eq!(problems(&text(value)), [""; 0], "{field} {value}");
            assert_eq!(schema_errors(&text(value)), [""; 0], "{field} {value}");
        }
        for value in bad {
            assert_eq!(problems(&text(value)).len(), 1, "{field} {value}");
        }
    }
}
