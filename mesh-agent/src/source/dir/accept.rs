//! Which version of each file is served, so that no two contradict each other.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use super::tracked::Tracked;
use crate::{
    config::Source,
    model::ConfigError,
    source::{
        claims::{self, Claims},
        file::File,
        holders::Holders,
    },
};

/// A file while versions are being chosen.
struct Choice {
    path: PathBuf,
    source: Source,
    changed: u64,
    /// The version that was served so far.
    served: Option<Arc<File>>,
    /// The version to serve now.
    chosen: Option<Arc<File>>,
}

impl Choice {
    fn is_new(&self) -> bool {
        match (&self.served, &self.chosen) {
            (Some(served), Some(chosen)) => !Arc::ptr_eq(served, chosen),
            (served, chosen) => served.is_some() != chosen.is_some(),
        }
    }

    /// Back to what was served, which agreed with everything else that was.
    fn revert(&mut self) {
        self.chosen = if self.is_new() { self.served.clone() } else { None };
    }
}

/// Accepts every new version that is right in itself and agrees with what is served and with what changed before it.
/// What a service holds is its own, whatever changed before it.
pub fn accept(files: &mut BTreeMap<PathBuf, Tracked>, holders: &Holders) -> Vec<ConfigError> {
    let mut choices: Vec<Choice> = files.iter().map(choice).collect();
    if !choices.iter().any(Choice::is_new) {
        return Vec::new();
    }
    let mut errors = Vec::new();
    while let Some((blamed, conflicts)) = first_conflict(&mut choices, holders) {
        choices[blamed].revert();
        errors.extend(conflicts);
    }
    for Choice { path, chosen, .. } in choices {
        if let Some(file) = files.get_mut(&path) {
            file.accepted = chosen;
        }
    }
    errors
}

fn choice((path, file): (&PathBuf, &Tracked)) -> Choice {
    let (served, chosen) = (file.accepted.clone(), file.fit().cloned());
    Choice { path: path.clone(), source: file.source.clone(), changed: file.changed, served, chosen }
}

/// Every revert makes a claim stand that others were tested without, so each search starts over. Where two sources
/// contradict each other no file is to blame: one source comes first.
fn first_conflict(choices: &mut [Choice], holders: &Holders) -> Option<(usize, Vec<ConfigError>)> {
    choices.sort_by_key(|choice| (choice.is_new(), choice.changed));
    let contents = choices.iter().filter_map(|choice| Some(&choice.chosen.as_ref()?.contents));
    let services = contents.map(|it| it.services.len() + it.manifests.services.len()).sum();
    let mut claims: HashMap<&Source, Claims<'_>> = HashMap::new();
    for choice in choices.iter() {
        let claims = claims.entry(&choice.source).or_insert_with(|| Claims::with_room(services));
        let of_file = choice.chosen.iter().flat_map(|file| claims::services(&file.contents));
        of_file.for_each(|service| claims.reserve(holders, service));
    }
    choices.iter().enumerate().find_map(|(position, choice)| {
        let claims = claims.get_mut(&choice.source)?;
        let conflicts = claims.claim(&choice.chosen.as_ref()?.contents);
        (!conflicts.is_empty()).then_some((position, conflicts))
    })
}
