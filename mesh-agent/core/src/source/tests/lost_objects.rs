//! Objects that a file may contain in an unreadable part.

use super::objects::{file, wrong};
use super::{
    Node,
    kubernetes::{SPEC, declared},
    names, one, served, service,
};
use crate::model::{Effect, Scope};

#[test]
fn file_that_cannot_be_parsed_keeps_its_services_and_no_others() {
    let mut node = Node::new();
    node.replace("a.yaml", &one("a", "10.96.0.1"));
    node.replace("b.yaml", &one("b", "10.96.0.2"));
    node.replace("c.yaml", &one("c", "10.96.0.3"));
    node.read();
    node.replace("a.yaml", "services: [");
    node.remove("b.yaml");
    let update = node.read();
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned(), "c".to_owned()], true)
    );
    assert_eq!(update.wrong[0].scope, Scope::File);
    // A new file that was never good does not delay others either.
    node.replace("d.yaml", "services: [");
    node.remove("c.yaml");
    let update = node.read();
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned()], true)
    );
}

#[test]
fn object_without_a_readable_name_keeps_lost_objects_of_its_kind() {
    let mut node = Node::new();
    let [a, b] = [service("a", "10.96.0.1"), service("b", "10.96.0.2")];
    node.replace(
        "x.yaml",
        &(file(&[&a, &b]) + "---\n" + &declared(SPEC).replace("10.96.0.1", "10.96.0.9")),
    );
    node.read();
    node.replace("x.yaml", &file(&[&a, &b.replace("name: b", "name: B")]));
    let update = node.read();
    assert_eq!(names(&update), ["a", "b"]);
    let expected = "3: a service whose name cannot be read: what the file no longer has stays in force: service default/b";
    assert_eq!(wrong(&update), [expected]);
    node.replace("x.yaml", &file(&[&a]));
    assert_eq!(names(&node.read()), ["a"]);
}

#[test]
fn document_that_cannot_be_parsed_keeps_lost_objects_and_the_others_apply() {
    let mut node = Node::new();
    node.replace(
        "x.yaml",
        &(one("a", "10.96.0.1") + "---\n" + &one("b", "10.96.0.2")),
    );
    node.read();
    node.replace("x.yaml", &(one("a", "10.96.0.3") + "---\nservices: [\n"));
    let update = node.read();
    let expected = [
        "default/a 10.96.0.3 80 80/TCP: 10.0.0.1:80 x1 ready",
        "default/b 10.96.0.2 80 80/TCP: 10.0.0.1:80 x1 ready",
    ];
    assert_eq!(served(&update), expected);
    assert_eq!(
        (update.wrong[0].scope, update.wrong[0].effect.clone()),
        (Scope::File, Effect::Rest(vec!["service default/b".into()]))
    );
}
