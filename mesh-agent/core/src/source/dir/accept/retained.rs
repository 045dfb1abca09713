//! Decides which objects stay in their last good version.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use super::choice::{Choice, Rejections, Retained};
use crate::{
    model::{Effect, Origin, Scope, Service, ServiceName, Wrong},
    source::{
        Source,
        dir::tracked_file::TrackedFile,
        file::File,
        file_version::Version,
        object::{Item, Items, Key, Kind, WrongObject},
    },
};

/// Objects in force so far, by file.
pub struct Served<'a> {
    files: BTreeMap<&'a PathBuf, (&'a Source, &'a Arc<Version>, Items<'a>)>,
    /// Files by object.
    homes: HashMap<Key, Vec<&'a PathBuf>>,
}

impl<'a> Served<'a> {
    /// Collects the objects in force of these files.
    pub fn of(files: impl Iterator<Item = (&'a PathBuf, &'a TrackedFile)>) -> Self {
        let of = |(path, it): (&'a PathBuf, &'a TrackedFile)| {
            let version = it.accepted.as_ref()?;
            Some((path, (&it.source, version, version.contents.items())))
        };
        let files: BTreeMap<_, _> = files.filter_map(of).collect();
        let mut homes: HashMap<Key, Vec<&'a PathBuf>> = HashMap::new();
        for (path, (_, _, items)) in &files {
            items
                .keys()
                .for_each(|key| homes.entry(key.clone()).or_default().push(path));
        }
        Self { files, homes }
    }

    /// Returns the definitions of a service that are in force in files of this source.
    pub fn services(&self, source: &Source, name: &ServiceName) -> Vec<(&'a PathBuf, &'a Service)> {
        let key = Key::Service(name.clone());
        let homes = self.homes.get(&key).into_iter().flatten();
        let of = |path: &&'a PathBuf| {
            let (of, _, items) = &self.files[path];
            let service = items[&key].iter().find_map(Item::service)?;
            (*of == source).then_some((*path, service))
        };
        homes.filter_map(of).collect()
    }

    /// Returns the last good version of an object: from this file, or else from another file of its
    /// source.
    fn last_good(
        &self,
        choice: &Choice<'_>,
        key: &Key,
        newer: Option<Origin>,
    ) -> Option<Retained<'a>> {
        let homes = self.homes.get(key)?;
        let own = homes.iter().find(|path| **path == choice.path);
        let path = own.or_else(|| {
            homes
                .iter()
                .find(|path| *self.files[*path].0 == choice.tracked.source)
        })?;
        let (_, from, items) = &self.files[path];
        Some(Retained {
            items: items[key].clone(),
            newer,
            from,
        })
    }
}

/// Objects that are right in any file of a source.
type Present<'a> = HashSet<(&'a Source, Key)>;

/// Decides which objects stay in their last good version, given the services that lost a conflict
/// so far.
pub fn keep<'a>(choices: &mut [Choice<'a>], served: &Served<'a>) {
    let good = choices
        .iter()
        .flat_map(|choice| choice.good().map(|key| (&choice.tracked.source, key)));
    let present: Present<'a> = good.collect();
    for choice in choices {
        choice.kept = kept(choice, served, &present);
    }
}

fn kept<'a>(
    choice: &Choice<'a>,
    served: &Served<'a>,
    present: &Present<'a>,
) -> BTreeMap<Key, Retained<'a>> {
    let is_free = |key: &Key| {
        !present.contains(&(&choice.tracked.source, key.clone())) && !choice.dropped.contains(key)
    };
    let services = choice.blamed.iter().map(|at| choice.services[*at]);
    let blamed = services.map(|it| (Key::Service(it.name.clone()), Some(it.origin.clone())));
    let wrong = choice.latest.into_iter().flat_map(|file| &file.wrong);
    let wrong =
        wrong.filter_map(|it| Some((it.key.clone()?, Some(choice.tracked.origin(it.line)))));
    let lost = lost(choice, served).into_iter().map(|key| (key, None));
    let all = blamed
        .chain(wrong)
        .chain(lost)
        .filter(|(key, _)| is_free(key));
    all.filter_map(|(key, newer)| Some((key.clone(), served.last_good(choice, &key, newer)?)))
        .collect()
}

