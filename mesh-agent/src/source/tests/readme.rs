//! What the README says of fields is what the parser takes.

use super::{problems, traffic::native};
use crate::source::traffic::FIELDS;

const README: &str = include_str!("../../../../README.md");

/// What a field says where `_` stands, its least and its greatest value, values just outside, and the words of the README.
type Range = (&'static str, [&'static str; 2], &'static [&'static str], &'static str);

const RANGES: [Range; 22] = [
    ("endpoints: [{address: 10.0.0.1, weight: _}]", ["0", "65535"], &["-1", "65536"], "`weight` (1; 0–65535)"),
    ("endpoints: [{address: 10.0.0.1, capacity: _}]", ["1", "1000000"], &["0", "1000001"], "`capacity` (1; 1–1000000)"),
    ("affinity: {timeoutSeconds: _}", ["1", "86400"], &["0", "86401"], "`timeoutSeconds` (10800; 1–86400)"),
    ("drainSeconds: _", ["0", "65535"], &["-1", "65536"], "0–65535"),
    ("outlier: {consecutiveFailures: _}", ["1", "255"], &["0", "256"], "`consecutiveFailures` (3; 1–255)"),
    ("outlier: {baseEjection: _, maxEjection: 24h}", ["100ms", "24h"], &["99ms", "25h"], "both 100ms–24h"),
    ("outlier: {baseEjection: 100ms, maxEjection: _}", ["100ms", "24h"], &["99ms", "25h"], "up to `maxEjection`"),
    ("outlier: {maxEjectedPercent: _}", ["0", "100"], &["-1", "101"], "`maxEjectedPercent` (50) and"),
    ("outlier: {panicPercent: _}", ["0", "100"], &["-1", "101"], "`panicPercent` (50), 0–100"),
    ("outlier: {connectTimeout: _}", ["1s", "60s"], &["999ms", "61s"], "`connectTimeout` (1s; 1s–60s"),
    (
        "limits: {maxConnections: _}",
        ["1", "4294967295"],
        &["0"],
        "`maxConnections`, `maxConnectionsPerEndpoint`, from 1 on",
    ),
    ("locality: {failoverPercent: _}", ["1", "100"], &["0", "101"], "`failoverPercent` (70; 1–100)"),
    (
        "locality: {spillFactor: _}",
        ["1.01", "650"],
        &["1", "1.005", "650.01"],
        "from 1.01 to 650 with two decimals at most",
    ),
    ("slowStart: {alpha: _}", ["0.000001", "1"], &["0", "1.1"], "`alpha` (0.1; above 0, at most 1)"),
    ("slowStart: {tick: _}", ["100ms", "24h"], &["99ms", "25h"], "`tick` (1s; 100ms–24h): with each tick a new"),
    ("drain: {beta: _}", ["0", "0.999999"], &["-0.1", "1"], "`beta` (0.5; from 0, below 1)"),
    ("drain: {tick: _}", ["100ms", "24h"], &["99ms", "25h"], "`tick` (1s; 100ms–24h): with each tick a draining"),
    ("health: {tcp: {}, interval: _}", ["100ms", "24h"], &["99ms", "25h"], "`interval` (5s; 100ms–24h)"),
    ("health: {tcp: {}, timeout: _}", ["1ms", "5s"], &["0ms", "5001ms"], "`timeout` (1s; 1ms up to the interval)"),
    ("health: {tcp: {}, jitterPercent: _}", ["0", "50"], &["51"], "`jitterPercent` (10; 0–50)"),
    ("health: {tcp: {}, rise: 1, fall: _}", ["1", "4294967295"], &["0"], "`rise` (2), `fall` (3), from 1 on"),
    ("health: {http: {status: _}}", ["200", "599"], &["199", "600"], "`status` (200-399; within 200–599)"),
];

#[test]
fn ranges_are_as_documented() {
    for (field, good, bad, words) in RANGES {
        let wrong = |value: &str| problems(&native(&format!("  {}\n", field.replace('_', value))));
        for value in good {
            assert_eq!(wrong(value), Vec::<String>::new(), "{field} {value}");
        }
        for value in bad {
            assert_eq!(wrong(value).len(), 1, "{field} {value}");
        }
        assert!(README.contains(words), "README does not say {words}");
    }
}

#[test]
fn every_field_is_documented() {
    let unknown = problems(&native("  x: 1\n")).concat();
    let (_, fields) = unknown.split_once("known here: ").unwrap();
    let inside = ["outlier", "limits", "locality", "slowStart", "drain", "health"].map(|field| {
        let unknown = problems(&native(&format!("  {field}: {{x: 1}}\n")));
        let unknown = unknown.into_iter().find_map(|it| Some(it.split_once("known here: ")?.1.to_owned()));
        unknown.unwrap_or_default()
    });
    let fields = fields.split(", ").chain(inside.iter().flat_map(|fields| fields.split(", ")));
    let missing: Vec<&str> = fields.chain(FIELDS).filter(|it| !README.contains(&format!("`{it}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
