//! Compares the layout with the recorded one, so that it does not change without a new version.

use std::{env, format, fs, println, string::String};

use crate::abi::{ABI_VERSION, maps};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi/layout.txt");
const CHANGELOG: &str = include_str!("../../../../CHANGELOG.md");

/// The files with the rows.
const ROWS: [&str; 6] = [
    include_str!("../../addr.rs"),
    include_str!("../backend.rs"),
    include_str!("../client.rs"),
    include_str!("../flow.rs"),
    include_str!("../service.rs"),
    include_str!("../socket.rs"),
];

/// Returns the fields of all rows, and the form of each map.
fn layout() -> String {
    let mut text = format!("ABI {ABI_VERSION}\n");
    for map in maps::ALL {
        let (name, kind, key, row) = (map.name, map.kind, map.key_size, map.row_size);
        text += &format!("{name} {kind:?} {key} {row} {}\n", map.capacity());
    }
    for source in ROWS {
        let code = source.lines().map(str::trim);
        let mut is_row = false;
        for line in code.filter(|line| !line.starts_with("//") && !line.starts_with('#')) {
            is_row |= line.starts_with("pub struct ");
            if is_row {
                text += line;
                text += "\n";
            }
            is_row &= line != "}" && !line.ends_with(';');
        }
    }
    text
}

/// Returns the version that a layout belongs to.
fn version(layout: &str) -> Option<u32> {
    layout.lines().next()?.strip_prefix("ABI ")?.parse().ok()
}

#[test]
fn layout_changes_only_with_its_version() {
    let (layout, recorded) = (layout(), fs::read_to_string(RECORD).unwrap_or_default());
    if layout == recorded {
        return;
    }
    let is_raised = version(&recorded) < Some(ABI_VERSION);
    if is_raised && env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(RECORD, &layout).unwrap();
        println!("recorded the layout of version {ABI_VERSION}");
        return;
    }
    panic!(
        "the layout of the maps is not that of version {ABI_VERSION}: raise ABI_VERSION, say how older rows are \
         converted (mesh-agent/src/dataplane/carry), add a line `ABI N: …` to CHANGELOG.md, then run this test with \
         UPDATE_GOLDEN=1 to record the layout in {RECORD}"
    );
}

#[test]
fn changelog_names_the_version_of_the_layout() {
    let line = format!("\nABI {ABI_VERSION}: ");
    assert!(
        CHANGELOG.contains(&line),
        "add a line `ABI {ABI_VERSION}: …` to CHANGELOG.md that says what an upgrade keeps and loses"
    );
}
