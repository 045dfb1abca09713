//! A starting agent knows which versions were in force when the last one ended.

use std::fs;

use mesh_core::{
    model::{Effect, Scope, Update},
    source::ServiceDir,
};

use super::{Node, errors, names, one, served, service};
use crate::dir::DirectoryReader;

/// Larger than any entry here.
const ALL: usize = 1 << 20;

impl Node {
    /// Performs the first read of a new agent.
    fn restart(&mut self) -> Update {
        let services = self.path("services");
        fs::create_dir_all(&services).unwrap();
        self.reader = DirectoryReader::new(vec![services], false).remembering(&self.path("state"));
        self.read()
    }

    /// Reads, and stores the versions in force.
    fn read_and_remember(&mut self) -> Update {
        let update = self.read();
        assert!(self.reader.remember(ALL));
        assert_eq!(self.reader.memory_note(), None);
        update
    }

    fn entries(&self) -> Vec<std::path::PathBuf> {
        fs::read_dir(self.path("state/files"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }
}

fn both() -> String {
    "services:\n".to_owned() + &service("a", "10.96.0.1") + &service("b", "10.96.0.2")
}

#[test]
fn file_truncated_before_the_start_stays_as_it_was() {
    let text = both();
    for length in 0..text.len() - 1 {
        let mut node = Node::new();
        node.restart();
        node.write("services/x.yaml", &text);
        let good = node.read_and_remember();
        node.write("services/x.yaml", &text[..length]);
        let update = node.restart();
        assert_eq!(
            (&update.services, update.complete, update.errors.len()),
            (&good.services, true, 1),
            "{length} bytes"
        );
        assert_eq!(update.wrong[0].effect, Effect::Kept, "{length} bytes");
    }
}

#[test]
fn unchanged_files_stay_in_force() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let before = node.read_and_remember();
    assert_eq!(node.restart(), before);
}

#[test]
fn object_that_went_wrong_before_the_start_stays_as_it_was() {
    let mut node = Node::new();
    node.restart();
    node.replace("services/x.yaml", &both());
    let good = served(&node.read_and_remember());
    node.replace(
        "services/x.yaml",
        &both().replace("address: 10.96.0.1", "address: x"),
    );
    for _ in 0..2 {
        let update = node.restart();
        assert_eq!(
            (served(&update), update.complete, update.uncertain),
            (good.clone(), true, [].into())
        );
        assert_eq!(
            (update.errors.len(), &update.wrong[0].effect),
            (1, &Effect::Kept)
        );
        // The kept objects are in no file any more, only in the store.
        assert!(node.reader.remember(ALL));
    }
}

#[test]
fn kept_objects_of_all_kinds_survive_restarts_as_they_were() {
    let native = include_str!("../../../core/src/source/tests/shop.yaml")
        .replace("namespace: shop", "namespace: other")
        .replace("0.10\n", "0.20\n");
    let text = include_str!("../../../core/src/source/tests/cluster.yaml").replace("0.11", "0.21")
        + "---\n"
        + &native;
    let mut node = Node::new();
    node.restart();
    node.replace("services/x.yaml", &text);
    let good = node.read_and_remember();
    assert_eq!(good.errors, []);
    node.replace("services/x.yaml", "a: [\n");
    node.read_and_remember();
    node.replace("services/x.yaml", "services: []\n---\n[\n");
    let update = node.read_and_remember();
    assert_eq!(
        (served(&update), update.wrong[0].scope),
        (served(&good), Scope::File)
    );
    let again = node.restart();
    assert_eq!(
        (served(&again), &again.wrong),
        (served(&good), &update.wrong)
    );
    for (name, service) in good.services.iter() {
        let kept = &again.services.get(name).unwrap();
        assert_eq!(
            (&kept.traffic, kept.affinity, &kept.external),
            (&service.traffic, service.affinity, &service.external)
        );
    }
}

#[test]
fn removal_of_all_files_before_the_start_deletes_nothing() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let good = node.read_and_remember();
    fs::remove_file(node.path("services/x.yaml")).unwrap();
    let update = node.restart();
    assert_eq!(
        (&update.services, update.complete, update.wrong[0].scope),
        (&good.services, true, Scope::Directory)
    );
    // Removing one of several files is intended.
    node.write("services/y.yaml", &one("c", "10.96.0.3"));
    assert_eq!(names(&node.restart()), ["c"]);
}

#[test]
fn directory_that_cannot_be_read_at_the_start_keeps_its_files() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let good = node.read_and_remember();
    fs::rename(node.path("services"), node.path("away")).unwrap();
    node.reader =
        DirectoryReader::new(vec![node.path("services")], false).remembering(&node.path("state"));
    let update = node.read();
    assert_eq!(
        (&update.services, update.complete, update.errors.len()),
        (&good.services, true, 1)
    );
}

