//! Tests of the documents: links, files and tests that they name exist.

use std::{fs, path::Path};

use crate::{checks::files, workspace::root};

const DOCUMENTS: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/balancing.md",
    "docs/configuration.md",
    "docs/files.md",
    "docs/kubernetes.md",
    "docs/limits.md",
    "docs/operations.md",
    "docs/performance.md",
];

#[test]
fn every_document_is_checked() {
    let names = |directory: &str| {
        let entries = fs::read_dir(root().join(directory)).expect("the directory is there");
        let names = entries.map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .into_string()
                .expect("it is text")
        });
        let documents = names.filter(|name| name.ends_with(".md"));
        documents
            .map(|name| Path::new(directory).join(name).display().to_string())
            .collect::<Vec<_>>()
    };
    let mut found = [names(""), names("docs")].concat();
    let mut checked = DOCUMENTS.map(String::from);
    found.sort();
    checked.sort();
    assert_eq!(found, checked);
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let broken: Vec<String> = DOCUMENTS
        .iter()
        .flat_map(|document| broken(document))
        .collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn source_files_that_are_named_exist() {
    let missing = DOCUMENTS.iter().flat_map(|document| {
        let text = read(document);
        let names: Vec<String> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.ends_with(".rs"))
            .map(String::from)
            .collect();
        names
            .into_iter()
            .filter(|name| !is_source(name))
            .map(move |name| format!("{document}: {name}"))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
}

/// SECURITY.md and the list of the smoke test name tests of the kernel suite; `…` stands for any part
/// of a name.
#[test]
fn kernel_tests_that_are_named_exist() {
    let sources = files("rs");
    let functions: Vec<&str> = sources
        .values()
        .flat_map(|text| text.split("fn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let text = read("SECURITY.md");
    let code = text.split('`').skip(1).step_by(2);
    let smoke = read("xtask/src/vm/mod.rs");
    let quoted = smoke.split('"').skip(1).step_by(2);
    let names = code
        .chain(quoted)
        .filter_map(|name| name.rsplit("::").next());
    let missing: Vec<&str> = names
        .filter(|name| is_sentence(name) && !functions.iter().any(|it| matches(it, name)))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Returns whether a name has the form of a test's name: three or more words in small letters.
fn is_sentence(name: &str) -> bool {
    let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "_…".contains(it);
    name.matches('_').count() >= 2 && name.chars().all(is_part)
}

/// Returns whether a name is the pattern, or has the parts around `…` in this order.
fn matches(name: &str, pattern: &str) -> bool {
    if !pattern.contains('…') {
        return name == pattern;
    }
    let mut rest = name;
    for part in pattern.split('…') {
        let Some((_, tail)) = rest.split_once(part) else {
            return false;
        };
        rest = tail;
    }
    true
}

/// Files are named from the top or, those of the agent, from its directory or its sources.
fn is_source(name: &str) -> bool {
    [
        "",
        "mesh-agent",
        "mesh-agent/src",
        "mesh-agent/core/src",
        "mesh-agent/files/src",
    ]
    .iter()
    .any(|directory| root().join(directory).join(name).exists())
}

/// Returns the links of a document that lead nowhere. Links to other sites are not looked at.
fn broken(document: &str) -> Vec<String> {
    let text = read(document);
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link);
    let local = links.filter(|link| !link.contains("://"));
    local
        .filter(|link| !leads(document, link))
        .map(|link| format!("{document}: {link}"))
        .collect()
}

fn leads(document: &str, link: &str) -> bool {
    let (path, heading) = link
        .split_once('#')
        .map_or((link, None), |(path, heading)| (path, Some(heading)));
    let directory = Path::new(document).parent().expect("a document is a file");
    let file = if path.is_empty() {
        document.into()
    } else {
        directory.join(path)
    };
    let exists = root().join(&file).exists();
    exists
        && heading.is_none_or(|heading| {
            read(&file.display().to_string())
                .lines()
                .any(|line| anchor(line) == Some(heading.into()))
        })
}

/// Returns the anchor that a line has if it is a heading, as GitHub forms it.
fn anchor(line: &str) -> Option<String> {
    let title = line
        .trim_start_matches('#')
        .strip_prefix(' ')
        .filter(|_| line.starts_with('#'))?;
    let kept = title
        .to_lowercase()
        .chars()
        .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
        .collect::<String>();
    Some(kept.replace(' ', "-"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}
