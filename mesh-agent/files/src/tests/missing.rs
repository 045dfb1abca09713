//! Directories and files that are missing, empty or unreadable on disk.

use std::{fs, os::unix::fs::symlink};

use mesh_core::{
    model::{Admission, Update},
    source::{ServiceDir, frontend_owners::FrontendOwners},
};

use super::{Node, errors, names, one};
use crate::dir::{DirectoryReader, read_paths};

#[test]
fn directory_that_cannot_be_read_keeps_its_files() {
    let mut node = Node::new();
    let directory = node.path("services");
    node.reader = DirectoryReader::new(vec![directory.clone(), node.path("more")], false);
    fs::create_dir(&directory).unwrap();
    fs::create_dir(node.path("more")).unwrap();
    node.write("services/a.yaml", &one("a", "10.96.0.1"));
    node.write("more/b.yaml", &one("b", "10.96.0.2"));
    node.read();
    fs::rename(&directory, node.path("away")).unwrap();
    let update = node.read();
    let expected = "services:1: directory cannot be read, its services stay as they were: \
                    No such file or directory (os error 2)";
    assert_eq!((names(&update).len(), update.complete), (2, true));
    assert_eq!(errors(&update, &node), [expected]);
    fs::rename(node.path("away"), &directory).unwrap();
    node.remove("services/a.yaml");
    assert_eq!(names(&node.read()), ["b"]);
}

#[test]
fn missing_directory_is_an_error_and_leaves_everything_incomplete() {
    let mut node = Node::new();
    node.reader = DirectoryReader::new(vec![node.path("none")], true);
    let update = node.read();
    assert_eq!(
        (update.services.len(), update.errors.len(), update.complete),
        (0, 1, false)
    );
    fs::create_dir(node.path("none")).unwrap();
    assert_eq!(
        node.read(),
        Update {
            complete: true,
            ..Update::default()
        }
    );
}

#[test]
fn unreadable_file_is_served_as_it_was() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.read();
    node.remove("a.yaml");
    symlink("nowhere", node.path("a.yaml")).unwrap();
    let update = node.read();
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned()], true)
    );
    assert_eq!(
        errors(&update, &node),
        ["a.yaml:1: cannot be read: No such file or directory (os error 2)"]
    );
    node.remove("a.yaml");
    nix::unistd::mkfifo(
        &node.path("a.yaml"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    assert_eq!(
        errors(&node.read(), &node),
        ["a.yaml:1: cannot be read: not a regular file"]
    );
}

#[test]
fn empty_files_are_errors_when_validated() {
    let node = Node::new();
    node.write("a.yaml", &one("cart", "10.96.0.1"));
    node.write("b.yaml", " \n\n");
    node.write("c.yaml", "services: []\n");
    let given = ServiceDir::from(node.directory.path().to_owned());
    let update = read_paths(
        &[given, node.path("b.yaml").into()],
        FrontendOwners::default(),
        Admission::default(),
    );
    let reason = "empty: did the command that wrote it fail? To have no services, write `services: []` into it";
    assert_eq!(errors(&update, &node), [format!("b.yaml:1: {reason}")]);
    assert_eq!(names(&update), ["cart"]);
}
