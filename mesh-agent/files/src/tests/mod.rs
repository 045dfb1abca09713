//! Tests with real directories.

mod dir;
mod last_good;
mod missing;

use std::path::PathBuf;

use mesh_core::{
    model::Update,
    source::fixture::{names, one, one_json, served, service},
};

use crate::dir::DirectoryReader;

/// Returns the errors without the temporary directory.
fn errors(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.path().display());
    update
        .errors
        .iter()
        .map(|error| error.to_string().replace(&directory, ""))
        .collect()
}

/// A services directory and its reader.
struct Node {
    directory: tempfile::TempDir,
    reader: DirectoryReader,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let reader = DirectoryReader::new(vec![directory.path().to_owned()], false);
        Self { directory, reader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Replaces a file atomically.
    fn replace(&self, name: &str, text: &str) {
        self.write("new", text);
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn read(&mut self) -> Update {
        self.reader.read()
    }
}
