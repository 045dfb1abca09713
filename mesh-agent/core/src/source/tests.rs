//! Tests of the source layer, for single files and over time.

mod address_families;
mod admission;
mod bounds;
mod dir;
mod document;
mod frontend_owners;
mod health;
mod kubernetes;
mod kubernetes_annotations;
mod left_out;
mod lists;
mod locality;
mod lost_objects;
mod missing;
mod native;
mod nested_services;
mod objects;
mod ranges;
mod reference;
mod schema;
mod sources;
mod traffic;
mod traffic_errors;
mod truncated_in_place;
mod truncation;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use super::{
    dir::ScanReader,
    file::{File, Identity},
    fixture::{lines, names, one, served, service},
    join::join,
    merge::{Holdings, merge},
    scan::{Found, Scan},
};
use crate::{
    model::{Admission, Service, Update, Wrong},
    source::{Serve, SourceUpdate},
};

/// Parses one file.
fn parse(text: &str) -> File {
    parse_for(text, Serve::All)
}

/// Parses one file with this `serve` setting.
fn parse_for(text: &str, serve: Serve) -> File {
    File::parse(
        &Arc::new(PathBuf::from("a.yaml")),
        Identity {
            device: 0,
            inode: 0,
        },
        text.as_bytes().to_vec(),
        serve,
    )
}

/// Returns kind and address of each external frontend.
fn external_addresses(service: &Service) -> Vec<String> {
    let external = service.external.iter();
    external
        .map(|it| format!("{} {}", it.kind, it.address))
        .collect()
}

/// Returns the file of the first service.
fn first_file(update: &Update) -> PathBuf {
    let first = update.services.values().next().unwrap();
    first.origin.document().to_path_buf()
}

/// Returns the errors of a text, as users see them.
fn problems(text: &str) -> Vec<String> {
    parse(text).errors.iter().map(ToString::to_string).collect()
}

/// Reads a text as the only file.
fn joined(text: &str, serve: Serve) -> Update {
    let file = parse_for(text, serve);
    assert_eq!(file.errors, []);
    let update = SourceUpdate {
        services: [(None, join(&[file.contents], &None, None))].into(),
        complete: true,
        ..SourceUpdate::default()
    };
    merge(&[&update], &Admission::default(), &Holdings::default()).0
}

/// Returns the errors without the directory.
fn errors(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.display());
    update
        .errors
        .iter()
        .map(|error| error.to_string().replace(&directory, ""))
        .collect()
}

/// Returns the objects that are not in force as written, and what is in force instead.
fn wrong(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.display());
    let line =
        |it: &Wrong| format!("{}: {}: {}", it.origin, it.name, it.effect).replace(&directory, "");
    update.wrong.iter().map(line).collect()
}

/// A services directory in memory and its reader.
pub struct Node {
    pub directory: PathBuf,
    /// Inode and text of each file.
    files: RefCell<BTreeMap<PathBuf, (u64, String)>>,
    /// Number of inodes so far.
    inodes: Cell<u64>,
    pub reader: ScanReader,
}

impl Node {
    pub fn new() -> Self {
        let directory = PathBuf::from("/etc/services");
        Self {
            reader: ScanReader::new([directory.clone()], false),
            directory,
            files: RefCell::default(),
            inodes: Cell::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file, in place if it exists.
    pub fn write(&self, name: &str, text: &str) {
        let mut files = self.files.borrow_mut();
        let new = || {
            self.inodes.set(self.inodes.get() + 1);
            (self.inodes.get(), String::new())
        };
        files.entry(self.path(name)).or_insert_with(new).1 = text.to_owned();
    }

    /// Replaces a file atomically.
    fn replace(&self, name: &str, text: &str) {
        self.remove_if_any(name);
        self.write(name, text);
    }

    fn rename(&self, from: &str, to: &str) {
        let mut files = self.files.borrow_mut();
        let file = files.remove(&self.path(from));
        files.insert(self.path(to), file.expect("the file exists"));
    }

    fn remove(&self, name: &str) {
        assert!(self.remove_if_any(name), "{name} is missing");
    }

    pub fn remove_if_any(&self, name: &str) -> bool {
        let path = self.path(name);
        self.files.borrow_mut().remove(&path).is_some()
    }

    fn read(&mut self) -> Update {
        self.read_at(Instant::now())
    }

    pub fn read_at(&mut self, now: Instant) -> Update {
        let scan = self.scan();
        self.reader.read(scan, now)
    }

    pub fn scan(&self) -> Scan {
        let files = self.files.borrow();
        let found = |(path, (inode, text)): (&PathBuf, &(u64, String))| {
            let (device, inode) = (1, *inode);
            let identity = Identity { device, inode };
            let bytes = text.clone().into_bytes();
            (path.clone(), Ok(Found { bytes, identity }))
        };
        Scan {
            files: files.iter().map(found).collect(),
            ..Scan::default()
        }
    }
}
