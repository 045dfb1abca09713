//! What is told of one file, in bounded room.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use crate::{
    model::{ConfigError, ConfigNote, Origin, Update},
    source::{document::MOST, file::and_more},
};

/// Sorts what is wrong, and leaves of errors and notes the first of each file and how many more there are.
pub fn bound(update: &mut Update) {
    errors(&mut update.errors);
    update.wrong.sort_unstable();
    let more = first(&mut update.notes, |note| &note.origin);
    update.notes.extend(more.iter().map(|(origin, more)| more_notes(origin, *more)));
}

/// Sorts errors, and leaves the first of each file and how many more there are.
pub fn errors(all: &mut Vec<ConfigError>) {
    // What counts the others of a file comes after those on its line.
    all.sort_by(|a, b| a.origin.cmp(&b.origin));
    let more = first(all, |error| &error.origin);
    all.extend(more.iter().filter_map(|(origin, more)| and_more(Some(origin), *more)));
}

/// What stands for notes that are not told.
pub fn more_notes(origin: &Origin, more: usize) -> ConfigNote {
    let noun = if more == 1 { "note" } else { "notes" };
    ConfigNote { origin: origin.clone(), message: format!("and {more} more {noun} on this file") }
}

/// Leaves the first of each file; returns the last one told of files with more, and how many more.
fn first<T>(all: &mut Vec<T>, origin: impl Fn(&T) -> &Origin) -> Vec<(Origin, usize)> {
    let mut seen: HashMap<Arc<PathBuf>, usize> = HashMap::new();
    let mut more: Vec<(Origin, usize)> = Vec::new();
    let mut last: HashMap<Arc<PathBuf>, Origin> = HashMap::new();
    all.retain(|item| {
        let origin = origin(item);
        let count = seen.entry(Arc::clone(&origin.file)).or_default();
        *count += 1;
        // A file that counts its own adds one line for those.
        let fits = *count <= MOST + 1;
        if fits {
            last.insert(Arc::clone(&origin.file), origin.clone());
        }
        fits
    });
    for (file, origin) in last {
        let count = seen[&file].saturating_sub(MOST + 1);
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
        let origin = |file: &str, line| Origin { file: Arc::new(file.into()), line };
        let error =
            |file: &str, line| ConfigError { origin: origin(file, line), field: String::new(), reason: "x".into() };
        let errors = (1..=150).map(|line| error("a.yaml", line)).chain((1..=3).map(|line| error("b.yaml", line)));
        let mut update = Update { errors: errors.collect(), ..Update::default() };
        bound(&mut update);
        let told: Vec<String> = update.errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 105);
        assert_eq!((&*told[100], &*told[101]), ("a.yaml:101: x", "b.yaml:1: x"));
        assert_eq!(told[104], "a.yaml:101: and 49 more errors in this file");
    }
}
