//! Settings from the text of a file and from flags, for tests.

use std::fs;

use super::{Flags, Given, Settings, SettingsError};

/// Resolves settings of a file with this text after the line of `cgroup`. Errors name the file
/// `agent.yaml`.
pub fn resolve(text: &str, given: Given) -> Result<Settings, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    fs::write(&file, format!("cgroup: /x\n{text}")).unwrap();
    let name = file.display().to_string();
    let flags = Flags {
        config: Some(file),
        given,
    };
    let short = |line: String| line.replace(&name, "agent.yaml");
    flags
        .resolve()
        .map_err(|SettingsError(lines)| lines.into_iter().map(short).collect())
}
