//! Decides which objects of each file are in force, so that no two conflict. An object that is
//! wrong, or that claims what another one has, stays in its last good version or is left out. All
//! others come into force.

mod choice;
mod ownership;
mod retained;
mod unreadable;

use std::{path::PathBuf, sync::Arc};

pub use self::choice::Rejections;
use self::{
    choice::Choice,
    ownership::{Claimant, Conflict},
    retained::Served,
    unreadable::Unreadable,
};
use super::tracked_file::Files;
use crate::source::{file_version::Version, frontend_owners::FrontendOwners};

/// Puts every object in force that is right in itself and does not conflict with another. Objects
/// of files that are `gone` since the last read may have moved to other files. A service keeps the
/// frontends that it holds, even if it cannot be read at present. `complete` tells whether all
/// directories could be read.
pub fn accept(
    files: &mut Files,
    gone: &Files,
    holders: &FrontendOwners,
    complete: bool,
) -> Rejections {
    let mut outcome = Rejections::default();
    let versions = choose(files, gone, (holders, complete), &mut outcome);
    for (path, version) in versions {
        if let Some(file) = files.get_mut(&path) {
            file.accept(version);
        }
    }
    outcome
}

/// An object that stays in its last good version keeps its frontends, which may conflict with
/// others; so each pass starts over until none finds a conflict.
fn choose(
    files: &Files,
    gone: &Files,
    (holders, complete): (&FrontendOwners, bool),
    outcome: &mut Rejections,
) -> Vec<(PathBuf, Option<Arc<Version>>)> {
    let mut choices: Vec<Choice<'_>> = files.iter().map(Choice::new).collect();
    if choices.iter().all(Choice::is_old) {
        return choices
            .iter()
            .map(|choice| (choice.path.clone(), choice.tracked.accepted.clone()))
            .collect();
    }
    let is_right = choices.iter().all(Choice::is_right);
    let absent = Unreadable::new(holders, complete);
    if !(is_right && absent.is_none(&choices) && ownership::agree(&choices)) {
        let served = Served::of(files.iter().chain(gone));
        loop {
            retained::keep(&mut choices, &served);
            let conflicts = ownership::conflicts(&choices, &served, holders, &absent);
            if conflicts.is_empty() {
                break;
            }
            for Conflict {
                choice,
                claimant,
                errors,
            } in conflicts
            {
                outcome.errors.extend(errors);
                match claimant {
                    Claimant::Own(position) => _ = choices[choice].blamed.insert(position),
                    Claimant::Kept(key) => _ = choices[choice].dropped.insert(key),
                }
            }
        }
        retained::tell(&choices, outcome);
        let others = choices.iter().flat_map(Choice::definitions).collect();
        choices
            .iter()
            .for_each(|choice| choice.blame(&others, outcome));
    }
    choices
        .iter()
        .map(|choice| (choice.path.clone(), choice.version()))
        .collect()
}
