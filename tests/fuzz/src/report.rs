//! Rules for what is reported about bad input.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use mesh_core::model::{Origin, Update};

/// Most errors of one file that are listed, and the line that counts the others.
const ERRORS_PER_FILE: usize = 101;
/// Most notes of one file, and the line that counts the others. A file that counts its notes itself
/// adds one line.
const NOTES_PER_FILE: usize = 102;
/// Longest error, note or name.
const TEXT: usize = 2000;

/// Checks that everything reported names a line of one of these files, given with their numbers of
/// lines, and that the reports are bounded.
pub fn check(update: &Update, files: &BTreeMap<PathBuf, usize>) {
    let mut errors = BTreeMap::new();
    for error in &update.errors {
        place(&error.origin, files);
        text(&error.reason);
        assert!(error.field.len() <= TEXT, "long field: {error}");
        *errors.entry(error.origin.document()).or_insert(0) += 1;
    }
    let mut notes = BTreeMap::new();
    for note in &update.notes {
        place(&note.origin, files);
        text(&note.message);
        *notes.entry(note.origin.document()).or_insert(0) += 1;
    }
    for (file, count) in errors {
        assert!(count <= ERRORS_PER_FILE, "{count} errors of {file:?}");
    }
    for (file, count) in notes {
        assert!(count <= NOTES_PER_FILE, "{count} notes on {file:?}");
    }
    for wrong in &update.wrong {
        place(&wrong.origin, files);
        text(&wrong.name);
        text(&wrong.effect.to_string());
    }
    let has_errors = !update.errors.is_empty();
    assert!(
        has_errors || update.wrong.is_empty(),
        "wrong without an error: {update:?}"
    );
    assert!(
        has_errors || update.complete || !update.notes.is_empty(),
        "not complete without a reason: {update:?}"
    );
    let counted = |reason: &str| reason.starts_with("and ") && reason.ends_with("in this file");
    let told = update.errors.iter().filter(|it| !counted(&it.reason));
    assert!(told.count() <= update.errors_total, "{update:?}");
}

/// Returns the number of lines of a text, in which a carriage return ends a line, as in YAML.
pub fn lines(text: &[u8]) -> usize {
    text.split(|byte| b"\r\n".contains(byte)).count()
}

fn place(origin: &Origin, files: &BTreeMap<PathBuf, usize>) {
    let file: &Path = origin.document();
    let Some(lines) = files.get(file) else {
        panic!("{origin} is not in a file that was read");
    };
    let line = origin.line() as usize;
    assert!(
        (1..=*lines).contains(&line),
        "{origin}: the file has {lines} lines"
    );
}

fn text(text: &str) {
    assert!(!text.is_empty() && text.len() <= TEXT, "{text:?}");
}
