//! `docs/configuration.md` and the parser agree on fields and their ranges.

use super::{problems, traffic::native};
use crate::source::traffic::FIELDS;

const DOCS: &str = include_str!("../../../../../docs/configuration.md");

/// A field with `_` for its value, its least and its greatest value, values just outside, and its
/// row below the heading of the field that it is in.
type Range = (
    &'static str,
    [&'static str; 2],
    &'static [&'static str],
    &'static str,
);

const RANGES: [Range; 23] = [
    (
        "endpoints: [{address: 10.0.0.1, weight: _}]",
        ["0", "65535"],
        &["-1", "65536"],
        "| `weight` | 1 | 0–65535 |",
    ),
    (
        "endpoints: [{address: 10.0.0.1, capacity: _}]",
        ["1", "1000000"],
        &["0", "1000001"],
        "| `capacity` | 1 | 1–1000000 |",
    ),
    (
        "affinity: {timeoutSeconds: _}",
        ["1", "86400"],
        &["0", "86401"],
        "| `timeoutSeconds` | 10800 | 1–86400 |",
    ),
    (
        "drainSeconds: _",
        ["0", "65535"],
        &["-1", "65536"],
        "| `drainSeconds` | 0 | 0–65535: ",
    ),
    (
        "outlier: {consecutiveFailures: _}",
        ["1", "255"],
        &["0", "256"],
        "| `consecutiveFailures` | 3 | 1–255 |",
    ),
    (
        "outlier: {baseEjection: _, maxEjection: 24h}",
        ["100ms", "24h"],
        &["99ms", "25h"],
        "| `baseEjection` | 10s | 100ms–24h |",
    ),
    (
        "outlier: {baseEjection: 100ms, maxEjection: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
        "| `maxEjection` | 5m | 100ms–24h |",
    ),
    (
        "outlier: {maxEjectedPercent: _}",
        ["0", "100"],
        &["-1", "101"],
        "| `maxEjectedPercent` | 50 | 0–100 |",
    ),
    (
        "outlier: {panicPercent: _}",
        ["0", "100"],
        &["-1", "101"],
        "| `panicPercent` | 50 | 0–100 |",
    ),
    (
        "outlier: {connectTimeout: _}",
        ["1s", "60s"],
        &["999ms", "61s"],
        "| `connectTimeout` | 1s | 1s–60s |",
    ),
    (
        "limits: {maxConnections: _}",
        ["1", "4294967295"],
        &["0"],
        "| `maxConnections` | none | 1–4294967295 |",
    ),
    (
        "limits: {maxConnections: 8, maxConnectionsPerClientPercent: _}",
        ["1", "100"],
        &["0", "101"],
        "| `maxConnectionsPerClientPercent` | none | 1–100 |",
    ),
    (
        "locality: {failoverPercent: _}",
        ["1", "100"],
        &["0", "101"],
        "| `failoverPercent` | 70 | 1–100 |",
    ),
    (
        "locality: {spillFactor: _}",
        ["1.01", "650"],
        &["1", "1.005", "650.01"],
        "| `spillFactor` | off | 1.01–650 |",
    ),
    (
        "slowStart: {alpha: _}",
        ["0.000001", "1"],
        &["0", "1.1"],
        "| `alpha` | 0.1 | above 0, at most 1 |",
    ),
    (
        "slowStart: {tick: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
        "| `tick` | 1s | 100ms–24h |",
    ),
    (
        "drain: {beta: _}",
        ["0", "0.999999"],
        &["-0.1", "1"],
        "| `beta` | 0.5 | from 0, below 1 |",
    ),
    (
        "drain: {tick: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
        "| `tick` | 1s | 100ms–24h |",
    ),
    (
        "health: {tcp: {}, interval: _}",
        ["100ms", "24h"],
        &["99ms", "25h"],
        "| `interval` | 5s | 100ms–24h |",
    ),
    (
        "health: {tcp: {}, timeout: _}",
        ["1ms", "5s"],
        &["0ms", "5001ms"],
        "| `timeout` | 1s | 1ms–`interval` |",
    ),
    (
        "health: {tcp: {}, jitterPercent: _}",
        ["0", "50"],
        &["51"],
        "| `jitterPercent` | 10 | 0–50 |",
    ),
    (
        "health: {tcp: {}, rise: 1, fall: _}",
        ["1", "4294967295"],
        &["0"],
        "| `fall` | 3 | 1–4294967295 |",
    ),
    (
        "health: {http: {status: _}}",
        ["200", "599"],
        &["199", "600"],
        "| `status`, of `http` and `https` | 200-399 | 200–599 |",
    ),
];

/// Returns what the documentation says below the heading of a field; without one, of the fields of
/// a service.
fn section(field: &str) -> &'static str {
    let heading = if DOCS.contains(&format!("### `{field}`\n")) {
        format!("### `{field}`\n")
    } else {
        "## Fields of a service\n".into()
    };
    let (_, below) = DOCS.split_once(&heading).expect("the heading is there");
    below
        .split_once("\n#")
        .map_or(below, |(section, _)| section)
}

#[test]
fn ranges_are_as_documented() {
    for (field, good, bad, row) in RANGES {
        let wrong = |value: &str| problems(&native(&format!("  {}\n", field.replace('_', value))));
        for value in good {
            assert_eq!(wrong(value), Vec::<String>::new(), "{field} {value}");
        }
        for value in bad {
            assert_eq!(wrong(value).len(), 1, "{field} {value}");
        }
        let (name, _) = field.split_once(':').expect("each is a mapping");
        assert!(
            section(name).contains(row),
            "docs/configuration.md has no `{row}` for {name}"
        );
    }
}

#[test]
fn every_field_is_documented() {
    let unknown = problems(&native("  x: 1\n")).concat();
    let (_, fields) = unknown.split_once("known here: ").unwrap();
    let service = fields
        .split(", ")
        .chain(FIELDS)
        .map(|it| ("", it.to_owned()));
    let inside = [
        "outlier",
        "limits",
        "locality",
        "slowStart",
        "drain",
        "health",
    ]
    .into_iter()
    .flat_map(|field| {
        let unknown = problems(&native(&format!("  {field}: {{x: 1}}\n")));
        let unknown = unknown
            .into_iter()
            .find_map(|it| Some(it.split_once("known here: ")?.1.to_owned()));
        let fields = unknown.expect("an unknown field is an error that names the known ones");
        fields
            .split(", ")
            .map(|it| (field, it.to_owned()))
            .collect::<Vec<_>>()
    });
    let is_missing = |(field, it): &(&str, String)| !section(field).contains(&format!("`{it}`"));
    let missing: Vec<_> = service.chain(inside).filter(is_missing).collect();
    assert_eq!(missing, Vec::new());
}
