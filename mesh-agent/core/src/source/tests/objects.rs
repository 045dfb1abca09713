//! A wrong object does not affect the others.

use super::{
    Node, errors,
    kubernetes::{SPEC, declared, slice},
    names, one, served, service,
};
use crate::{model::Update, source::Serve, source::dir::ScanReader};

/// Formats the objects that are not in force as written.
pub(super) fn wrong(update: &Update) -> Vec<String> {
    update
        .wrong
        .iter()
        .map(|it| format!("{}: {}: {}", it.origin.line(), it.name, it.effect))
        .collect()
}

/// Services in one file, each with its own text.
pub(super) fn file(services: &[&str]) -> String {
    "services:\n".to_owned() + &services.concat()
}

fn named(name: &str) -> crate::model::ServiceName {
    crate::model::ServiceName {
        namespace: "default".into(),
        name: name.into(),
    }
}

pub(super) const KEPT: &str = "its last good version stays in force";
pub(super) const OUT: &str = "it is left out: no good version of it is known";

#[test]
fn wrong_native_service_stays_as_it_was_while_others_of_its_file_change_and_leave() {
    let mut node = Node::new();
    let [a, b, c] =
        [("a", "10.96.0.1"), ("b", "10.96.0.2"), ("c", "10.96.0.3")].map(|(n, at)| service(n, at));
    node.replace("x.yaml", &file(&[&a, &b, &c]));
    let before = served(&node.read());
    let typo = a.replace("port: 80", "port: 0");
    let moved = b.replace("10.0.0.1", "10.0.0.2");
    node.replace("x.yaml", &file(&["# edited\n", &typo, &moved]));
    for _ in 0..2 {
        let update = node.read();
        let told =
            "x.yaml:3: services[0].ports[0].port: expected a port from 1 to 65535, found `0`";
        assert_eq!(errors(&update, &node), [told]);
        assert_eq!(
            served(&update),
            [
                before[0].clone(),
                before[1].replace("10.0.0.1:80", "10.0.0.2:80")
            ]
        );
        assert_eq!(
            (wrong(&update), update.complete),
            (vec![format!("3: service default/a: {KEPT}")], true)
        );
    }
    // A kept object stays, whatever happens to the rest.
    node.replace("x.yaml", &file(&[&typo]));
    let update = node.read();
    assert_eq!(
        (served(&update), wrong(&update)),
        (
            before[..1].to_vec(),
            vec![format!("2: service default/a: {KEPT}")]
        )
    );
    node.replace("x.yaml", &file(&[&b]));
    let update = node.read();
    assert_eq!(
        (served(&update), update.errors, update.wrong),
        (before[1..2].to_vec(), vec![], vec![])
    );
}

#[test]
fn wrong_object_that_was_never_good_is_left_out_and_the_rest_is_served() {
    let mut node = Node::new();
    let [a, b] = [service("a", "10.96.0.1"), service("b", "x")];
    node.write("x.yaml", &file(&[&a, &b]));
    let update = node.read();
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned()], true)
    );
    assert_eq!(wrong(&update), [format!("3: service default/b: {OUT}")]);
    assert_eq!(
        update.uncertain,
        [named("b")].into(),
        "an earlier agent may have served it"
    );
}

