//! Files of any size and form take bounded memory, and are read object by object.

use super::{Node, errors, joined, kubernetes::declared, names, one, problems, service};
use crate::{
    model::{Effect, Scope},
    source::Serve,
};

fn served(text: &str) -> Vec<String> {
    names(&joined(text, Serve::All))
}

#[test]
fn first_hundred_errors_of_a_file_are_reported_and_the_others_counted() {
    let wrong = |file: u16| {
        (0..200).fold("services:\n".to_owned(), |text, at| {
            text + &format!("- {{name: w{file}-{at}}}\n")
        })
    };
    let mut node = Node::new();
    node.write("a.yaml", &wrong(1));
    node.write("b.yaml", &wrong(2));
    let update = node.read();
    let told = errors(&update, &node);
    assert_eq!((told.len(), update.errors_total), (202, 800));
    assert_eq!(told[0], "a.yaml:2: services[0].address: missing");
    assert_eq!(told[99], "a.yaml:51: services[49].ports: missing");
    assert_eq!(told[100], "a.yaml:51: and 300 more errors in this file");
    assert_eq!(told[101], "b.yaml:2: services[0].address: missing");
}

#[test]
fn conflicts_are_bounded_too() {
    let many = |line: &str| {
        (1..=200).fold("services:\n".to_owned(), |text, at| {
            text + &service(&format!("s{at}"), &format!("10.96.0.{at}")) + line
        })
    };
    let mut node = Node::new();
    node.write("a.yaml", &many(""));
    assert_eq!(names(&node.read()).len(), 200);
    node.write("b.yaml", &many("# a copy\n"));
    let update = node.read();
    let told = errors(&update, &node);
    assert_eq!(
        (names(&update).len(), told.len(), update.wrong.len()),
        (200, 101, 200)
    );
    assert_eq!(told[100], "b.yaml:200: and 100 more errors in this file");
    assert_eq!(update.errors_total, 200);
}

#[test]
fn notes_are_bounded_too() {
    let mut node = Node::new();
    node.write("a.yaml", &"---\napiVersion: v1\nkind: Pod\n".repeat(150));
    let update = node.read();
    assert_eq!((update.notes.len(), update.errors.len()), (101, 0));
    assert!(
        update.notes[100].message.starts_with("and 50 more notes"),
        "{}",
        update.notes[100]
    );
}

#[test]
fn file_with_too_many_errors_stays_as_it_was() {
    let nonsense = [
        "services:\n".to_owned() + &"- {}\n".repeat(70_000),
        "---\n[\n".repeat(2_000),
        "---\n".repeat(300_000),
        "- a\n".repeat(1_100_000),
        "services:\n".to_owned() + &service("b", "10.96.0.2").repeat(2_000),
        ("---\n".to_owned() + &one("b", "10.96.0.2")).repeat(2_000),
        format!("services:\n- {{name: {}}}\n", "x".repeat(2_000_000)),
        "[a, ".repeat(600_000),
        "[".repeat(2_000_000),
        format!("{{\"services\": [{}", "{\"a\": 1},".repeat(300_000)),
    ];
    for text in nonsense {
        let mut node = Node::new();
        node.write("a.yaml", &one("a", "10.96.0.1"));
        node.read();
        node.replace("a.yaml", &text);
        let update = node.read();
        let what = &text[..20];
        assert_eq!(
            (names(&update), update.complete),
            (vec!["a".to_owned()], true),
            "{what}"
        );
        assert!(
            (1..=101).contains(&update.errors.len()),
            "{what}: {}",
            update.errors.len()
        );
        assert_eq!(
            (update.wrong[0].scope, &update.wrong[0].effect),
            (Scope::File, &Effect::Kept),
            "{what}"
        );
    }
}

#[test]
fn long_names_are_shortened_in_errors() {
    let [error] = <[_; 1]>::try_from(problems(&format!(
        "services: []\n{}: 1\n",
        "x".repeat(5000)
    )))
    .unwrap();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn json_in_one_line_is_read_object_by_object() {
    let service = |at: u32| {
        format!("{{\"name\":\"s{at}\",\"address\":\"auto\",\"ports\":[{{\"port\":80}}]}}")
    };
    let services: Vec<String> = (0..20_000).map(service).collect();
    let text = format!("{{\"services\":[{}]}}", services.join(","));
    assert!(text.len() > 1 << 20);
    assert_eq!(served(&text).len(), 20_000);
    // A truncated file is rejected as a whole.
    assert!(
        problems(&text[..text.len() - 1])[0].starts_with("a.yaml:1: not JSON: expected `,` or `}`")
    );
}

#[test]
fn small_documents_in_brackets_may_be_yaml() {
    let text = "{services: [{name: a, address: auto, ports: [{port: 80}]}]} # no JSON\n---\n{\"services\": []}\n";
    assert_eq!(served(text), ["a"]);
}

#[test]
fn aliases_may_refer_to_another_service() {
    let text = "services:\n\
                - {name: a, address: 10.96.0.1, ports: &p [{port: 80}], endpoints: &e [{address: 10.0.0.1}]}\n\
                - {name: b, address: 10.96.0.2, ports: *p, endpoints: *e}\n\
                - {name: c, address: 10.96.0.3, ports: *p}\n";
    let update = joined(text, Serve::All);
    assert_eq!(names(&update), ["a", "b", "c"]);
    assert_eq!(
        super::served(&update)[1],
        "default/b 10.96.0.2 80 80/TCP: 10.0.0.1:80 x1 ready"
    );
}

#[test]
fn only_lists_hold_objects() {
    let item = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}";
    let of = |kind: &str| format!("items: [{item}]\napiVersion: v1\nkind: {kind}\n");
    assert_eq!(served(&of("List")), ["a"]);
    assert_eq!(served(&of("Menu")), [""; 0]);
    let nested = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: List, items: [{item}]}}\n"
    );
    assert_eq!(served(&nested), ["a"]);
}

#[test]
fn elements_of_a_broken_document_do_not_count() {
    let text = "services:\n".to_owned()
        + &service("a", "x")
        + &service("b", "10.96.0.2")
        + "- [\n---\n"
        + &declared("{}");
    let mut node = Node::new();
    node.write("a.yaml", &text);
    let update = node.read();
    assert_eq!(
        (
            names(&update).len(),
            update.errors.len(),
            update.wrong.len()
        ),
        (0, 1, 1)
    );
}
