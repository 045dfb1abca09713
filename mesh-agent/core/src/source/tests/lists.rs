//! Lists of objects, and objects of another `apiVersion`.

use super::{
    Node, errors,
    kubernetes::{SPEC, declared},
    names,
    objects::{KEPT, OUT, wrong},
    one, served,
};
use crate::model::Effect;

#[test]
fn objects_of_a_list_stand_alone() {
    let mut node = Node::new();
    let item = |name: &str, last: u8, port: &str| {
        format!(
            "- apiVersion: v1\n  kind: Service\n  metadata: {{name: {name}}}\n  \
             spec: {{clusterIP: 10.96.0.{last}, ports: [{{port: {port}}}]}}\n"
        )
    };
    let list = |items: &[String]| format!("apiVersion: v1\nitems:\n{}kind: List\n", items.concat());
    node.replace(
        "x.yaml",
        &list(&[item("a", 1, "80"), item("b", 2, "80"), item("c", 3, "80")]),
    );
    assert_eq!(names(&node.read()), ["a", "b", "c"]);
    // Written in place with the wrong one last; the text after the list shows that the file is
    // whole.
    node.write(
        "x.yaml",
        &list(&[item("a", 1, "81"), item("d", 4, "x"), item("c", 3, "x")]),
    );
    let update = node.read();
    assert_eq!(
        served(&update),
        [
            "default/a 10.96.0.1 81 81/TCP:",
            "default/c 10.96.0.3 80 80/TCP:"
        ]
    );
    let expected = [
        format!("7: service default/d: {OUT}"),
        format!("11: service default/c: {KEPT}"),
    ];
    assert_eq!(wrong(&update), expected);
}

#[test]
fn object_of_another_version_stays_as_it_was_while_others_change() {
    let mut node = Node::new();
    let text = |version: &str, address: &str| {
        let declared =
            declared(SPEC).replacen("apiVersion: v1", &format!("apiVersion: {version}"), 1);
        declared + "---\n" + &one("z", address)
    };
    node.replace("x.yaml", &text("v1", "10.96.9.1"));
    let good = served(&node.read());
    node.replace("x.yaml", &text("v2", "10.96.9.2"));
    let update = node.read();
    assert_eq!(
        served(&update),
        good.iter()
            .map(|it| it.replace("10.96.9.1", "10.96.9.2"))
            .collect::<Vec<_>>()
    );
    assert_eq!(errors(&update, &node).len(), 1);
    assert_eq!(
        (update.wrong.len(), &update.wrong[0].effect, update.complete),
        (1, &Effect::Kept, true)
    );
}

#[test]
fn elements_of_a_list_of_another_version_are_read_if_they_name_their_kind() {
    let list = |element: &str| {
        format!(
            "apiVersion: v2\nkind: ServiceList\nitems:\n- {{{element}metadata: {{name: a}}, \
             spec: {{clusterIP: 10.96.0.1, ports: [{{port: 80}}]}}}}\n"
        )
    };
    for (element, expected) in [("", &[][..]), ("apiVersion: v1, kind: Service, ", &["a"])] {
        let mut node = Node::new();
        node.write("x.yaml", &list(element));
        let update = node.read();
        assert_eq!(names(&update), expected);
        assert_eq!(
            errors(&update, &node),
            ["x.yaml:1: apiVersion: expected v1, found `v2`"]
        );
    }
}
