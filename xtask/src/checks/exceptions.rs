//! Known findings. The lists only become shorter: an entry that is not found any more is an error,
//! so that it is removed together with its cause.

use std::collections::BTreeMap;

/// Top folders whose words are not counted yet.
pub const FOLDERS_WITH_UNPLAIN_WORDS: &[&str] = &[];

/// Files that are too long.
pub const LONG_FILES: &[&str] = &[];

/// Modules that import each other: their folder, and their names in order.
pub const CIRCLES: &[&str] = &[];

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
