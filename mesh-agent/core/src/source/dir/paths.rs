//! Reports directories and files that are gone, empty or unreadable, and keeps what they had.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::tracked_file::{Files, TrackedFile};
use crate::{
    model::{ConfigError, ConfigNote, Effect, Origin, Scope, Wrong},
    source::{
        SourceUpdate,
        scan::{Found, Scan},
    },
};

/// Drops and returns files that are gone, unless all are gone: then a volume is probably not
/// mounted. With `allow_empty`, directories without any file have none.
pub fn forget_removed(
    files: &mut Files,
    scan: &Scan,
    (directories, allow_empty): (&[PathBuf], bool),
    update: &mut SourceUpdate,
) -> Files {
    let mut gone = Files::new();
    let serves = files.values().any(TrackedFile::serves);
    if !scan.files.is_empty() || allow_empty {
        let unknown = |path: &Path| {
            path.parent()
                .is_some_and(|parent| scan.unreadable.contains_key(parent))
        };
        gone = files
            .extract_if(.., |path, _| {
                !scan.files.contains_key(path) && !unknown(path)
            })
            .collect();
    } else if scan.unreadable.len() == directories.len() {
        // An unreadable directory says nothing about its files.
    } else if serves {
        update
            .errors
            .extend(directories.first().map(|directory| all_gone(directory)));
        update.wrong.extend(
            directories
                .iter()
                .map(|directory| wrong(directory, Effect::Kept)),
        );
    } else {
        files.clear();
        update.complete = false;
        update
            .notes
            .extend(directories.iter().map(|directory| empty(directory)));
    }
    gone
}

/// Reports unreadable directories; their files stay in force.
pub fn report_unreadable(files: &Files, scan: &Scan, update: &mut SourceUpdate) {
    for (directory, error) in &scan.unreadable {
        let reason = format!("directory cannot be read, its services stay as they were: {error}");
        update.errors.push(ConfigError {
            origin: origin(directory),
            field: String::new(),
            reason,
        });
        let is_known = files.keys().any(|path| path.parent() == Some(directory));
        update.wrong.push(wrong(
            directory,
            if is_known {
                Effect::Kept
            } else {
                Effect::LeftOut
            },
        ));
        update.complete &= is_known;
    }
}

/// Returns the error of a given file without content.
pub fn given_empty(path: &Path, found: &std::io::Result<Found>) -> Option<ConfigError> {
    let is_empty = found
        .as_ref()
        .is_ok_and(|found| found.bytes.trim_ascii().is_empty());
    let reason =
        "empty: did the command that wrote it fail? To have no services, write `services: []` into it".to_owned();
    is_empty.then(|| ConfigError {
        origin: origin(path),
        field: String::new(),
        reason,
    })
}

fn all_gone(directory: &Path) -> ConfigError {
    let reason = "no file is left in any directory, so the services stay as they were; \
                  to have none, leave a file that says `services: []`"
        .to_owned();
    ConfigError {
        origin: origin(directory),
        field: String::new(),
        reason,
    }
}

fn wrong(directory: &Path, effect: Effect) -> Wrong {
    Wrong {
        origin: origin(directory),
        name: "the directory".to_owned(),
        scope: Scope::Directory,
        effect,
    }
}

fn empty(directory: &Path) -> ConfigNote {
    let message = "no .yaml, .yml or .json file here; to have no services, leave a file that says `services: []`";
    ConfigNote {
        origin: origin(directory),
        message: message.to_owned(),
    }
}

fn origin(path: &Path) -> Origin {
    Origin::Line {
        file: Arc::new(path.to_owned()),
        line: 1,
    }
}