#[test]
fn wrong_annotation_keeps_the_last_good_version_of_its_service_and_of_no_other() {
    let mut node = Node::new();
    let b = declared(SPEC)
        .replace("{name: a}", "{name: b}")
        .replace("10.96.0.1", "10.96.0.2");
    let slice_of_b = slice("[{addresses: [10.0.0.2]}]")
        .replace("a-1", "b-1")
        .replace("name: a}", "name: b}");
    let a = declared(SPEC) + &slice("[{addresses: [10.0.0.1]}]");
    node.replace("x.yaml", &(a.clone() + &b + &slice_of_b));
    let line = |name: &str, last: u8, to: &str| {
        format!("default/{name} 10.96.0.{last} 80 80/TCP: {to}:8080 x1 ready")
    };
    assert_eq!(
        served(&node.read()),
        [line("a", 1, "10.0.0.1"), line("b", 2, "10.0.0.2")]
    );
    let typo = "{name: a, annotations: {mesh-agent.io/balance: rondom}}";
    let wrong_a = declared(SPEC).replace("{name: a}", typo) + &slice("[{addresses: [10.0.0.3]}]");
    // The slice of the wrong service and the removal of the other service apply.
    node.replace("x.yaml", &wrong_a);
    let update = node.read();
    assert_eq!(served(&update), [line("a", 1, "10.0.0.3")]);
    assert_eq!(wrong(&update), [format!("1: service default/a: {KEPT}")]);
    assert!(
        errors(&update, &node)[0]
            .starts_with("x.yaml:3: metadata.annotations.mesh-agent.io/balance: expected")
    );
    node.replace("x.yaml", &(wrong_a.replace("10.0.0.3", "10.0.0.4") + &b));
    assert_eq!(
        served(&node.read()),
        [
            line("a", 1, "10.0.0.4"),
            "default/b 10.96.0.2 80 80/TCP:".to_owned()
        ]
    );
}

#[test]
fn wrong_slice_stays_as_it_was_beside_the_other_slices_of_its_service() {
    let mut node = Node::new();
    let slice_at = |number: u8, address: &str| {
        slice(&format!("[{{addresses: [{address}]}}]")).replace("a-1", &format!("a-{number}"))
    };
    let text = |one: &str, two: &str| declared(SPEC) + &slice_at(1, one) + &slice_at(2, two);
    let line = |one: &str, two: &str| {
        format!("default/a 10.96.0.1 80 80/TCP: {one}:8080 x1 ready, {two}:8080 x1 ready")
    };
    node.replace("x.yaml", &text("10.0.0.1", "10.0.0.2"));
    assert_eq!(served(&node.read()), [line("10.0.0.1", "10.0.0.2")]);
    node.replace("x.yaml", &text("10.0.0.300", "10.0.0.4"));
    let update = node.read();
    assert_eq!(served(&update), [line("10.0.0.1", "10.0.0.4")]);
    assert_eq!(
        wrong(&update),
        [format!("6: EndpointSlice default/a-1: {KEPT}")]
    );
    node.replace("x.yaml", &(declared(SPEC) + &slice_at(2, "10.0.0.5")));
    assert_eq!(
        served(&node.read()),
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.5:8080 x1 ready"]
    );
}

#[test]
fn service_whose_slices_are_all_removed_has_no_endpoints() {
    let mut node = Node::new();
    node.write("wrong.yaml", "services: [");
    node.write(
        "a.yaml",
        &(declared(SPEC) + &slice("[{addresses: [10.0.0.1]}]")),
    );
    let update = node.read();
    assert_eq!((update.complete, &update.uncertain), (false, &[].into()));
    node.replace("a.yaml", &declared(SPEC));
    let update = node.read();
    assert_eq!(served(&update), ["default/a 10.96.0.1 80 80/TCP:"]);
    assert_eq!(
        update.uncertain,
        [named("a")].into(),
        "its slices may be in the file that cannot be read"
    );
}

#[test]
fn conflict_affects_the_later_object_only() {
    let mut node = Node::new();
    let [a, b, c] =
        [("a", "10.96.0.1"), ("b", "10.96.0.2"), ("c", "10.96.0.3")].map(|(n, at)| service(n, at));
    node.replace("a.yaml", &one("first", "10.96.0.9"));
    node.replace("b.yaml", &file(&[&a, &b]));
    let before = served(&node.read());
    let greedy = a.replace("10.96.0.1", "10.96.0.9");
    let new = c
        .replace("10.96.0.3", "10.96.0.9")
        .replace("name: c", "name: d");
    node.replace(
        "b.yaml",
        &file(&[&greedy, &b.replace("10.96.0.2", "10.96.0.4"), &c, &new]),
    );
    let update = node.read();
    let line = |name: &str, last: u8| {
        format!("default/{name} 10.96.0.{last} 80 80/TCP: 10.0.0.1:80 x1 ready")
    };
    let expected = [
        before[0].clone(),
        line("b", 4),
        line("c", 3),
        line("first", 9),
    ];
    assert_eq!(served(&update), expected);
    assert_eq!(
        wrong(&update),
        [
            format!("2: service default/a: {KEPT}"),
            format!("5: service default/d: {OUT}")
        ]
    );
    assert_eq!(update.errors.len(), 2);
    node.remove("a.yaml");
    assert_eq!(
        served(&node.read())[0],
        line("a", 9),
        "nothing is in its way any more"
    );
}

