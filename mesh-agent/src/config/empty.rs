//! Settings that are given without a value.

use std::path::PathBuf;

use super::{error::named, given::Given};

/// Reports settings that are given without a value. An empty variable of the environment is one,
/// for instance where a manifest names a field that a node does not have.
pub(super) fn check(given: &Given) -> Vec<String> {
    let text = |name: &Option<String>| name.as_ref().is_some_and(|name| name.trim().is_empty());
    let path = |path: &Option<PathBuf>| {
        path.as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
    };
    let any = |paths: &[PathBuf]| paths.iter().any(|path| path.as_os_str().is_empty());
    let settings = [
        ("node-name", text(&given.node_name)),
        ("cloud", text(&given.cloud)),
        ("region", text(&given.region)),
        ("zone", text(&given.zone)),
        ("cgroup", path(&given.cgroup)),
        ("pin-dir", path(&given.pin_dir)),
        ("socket", path(&given.socket)),
        ("state-dir", path(&given.state_dir)),
        ("metrics-token-file", path(&given.metrics_token_file)),
        ("exclude-cgroup", any(&given.exclude_cgroup)),
        ("exclude-netns", any(&given.exclude_netns)),
    ];
    let empty = settings.into_iter().filter(|(_, is_empty)| *is_empty);
    empty
        .map(|(flag, _)| named(flag, "empty: give it a value, or leave it out"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Flags, SettingsError};

    #[test]
    fn an_empty_setting_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        let text = "nodeName: ''\ncloud: ''\nregion: ' '\nzone: ''\ncgroup: ''\npinDir: ''\nsocket: ''\nstateDir: ''\nmetricsTokenFile: ''\n\
                    excludeCgroup: ['']\nexcludeNetns: [x, '']\n";
        fs::write(&file, text).unwrap();
        let SettingsError(lines) = Flags {
            config: Some(file),
            given: Given::default(),
        }
        .resolve()
        .unwrap_err();
        let settings = [
            ("node-name", "NODE_NAME"),
            ("cloud", "CLOUD"),
            ("region", "REGION"),
            ("zone", "ZONE"),
            ("cgroup", "CGROUP"),
            ("pin-dir", "PIN_DIR"),
            ("socket", "SOCKET"),
            ("state-dir", "STATE_DIR"),
            ("metrics-token-file", "METRICS_TOKEN_FILE"),
            ("exclude-cgroup", "EXCLUDE_CGROUP"),
            ("exclude-netns", "EXCLUDE_NETNS"),
        ];
        let expected = settings.map(|(flag, variable)| {
            format!("--{flag} (or MESH_{variable}): empty: give it a value, or leave it out")
        });
        assert_eq!(lines, expected);
    }
}
