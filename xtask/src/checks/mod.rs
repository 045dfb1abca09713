//! Checks of the sources and documents, as tests: the runner's summary has them with all others.
//! `cargo nextest run -p xtask checks` runs them alone.
//!
//! ```text
//! sources ──► words                                     what people read uses plain words
//!         ──► sizes                                     no file is too long
//!         ──► functions                                 nine of ten functions are short
//!         ──► openings                                  every file says what it owns
//!         ──► modules ──► paths ──► imports ──► circles no modules import each other in a circle
//!                             └───► arrows              the pure crate is pure, and only the daemon has kernel programs
//! ```
//!
//! Findings that are known are listed in `exceptions`.

mod arrows;
mod circles;
mod exceptions;
mod functions;
mod imports;
mod modules;
mod openings;
mod paths;
mod sizes;
mod words;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{cargo::cargo, run, workspace::root};

/// Text of files by their path from the top of the workspace.
pub type Sources = BTreeMap<PathBuf, String>;

/// Reads the files of the workspace whose name ends so. Hidden and built files are left out.
pub fn files(extension: &str) -> Sources {
    let mut found = Sources::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("it is in the workspace") {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().expect("it is an entry").to_string_lossy();
            if name.starts_with('.') || name == "target" || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                let text = fs::read_to_string(&path).expect("it is text");
                found.insert(from_the_top(&path), text);
            }
        }
    }
    found
}

fn from_the_top(path: &Path) -> PathBuf {
    let path = path.strip_prefix(root()).expect("it is in the workspace");
    path.to_owned()
}

/// Returns the packages of the workspace, as `cargo metadata` describes them.
fn packages() -> Vec<serde_json::Value> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let text = run::read(&mut cargo(&arguments)).expect("cargo knows the workspace");
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array();
    packages.expect("a workspace has packages").clone()
}

/// Returns made-up sources for the tests of a check.
fn made_up<const N: usize>(files: [(&str, &str); N]) -> Sources {
    Sources::from(files.map(|(path, text)| (PathBuf::from(path), text.to_owned())))
}

/// Shows what a check found as one text.
fn report(title: &str, findings: &[String]) -> String {
    format!("{title}:\n\n{}\n", findings.join("\n"))
}
