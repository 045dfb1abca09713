//! Directories without a file.

use super::{Node, names, one};
use crate::{model::Update, source::dir::ScanReader};

#[test]
fn removal_of_all_files_deletes_nothing_unless_allowed() {
    for allow_empty in [false, true] {
        let mut node = Node::new();
        node.reader = ScanReader::new([node.directory.clone()], allow_empty);
        node.write("a.yaml", &one("a", "10.96.0.1"));
        node.write("b.yaml", &one("b", "10.96.0.2"));
        node.read();
        node.remove("a.yaml");
        assert_eq!(names(&node.read()), ["b"]);
        node.remove("b.yaml");
        let update = node.read();
        assert_eq!(names(&update).len(), usize::from(!allow_empty));
        assert_eq!(update.errors.len(), usize::from(!allow_empty));
        assert!(update.complete);
        node.write("c.yaml", "services: []\n");
        assert_eq!(
            node.read(),
            Update {
                complete: true,
                ..Update::default()
            }
        );
    }
}

#[test]
fn empty_directory_at_the_start_is_incomplete() {
    let mut node = Node::new();
    for _ in 0..2 {
        let update = node.read();
        assert_eq!(
            (update.complete, update.notes.len(), update.errors.len()),
            (false, 1, 0)
        );
    }
    node.reader = ScanReader::new([node.directory.clone()], true);
    assert_eq!(
        node.read(),
        Update {
            complete: true,
            ..Update::default()
        }
    );
}