#[test]
fn service_keeps_its_address_however_often_its_file_is_edited() {
    let mut node = Node::new();
    node.replace("b.yaml", &one("b", "10.96.0.1"));
    node.read();
    node.replace("a.yaml", &one("a", "10.96.0.1"));
    assert_eq!(names(&node.read()), ["b"]);
    node.replace(
        "b.yaml",
        &("# edited\n".to_owned() + &one("b", "10.96.0.1")),
    );
    assert_eq!(
        names(&node.read()),
        ["b"],
        "the file of the claimant is older now, its claim is not"
    );
}

#[test]
fn wrong_object_of_a_renamed_file_stays_as_it_was() {
    let mut node = Node::new();
    node.replace("a.yaml", &one("a", "10.96.0.1"));
    let good = served(&node.read());
    node.remove("a.yaml");
    node.replace("b.yaml", &one("a", "10.96.0.300"));
    let update = node.read();
    assert_eq!(
        (served(&update), wrong(&update)),
        (good, vec![format!("2: service default/a: {KEPT}")])
    );
}

#[test]
fn wrong_copy_of_a_service_does_not_compete_with_the_good_one() {
    let mut node = Node::new();
    node.replace("a.yaml", &one("a", "10.96.0.1"));
    let good = served(&node.read());
    node.replace("b.yaml", &one("a", "10.96.0.300"));
    let update = node.read();
    assert_eq!((served(&update), update.errors.len()), (good, 1));
    assert_eq!(
        (wrong(&update), update.uncertain),
        (vec![format!("2: service default/a: {OUT}")], [].into())
    );
}

#[test]
fn file_that_ends_with_a_wrong_object_and_was_written_in_place_may_be_half_written() {
    let mut node = Node::new();
    let [a, b] = [service("a", "10.96.0.1"), service("b", "10.96.0.2")];
    node.write("x.yaml", &file(&[&a, &b]));
    let before = served(&node.read());
    node.write(
        "x.yaml",
        "services:\n# edited\n- name: a\n  address: 10.96.0.1\n",
    );
    let update = node.read();
    assert_eq!(served(&update), before);
    let half = "3: the end of the file, which may be half-written: what the file no longer has stays in force: service default/b";
    assert_eq!(
        wrong(&update),
        [format!("3: service default/a: {KEPT}"), half.to_owned()]
    );
    node.replace(
        "x.yaml",
        "services:\n# edited\n- name: a\n  address: 10.96.0.1\n",
    );
    assert_eq!(served(&node.read()), before[..1]);
}

#[test]
fn service_whose_last_good_version_opted_out_stays_left_alone() {
    let mut node = Node::new();
    node.reader = ScanReader::new([node.directory.clone()], false).serving(Serve::All);
    let off = service("a", "10.96.0.1").replace("ports", "enabled: false, ports");
    node.replace("x.yaml", &file(&[&off, &service("b", "10.96.0.2")]));
    node.read();
    node.replace(
        "x.yaml",
        &file(&[
            &off.replace("port: 80", "port: 0"),
            &service("b", "10.96.0.2"),
        ]),
    );
    let update = node.read();
    assert_eq!(
        (names(&update), update.left_out.len()),
        (vec!["b".to_owned()], 1)
    );
    assert_eq!(wrong(&update), [format!("2: service default/a: {KEPT}")]);
}
