//! Tests of the systemd unit: how exposed `systemd-analyze` finds it.

use std::process::Command;

use crate::workspace::root;

/// Highest exposure of the unit, of 10. Below 5 is "OK" by systemd's own words, below 2 "SAFE".
const MOST: f64 = 3.0;

/// Returns the figure at the end of a line like `→ Overall exposure level for a.service: 2.3 OK`.
fn exposure(report: &str) -> Option<f64> {
    let (_, level) = report.rsplit_once("Overall exposure level for ")?;
    level.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn the_unit_is_hardly_exposed() {
    let mut analyze = Command::new("systemd-analyze");
    analyze
        .args(["security", "--offline=true", "--no-pager"])
        .arg(root().join("deploy/mesh-agent.service"));
    let output = analyze
        .output()
        .expect("`cargo xtask setup` installs systemd-analyze, which runs without systemd");
    let [report, errors] = [output.stdout, output.stderr]
        .map(|text| String::from_utf8(text).expect("systemd writes UTF-8"));
    let exposure = exposure(&report).unwrap_or_else(|| panic!("no exposure level in {report}"));
    println!("systemd-analyze security: {exposure} (at most {MOST})");
    assert!(exposure <= MOST, "{report}");
    assert_eq!(errors, "", "lines that systemd does not know are ignored");
}
