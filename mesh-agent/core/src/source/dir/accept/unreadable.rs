//! Frontends of services that cannot be read at present. Their rows stay in the kernel, so no
//! other service gets these frontends.

use std::collections::HashSet;

use super::choice::Choice;
use crate::{
    model::ServiceName,
    source::{
        Source,
        contents::Contents,
        frontend_owners::FrontendOwners,
        object::{Item, Key},
    },
};

/// Services that may be in the files of a source although they cannot be read.
pub struct Unreadable<'a> {
    holders: &'a FrontendOwners,
    /// Whether all directories could be read.
    complete: bool,
}

impl<'a> Unreadable<'a> {
    /// `holders` are the owners of frontends, now or when the agent started.
    pub fn new(holders: &'a FrontendOwners, complete: bool) -> Self {
        Self { holders, complete }
    }

    /// Whether every object of these files can be read.
    pub fn is_none(&self, choices: &[Choice<'_>]) -> bool {
        self.holders.is_empty()
            || self.complete
                && choices
                    .iter()
                    .all(|it| it.is_right() && it.tracked.is_whole())
    }

    /// Returns the frontends of unreadable services of a source.
    pub fn of(&self, source: &Source, choices: &[Choice<'_>]) -> FrontendOwners {
        if self.is_none(choices) {
            return FrontendOwners::default();
        }
        let told: HashSet<ServiceName> = choices.iter().flat_map(told).collect();
        let ours = || {
            choices
                .iter()
                .filter(|choice| choice.tracked.source == *source)
        };
        let problems = ours()
            .filter_map(|choice| choice.latest)
            .flat_map(|file| &file.wrong);
        let wrong: HashSet<&ServiceName> = problems.filter_map(|it| it.service.as_ref()).collect();
        let is_whole = self.complete && ours().all(|choice| choice.tracked.is_whole());
        self.holders
            .of_others(|name| told.contains(name) || (is_whole && !wrong.contains(name)))
    }
}

/// Returns the known services of a file, served or not.
fn told<'c>(choice: &'c Choice<'_>) -> impl Iterator<Item = ServiceName> + 'c {
    let service = |key: Key| match key {
        Key::Service(name) => Some(name),
        Key::EndpointSlice(_) | Key::Endpoints(_) => None,
    };
    let objects = choice.base.into_iter().flat_map(Contents::objects);
    let own = objects.filter_map(move |(key, _): (Key, Item<'_>)| service(key));
    own.chain(choice.kept.keys().cloned().filter_map(service))
}
