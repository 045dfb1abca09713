//! One file: bytes to everything it says, and everything that is wrong with it.

use std::{path::PathBuf, sync::Arc};

use super::{
    document::{self, Document, Problem, Value},
    field::Field,
    manifest::{self, Manifests},
    native,
};
use crate::{
    config::{Serve, Source},
    model::{ConfigError, LeftOut, Origin, Service, ServiceName, ServicePort},
};

/// One version of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// As it was read.
    pub bytes: Vec<u8>,
    /// Device and inode: which file the bytes were in.
    pub identity: (u64, u64),
    /// What it says; not to be used when there are errors.
    pub contents: Contents,
    /// In the order of lines.
    pub errors: Vec<ConfigError>,
}

/// What the documents of a file say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// Native services, complete.
    pub services: Vec<Arc<Service>>,
    /// Native services that are left alone.
    pub left_out: Vec<(ServiceName, LeftOut)>,
    /// Kubernetes objects.
    pub manifests: Manifests,
}

impl Contents {
    /// Notes the source of native endpoints; those of slices get theirs with their service.
    pub fn mark(&mut self, source: &Source) {
        if source.is_none() {
            return;
        }
        let ports = self.services.iter_mut().flat_map(|service| &mut Arc::make_mut(service).ports);
        for endpoint in ports.flat_map(|port| &mut port.endpoints) {
            endpoint.source.clone_from(source);
        }
    }

    /// Every service that is spoken of.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        let Manifests { services, slices, left_out, notes: _ } = &self.manifests;
        let native = self.services.iter().map(|service| &service.name);
        let left_out = self.left_out.iter().chain(left_out).map(|(name, _)| name);
        let declared = services.iter().map(|declared| &declared.service.name);
        native.chain(left_out).chain(declared).chain(slices.iter().map(|slice| &slice.service))
    }

    /// Whether everything that `other` serves is served by this as well, if by fewer endpoints.
    pub fn keeps(&self, other: &Self) -> bool {
        let kept = |old: &Service| self.services.iter().any(|new| new.name == old.name && keeps_ports(new, old));
        self.manifests == other.manifests && other.services.iter().all(|old| kept(old))
    }
}

fn keeps_ports(new: &Service, old: &Service) -> bool {
    let kept = |old: &ServicePort| {
        let same = |new: &&ServicePort| (&new.name, new.port, new.protocol) == (&old.name, old.port, old.protocol);
        new.ports.iter().find(same).is_some_and(|new| new.endpoints.is_empty() == old.endpoints.is_empty())
    };
    new.addresses == old.addresses && old.ports.iter().all(kept)
}

impl File {
    /// Reads all documents of a file.
    pub fn parse(path: &Arc<PathBuf>, identity: (u64, u64), bytes: Vec<u8>, serve: Serve) -> Self {
        let (contents, problems) = match std::str::from_utf8(&bytes) {
            Ok(text) => read(text, path, serve),
            Err(error) => (Contents::default(), vec![not_text(&bytes, error.valid_up_to())]),
        };
        let locate = |Problem { line, field, reason }| {
            let origin = Origin { file: Arc::clone(path), line };
            ConfigError { origin, field, reason }
        };
        Self { bytes, identity, contents, errors: problems.into_iter().map(locate).collect() }
    }
}

fn read(text: &str, path: &Arc<PathBuf>, serve: Serve) -> (Contents, Vec<Problem>) {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let (documents, mut problems) = if is_json { document::parse_json(text) } else { document::parse(text) };
    let mut contents = Contents::default();
    for document in &documents {
        read_document(document, path, serve, &mut contents);
        problems.append(&mut document.problems.borrow_mut());
    }
    problems.sort_unstable();
    problems.dedup();
    (contents, problems)
}

fn read_document(document: &Document<'_>, path: &Arc<PathBuf>, serve: Serve, contents: &mut Contents) {
    let root = Field::root(document);
    // `services: null` is a native document too, one without services.
    let is_native = root.children().any(|child| child.name() == Some("services"));
    match root.value() {
        Value::Null => {}
        Value::Map if is_native => native::read(root, path, serve, contents),
        _ => manifest::read(root, path, serve, &mut contents.manifests),
    }
}

fn not_text(bytes: &[u8], position: usize) -> Problem {
    let lines = bytes[..position].iter().filter(|byte| **byte == b'\n').count();
    let line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
    Problem { line, field: String::new(), reason: "not UTF-8 text".to_owned() }
}
