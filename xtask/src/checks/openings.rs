//! Every Rust file opens with a sentence that says what it owns. `docs/files.md` lists them.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use super::{Sources, files, report};
use crate::workspace::root;

/// Lists all files. Written by this check when [`UPDATE`] is set.
const LIST: &str = "docs/files.md";
const UPDATE: &str = "UPDATE_DOCS";

/// Returns the first sentence of a file's documentation; nothing if it has none.
fn opening(text: &str) -> Option<String> {
    let comment = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = comment.map(str::trim).take_while(|line| !line.is_empty());
    let paragraph = lines.collect::<Vec<_>>().join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    Some(without_links(&paragraph[..end])).filter(|sentence| !sentence.is_empty())
}

/// Removes links to items of the code, which lead nowhere from a document, and keeps their texts.
fn without_links(sentence: &str) -> String {
    let mut parts = sentence.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    text.replace(['[', ']'], "")
}

/// Whether a file has the tests of the module of the same name, whose opening holds for both.
fn is_of_tests(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "tests.rs")
}

/// Returns the directory of the crate that a file belongs to.
fn crate_of(file: &Path) -> String {
    let mut directories = file.ancestors().skip(1);
    let has_manifest = |directory: &&Path| root().join(directory).join("Cargo.toml").is_file();
    let directory = directories.find(has_manifest);
    directory.unwrap_or(Path::new("")).display().to_string()
}

/// Returns the document that lists the files of each crate with their openings.
fn list(sources: &Sources) -> String {
    let mut crates = BTreeMap::<String, String>::new();
    for (file, text) in sources {
        let directory = crate_of(file);
        if let Some(opening) = opening(text) {
            let lines = crates.entry(directory).or_default();
            _ = writeln!(lines, "- `{}`: {opening}", file.display());
        }
    }
    let mut list = "# All files\n\nEach file of each crate, with the sentence that it opens with. \
                    `UPDATE_DOCS=1 cargo nextest run -p xtask openings` writes this list.\n"
        .to_owned();
    for (directory, lines) in crates {
        _ = write!(list, "\n## {directory}\n\n{lines}");
    }
    list
}

#[test]
fn every_file_opens_with_a_sentence() {
    let sources = files("rs");
    let files = sources
        .iter()
        .filter(|(file, text)| !is_of_tests(file) && opening(text).is_none());
    let silent: Vec<_> = files.map(|(file, _)| file.display().to_string()).collect();
    let title = "files without a `//!` that says what they own";
    assert!(silent.is_empty(), "{}", report(title, &silent));
}

#[test]
fn the_list_of_files_is_complete() {
    let (path, wanted) = (root().join(LIST), list(&files("rs")));
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &wanted).expect("the workspace can be written");
    }
    let is = fs::read_to_string(&path).expect("it is in the workspace");
    assert!(
        is == wanted,
        "{LIST} is out of date: run `{UPDATE}=1 cargo nextest run -p xtask openings`"
    );
}

#[test]
fn an_opening_is_one_sentence() {
    let text = "//! Reads files. And more.\n//!\n//! Other.\nuse std;\n";
    assert_eq!(opening(text), Some("Reads files.".to_owned()));
    let wrapped = "//! Reads [files](crate::file)\n//! of a [`Directory`]:\n//!\n";
    assert_eq!(
        opening(wrapped),
        Some("Reads files of a `Directory`:".to_owned())
    );
    assert_eq!(opening("use std;\n//! Late.\n"), None);
}
