//! Limits the number of errors and notes per file.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    model::{ConfigError, ConfigNote, Origin, Refused, Update},
    source::{document::MOST, source_update::ByFile},
};

/// Sorts errors, rejected objects and notes. Keeps the first errors and notes of each file, and
/// adds a line with the number of the others. `more` is the number of errors dropped earlier.
pub fn bound(update: &mut Update, more: &ByFile) {
    update.errors_total = errors(&mut update.errors, more);
    update.wrong.sort_unstable();
    // One more than the limit: a file may already have a line with the number of its other notes.
    let more = first(&mut update.notes, MOST + 1, |note| &note.origin);
    update
        .notes
        .extend(more.iter().map(|(origin, more)| more_notes(origin, *more)));
}

/// Sorts errors, keeps the first of each file and adds a line with the number of the others.
/// Returns the number of all errors, including the `more` that were dropped earlier.
fn errors(all: &mut Vec<ConfigError>, more: &ByFile) -> usize {
    all.sort_by(|a, b| a.origin.cmp(&b.origin));
    let total = all.len() + more.values().sum::<usize>();
    let mut left: BTreeMap<Origin, usize> = first(all, MOST, |error| &error.origin)
        .into_iter()
        .collect();
    for (file, more) in more {
        if let Some(last) = all.iter().rfind(|error| error.origin.document() == file) {
            *left.entry(last.origin.clone()).or_default() += more;
        }
    }
    all.extend(
        left.into_iter()
            .filter(|(_, more)| *more > 0)
            .map(|(origin, more)| and_more(origin, more)),
    );
    // A stable sort: the added line comes after the errors at the same line.
    all.sort_by(|a, b| a.origin.cmp(&b.origin));
    total
}

/// Limits the errors of refused parts in the same way.
pub fn refused(refused: &mut Refused) {
    let total = errors(&mut refused.errors, &ByFile::new());
    refused.more += total - refused.errors.len();
}

/// Returns the line with the number of a file's other errors.
fn and_more(origin: Origin, more: usize) -> ConfigError {
    let noun = if more == 1 { "error" } else { "errors" };
    ConfigError {
        origin,
        field: String::new(),
        reason: format!("and {more} more {noun} in this file"),
    }
}

/// Returns the line with the number of a file's other notes.
pub fn more_notes(origin: &Origin, more: usize) -> ConfigNote {
    let noun = if more == 1 { "note" } else { "notes" };
    ConfigNote {
        origin: origin.clone(),
        message: format!("and {more} more {noun} on this file"),
    }
}

/// Keeps the first `most` items of each file. For each file with more, returns the origin of the
/// last kept item and the number of the dropped ones.
fn first<T>(all: &mut Vec<T>, most: usize, origin: impl Fn(&T) -> &Origin) -> Vec<(Origin, usize)> {
    let mut seen = ByFile::new();
    let mut more: Vec<(Origin, usize)> = Vec::new();
    let mut last: HashMap<Arc<PathBuf>, Origin> = HashMap::new();
    all.retain(|item| {
        let origin = origin(item);
        let count = seen.entry(Arc::clone(origin.document())).or_default();
        *count += 1;
        let fits = *count <= most;
        if fits {
            last.insert(Arc::clone(origin.document()), origin.clone());
        }
        fits
    });
    for (file, origin) in last {
        let count = seen[&file].saturating_sub(most);
        if count > 0 {
            more.push((origin, count));
        }
    }
    more.sort_unstable();
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_first_errors_and_a_count() {
        let origin = |file: &str, line| Origin::Line {
            file: Arc::new(file.into()),
            line,
        };
        let error = |file: &str, line| ConfigError {
            origin: origin(file, line),
            field: String::new(),
            reason: "x".into(),
        };
        let errors = (1..=150)
            .map(|line| error("a.yaml", line))
            .chain((1..=3).map(|line| error("b.yaml", line)));
        let mut update = Update {
            errors: errors.collect(),
            ..Update::default()
        };
        let more = [("b.yaml", 7), ("c.yaml", 0)]
            .map(|(file, count)| (Arc::new(file.into()), count))
            .into();
        bound(&mut update, &more);
        let told: Vec<String> = update.errors.iter().map(ToString::to_string).collect();
        assert_eq!((told.len(), update.errors_total), (105, 160));
        let counted = [
            "a.yaml:100: and 50 more errors in this file",
            "b.yaml:3: and 7 more errors in this file",
        ];
        assert_eq!(
            (&*told[99], &*told[100], &*told[104]),
            ("a.yaml:100: x", counted[0], counted[1])
        );
    }
}