#[test]
fn service_that_held_an_address_holds_it_after_a_restart() {
    let mut node = Node::new();
    node.restart();
    node.replace("services/b.yaml", &one("b", "10.96.0.1"));
    node.read();
    node.replace("services/a.yaml", &one("a", "10.96.0.1"));
    let before = node.read_and_remember();
    assert_eq!(names(&before), ["b"]);
    assert_eq!(node.restart(), before);
    // Also within one file.
    let text = "services:\n".to_owned() + &service("d", "10.96.0.9");
    node.replace("services/d.yaml", &text);
    node.read();
    node.replace(
        "services/d.yaml",
        &text.replace(
            "services:\n",
            &("services:\n".to_owned() + &service("c", "10.96.0.9")),
        ),
    );
    let before = node.read_and_remember();
    assert_eq!(names(&before), ["b", "d"]);
    assert_eq!(node.restart(), before);
}

#[test]
fn files_with_nul_bytes_are_rejected() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let good = node.read_and_remember();
    for nul in ["\0".repeat(100), both() + "\0"] {
        node.replace("services/x.yaml", &nul);
        for update in [node.read(), node.restart()] {
            assert_eq!((&update.services, update.complete), (&good.services, true));
            assert!(
                errors(&update, &node)[0]
                    .contains("a NUL byte: the file was not written to its end")
            );
        }
    }
    let mut fresh = Node::new();
    fresh.write("x.yaml", "\0\0");
    let update = fresh.read();
    assert_eq!(
        (update.complete, update.errors.len(), update.wrong[0].scope),
        (false, 1, Scope::File)
    );
}

#[test]
fn empty_file_does_not_replace_a_configuration() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let good = node.read_and_remember();
    node.replace("services/x.yaml", " \n");
    for update in [node.read(), node.restart()] {
        assert_eq!((&update.services, update.errors.len()), (&good.services, 1));
        let told = "services/x.yaml:1: names no service, so its services stay as they were; to have none, write `services: []` \
                    into it or remove it";
        assert_eq!(errors(&update, &node), [told]);
    }
    node.replace("services/x.yaml", "services: []\n");
    assert_eq!(names(&node.read()), [""; 0]);
}

#[test]
fn damaged_entry_is_noted_and_its_file_counts_as_it_is() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    let before = node.read_and_remember();
    let [entry] = <[_; 1]>::try_from(node.entries()).unwrap();
    let bytes = fs::read(&entry).unwrap();
    fs::write(&entry, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(node.restart(), before);
    let note = node.reader.memory_note().unwrap().message;
    assert!(
        note.contains("so its file has no last good version: it is damaged"),
        "{note}"
    );
    assert!(node.reader.remember(ALL));
    assert_eq!(fs::read(&entry).unwrap(), bytes, "it is whole again");
}

#[test]
fn store_that_cannot_be_written_is_noted_without_further_effect() {
    let mut node = Node::new();
    node.restart();
    fs::write(node.path("state"), "a file is in its way").unwrap();
    node.write("services/x.yaml", &both());
    assert_eq!(names(&node.read()), ["a", "b"]);
    node.reader.remember(ALL);
    let note = node.reader.memory_note().unwrap().message;
    assert!(
        note.contains(
            "so a file that becomes invalid while no agent runs has no last good version"
        ),
        "{note}"
    );
}

#[test]
fn entries_of_removed_files_are_deleted_and_large_files_are_stored_later() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    node.write("services/y.yaml", &one("c", "10.96.0.3"));
    node.read();
    assert!(!node.reader.remember(both().len() - 1));
    assert_eq!(node.entries().len(), 1);
    assert!(node.reader.remember(ALL));
    assert_eq!(node.entries().len(), 2);
    fs::remove_file(node.path("services/y.yaml")).unwrap();
    node.read_and_remember();
    assert_eq!(node.entries().len(), 1);
    // Files of a directory that is no longer read are dropped.
    fs::create_dir(node.path("other")).unwrap();
    node.reader = DirectoryReader::new([ServiceDir::from(node.path("other"))], false)
        .remembering(&node.path("state"));
    node.read_and_remember();
    assert_eq!(node.entries().len(), 0);
}

#[test]
fn agent_without_a_store_leaves_wrong_objects_out() {
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both().replace("10.96.0.1", "x"));
    let update = node.restart();
    assert_eq!(
        (names(&update), update.complete, update.uncertain.len()),
        (vec!["b".to_owned()], true, 1)
    );
    for nameless in [
        "services: 7",
        "services: [{}]",
        "a: 1",
        "[",
        "services:\n- {name: B}\n",
    ] {
        node.replace("services/x.yaml", nameless);
        for is_last in [false, true] {
            let update = node.restart();
            assert_eq!(
                (names(&update).len(), update.complete),
                (0, false),
                "{nameless}"
            );
            assert!(node.reader.remember(ALL));
            if is_last {
                node.replace("services/x.yaml", &both());
                assert_eq!(
                    (names(&node.read()).len(), node.read().complete),
                    (2, true),
                    "{nameless}"
                );
                node.replace("services/x.yaml", nameless);
                assert_eq!(
                    (names(&node.read()).len(), node.read().complete),
                    (2, true),
                    "{nameless}"
                );
            }
        }
    }
}

#[test]
fn entries_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut node = Node::new();
    node.restart();
    node.write("services/x.yaml", &both());
    node.read_and_remember();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&node.path("state/files")), mode(&node.entries()[0])),
        (0o700, 0o600)
    );
}