/// Returns objects that the newest version does not name but may contain.
fn lost(choice: &Choice<'_>, served: &Served<'_>) -> Vec<Key> {
    let (Some(latest), Some((_, _, items))) = (choice.latest, served.files.get(choice.path)) else {
        return Vec::new();
    };
    let is_half = choice.tracked.is_half(latest);
    let hidden = |key: &&Key| is_half || latest.may_hide(key.kind());
    let named: HashSet<&Key> = latest
        .wrong
        .iter()
        .filter_map(|it| it.key.as_ref())
        .collect();
    let good: HashSet<Key> = latest.contents.objects().map(|(key, _)| key).collect();
    let lost = items
        .keys()
        .filter(hidden)
        .filter(|key| !named.contains(key) && !good.contains(key));
    lost.cloned().collect()
}

/// Reports, for everything that is wrong in itself, what is in force instead.
pub fn tell(choices: &[Choice<'_>], outcome: &mut Rejections) {
    for choice in choices {
        let Some(latest) = choice.latest else {
            continue;
        };
        for wrong in &latest.wrong {
            let of_kind = |key: &Key| wrong.kind.is_none_or(|kind| kind == key.kind());
            let effect = match &wrong.key {
                Some(key) if choice.kept.contains_key(key) => Effect::Kept,
                Some(_) => Effect::LeftOut,
                None => rest(choice, of_kind),
            };
            if effect == Effect::LeftOut {
                outcome
                    .missing
                    .extend(wrong.service.clone().zip(wrong.kind));
            }
            outcome
                .wrong
                .push(told(choice, wrong.line, name(wrong), Scope::Object, effect));
        }
        for line in &latest.broken {
            let name = "a document that cannot be parsed".to_owned();
            outcome.wrong.push(told(
                choice,
                *line,
                name,
                Scope::File,
                rest(choice, |_| true),
            ));
        }
        outcome.wrong.extend(half(choice, latest));
    }
}

/// Returns the report of a possibly missing end, if it keeps something in force.
fn half(choice: &Choice<'_>, latest: &File) -> Option<Wrong> {
    let line = latest.wrong.last()?.line;
    let is_told = Kind::ALL.into_iter().any(|kind| latest.may_hide(kind));
    let effect = rest(choice, |_| true);
    let name = "the end of the file, which may be half-written".to_owned();
    (choice.tracked.is_half(latest) && !is_told && effect != Effect::LeftOut)
        .then(|| told(choice, line, name, Scope::File, effect))
}

/// Returns the effect for objects whose names cannot be read.
fn rest(choice: &Choice<'_>, of_kind: impl Fn(&Key) -> bool) -> Effect {
    let kept = choice
        .kept
        .iter()
        .filter(|(key, keep)| keep.newer.is_none() && of_kind(key));
    let names: Vec<String> = kept.map(|(key, _)| key.to_string()).collect();
    if names.is_empty() {
        Effect::LeftOut
    } else {
        Effect::Rest(names)
    }
}

fn told(choice: &Choice<'_>, line: u32, name: String, scope: Scope, effect: Effect) -> Wrong {
    Wrong {
        origin: choice.tracked.origin(line),
        name,
        scope,
        effect,
    }
}

fn name(wrong: &WrongObject) -> String {
    match (&wrong.key, wrong.kind) {
        (Some(key), _) => key.to_string(),
        (None, Some(kind)) => format!("{kind} whose name cannot be read"),
        (None, None) => "an object whose kind cannot be read".to_owned(),
    }
}
