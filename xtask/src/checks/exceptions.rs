//! Known findings. The lists only become shorter: an entry that is not found any more is an error,
//! so that it is removed together with its cause.

use std::collections::BTreeMap;

/// Top folders whose words are not counted yet.
pub const FOLDERS_WITH_UNPLAIN_WORDS: &[&str] = &[];

/// Files that are too long.
pub const LONG_FILES: &[&str] = &[
    "mesh-agent/src/config.rs",
    "mesh-agent/src/dataplane/kernel.rs",
    "mesh-agent/src/dataplane/memory.rs",
    "mesh-agent/src/desired/tests/reachable.rs",
    "mesh-agent/src/metrics.rs",
    "mesh-agent/src/source/dir.rs",
    "mesh-agent/src/source/tests/dir.rs",
    "mesh-agent/src/source/tests/kubernetes.rs",
    "mesh-agent/src/source/tests/objects.rs",
    "mesh-agent/src/source/tests/traffic.rs",
    "mesh-agent/src/stale/count_drift.rs",
    "mesh-agent/src/stale/sock_diag.rs",
    "mesh-agent/src/stale/tests.rs",
];

/// Modules that import each other: their folder, and their names in order.
pub const CIRCLES: &[&str] = &[
    "mesh-agent/src/config: file, health_checks",
    "mesh-agent/src/dataplane: kernel, sockets",
    "mesh-agent/src/dataplane: links, pin",
    "mesh-agent/src/desired: compile, retain_unknown",
    "mesh-agent/src/desired: eligibility, frontends, locality",
    "mesh-agent/src/health: checks, plan, unhealthy",
    "mesh-agent/src/source/file: draft, extract",
    "mesh-agent/src/source: conflicts, frontend_owners",
    "mesh-agent/src/source: dir, join, last_good, merge",
    "mesh-agent/src/source: file, manifest, native, object",
    "mesh-agent/src: config, source",
    "mesh-agent/src: dataplane, desired",
];

/// Returns what is wrong: findings without an exception, and exceptions without a finding. A
/// finding has a name, as in the lists above, and a description.
pub fn compare(found: &BTreeMap<String, String>, excepted: &[&str]) -> Vec<String> {
    let new = found
        .iter()
        .filter(|(name, _)| !excepted.contains(&name.as_str()))
        .map(|(_, description)| description.clone());
    let gone = excepted
        .iter()
        .filter(|name| !found.contains_key(**name))
        .map(|name| not_needed(name));
    new.chain(gone).collect()
}

/// Asks for the removal of an exception.
pub fn not_needed(name: &str) -> String {
    format!("{name}: this is mended; remove it from xtask/src/checks/exceptions.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_findings_and_mended_exceptions_are_errors() {
        let found = BTreeMap::from([
            ("known".into(), "known: bad".into()),
            ("new".into(), "new: bad".into()),
        ]);
        assert_eq!(
            compare(&found, &["known", "mended"]),
            ["new: bad".to_owned(), not_needed("mended")]
        );
        assert_eq!(compare(&found, &["known", "new"]), Vec::<String>::new());
    }
}
