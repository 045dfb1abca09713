//! Decides which service owns a frontend in a conflict: one in force first, then one that moved to
//! another file, then new ones by the order in which files changed and by the order of the text.

use std::{collections::HashMap, path::PathBuf};

use super::{
    choice::{Choice, Retained},
    retained::Served,
    unreadable::Unreadable,
};
use crate::{
    model::{ConfigError, Service},
    source::{
        Source,
        conflicts::{Claims, Taken, asks_no_more},
        frontend_owners::FrontendOwners,
        object::{Item, Key},
    },
};

/// A service that lost a conflict.
pub struct Conflict {
    /// Position of its file.
    pub choice: usize,
    /// Service of that file.
    pub claimant: Claimant,
    /// Errors that name the owners.
    pub errors: Vec<ConfigError>,
}

/// A service of a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Claimant {
    /// A service of the present version, by position.
    Own(usize),
    /// A service in its last good version.
    Kept(Key),
}

/// Precedence of a claim; the least wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// The service holds all of its frontends, from the same file.
    Holds,
    /// The service holds all of its frontends, from another file.
    Moved,
    /// The service claims a new frontend.
    New,
}

/// Whether no two services conflict. Files whose versions are in force already agree.
pub fn agree(choices: &[Choice<'_>]) -> bool {
    let (old, new): (Vec<_>, Vec<_>) = choices.iter().partition(|choice| choice.is_old());
    let mut taken: HashMap<&Source, Taken<'_>> = HashMap::new();
    let is_new = new.iter().all(|choice| {
        let taken = taken.entry(&choice.tracked.source).or_default();
        let mut services = choice.services.iter();
        services.all(|service| taken.take(service))
    });
    is_new
        && old.iter().all(|choice| {
            let Some(taken) = taken.get(&choice.tracked.source) else {
                return true;
            };
            choice.services.iter().all(|service| taken.leaves(service))
        })
}

/// Returns the services that lost a conflict, with a service of higher precedence or with an owner
/// that is unreadable.
pub fn conflicts(
    choices: &[Choice<'_>],
    served: &Served<'_>,
    holders: &FrontendOwners,
    absent: &Unreadable<'_>,
) -> Vec<Conflict> {
    let all = choices.iter().enumerate().flat_map(|(at, choice)| {
        claimants(choice).map(move |(claimant, service)| {
            (
                strength(choice, service, served),
                choice.tracked.changed,
                at,
                claimant,
                service,
            )
        })
    });
    let mut claimants: Vec<_> = all.collect();
    claimants.sort_unstable_by(|a, b| (a.0, a.1, a.2, &a.3).cmp(&(b.0, b.1, b.2, &b.3)));
    let mut claims: HashMap<&Source, Claims<'_>> = HashMap::new();
    for (_, _, choice, _, service) in &claimants {
        let source = &choices[*choice].tracked.source;
        let claims = claims
            .entry(source)
            .or_insert_with(|| Claims::withholding(absent.of(source, choices)));
        claims.reserve(holders, service);
    }
    let mut conflicts = Vec::new();
    for (_, _, choice, claimant, service) in claimants {
        let claims = claims.entry(&choices[choice].tracked.source).or_default();
        let errors = claims.claim_service(service);
        if !errors.is_empty() {
            conflicts.push(Conflict {
                choice,
                claimant,
                errors,
            });
        }
    }
    conflicts
}

fn claimants<'c>(choice: &'c Choice<'_>) -> impl Iterator<Item = (Claimant, &'c Service)> {
    let own = choice
        .services
        .iter()
        .enumerate()
        .filter(|(at, _)| !choice.blamed.contains(at));
    let kept = choice
        .kept
        .iter()
        .filter_map(|(key, Retained { items, .. })| {
            let service = items.iter().find_map(Item::service)?;
            Some((Claimant::Kept(key.clone()), service))
        });
    own.map(|(at, service)| (Claimant::Own(at), *service))
        .chain(kept)
}

fn strength(choice: &Choice<'_>, service: &Service, served: &Served<'_>) -> Strength {
    let holder = |of: Option<&PathBuf>| {
        let held = served.services(&choice.tracked.source, &service.name);
        held.into_iter()
            .any(|(path, held)| of.is_none_or(|of| of == path) && asks_no_more(service, held))
    };
    match () {
        () if holder(Some(choice.path)) => Strength::Holds,
        () if holder(None) => Strength::Moved,
        () => Strength::New,
    }
}
