//! Which files of a directory are read.

use std::{fs, os::unix::fs::symlink};

use super::{Node, errors, names, one, one_json, service};
use crate::dir::{DirectoryReader, read};

#[test]
fn only_visible_yaml_and_json_files_are_read() {
    let mut node = Node::new();
    for (number, name) in ["a.yaml", "b.yml", "c.json", ".d.yaml", "e.txt", "yaml"]
        .into_iter()
        .enumerate()
    {
        let service = if name.ends_with("json") {
            one_json
        } else {
            one
        };
        node.write(
            name,
            &service(&name[..1].replace('.', "d"), &format!("10.96.0.1{number}")),
        );
    }
    fs::create_dir(node.path("sub")).unwrap();
    node.write("sub/f.yaml", &one("f", "10.96.0.99"));
    let update = node.read();
    assert_eq!(names(&update), ["a", "b", "c"]);
    assert_eq!(
        (update.complete, update.errors.len(), update.notes.len()),
        (true, 0, 0)
    );
}

#[test]
fn volume_of_kubernetes_is_followed_through_its_links() {
    let mut node = Node::new();
    let volume = |version: &str, text: &str| {
        fs::create_dir(node.path(version)).unwrap();
        node.write(&format!("{version}/a.yaml"), text);
        symlink(version, node.path("..data_tmp")).unwrap();
        fs::rename(node.path("..data_tmp"), node.path("..data")).unwrap();
    };
    let both = "services:\n".to_owned() + &service("a", "10.96.0.1") + &service("b", "10.96.0.2");
    volume("..1", &both);
    symlink("..data/a.yaml", node.path("a.yaml")).unwrap();
    // Moving a link truncates no file, so the shorter text is intended.
    volume("..2", &one("a", "10.96.0.1"));
    let mut reader = DirectoryReader::new(vec![node.directory.path().to_owned()], false);
    fs::remove_file(node.path("..data")).unwrap();
    symlink("..1", node.path("..data")).unwrap();
    assert_eq!(names(&reader.read()), ["a", "b"]);
    fs::remove_file(node.path("..data")).unwrap();
    symlink("..2", node.path("..data")).unwrap();
    let update = reader.read();
    assert_eq!(
        (names(&update), update.errors.len()),
        (vec!["a".to_owned()], 0)
    );
    node.reader = reader;
}

#[test]
fn one_shot_reports_everything() {
    let node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", &one("a", "10.96.0.2"));
    node.write("c.yaml", &one("c", "x"));
    node.write("d.yaml", &one("d", "10.96.0.1"));
    node.write("e.yaml", "services: [{");
    let update = read(&[node.directory.path().to_owned()]);
    let files: Vec<String> = errors(&update, &node)
        .iter()
        .map(|error| error[..6].to_owned())
        .collect();
    assert_eq!(files, ["b.yaml", "c.yaml", "d.yaml", "e.yaml"]);
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned()], false)
    );
    assert_eq!(read::<std::path::PathBuf>(&[]).errors, []);
}

#[test]
fn directory_given_twice_is_read_once() {
    let mut node = Node::new();
    let path = node.directory.path().to_owned();
    node.reader = DirectoryReader::new(vec![path.clone(), path], false);
    node.write("a.yaml", &one("a", "10.96.0.1"));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors.len()),
        (vec!["a".to_owned()], 0)
    );
}

/// A link in the directory may lead to a file that only root may read.
#[test]
fn content_of_files_that_are_no_mapping_is_not_quoted() {
    let mut node = Node::new();
    fs::create_dir(node.path("secret")).unwrap();
    for (number, text) in [
        "root:$6$s3cr3t:19000:0:::\nbin:*:19000:::\n",
        "s3cr3t",
        "- s3cr3t\n",
        "'s3cr3t'",
        "5ecre7",
    ]
    .into_iter()
    .enumerate()
    {
        node.write(&format!("secret/{number}"), text);
        for extension in ["yaml", "json"] {
            let link = node.path(&format!("{number}.{extension}"));
            symlink(node.path(&format!("secret/{number}")), link).unwrap();
        }
    }
    let update = node.read();
    assert_eq!(update.errors.len(), 10);
    let told = format!("{:?}", (update.errors, update.notes, update.wrong));
    assert!(
        !told.contains("s3cr3t") && !told.contains("5ecre7"),
        "{told}"
    );
}
