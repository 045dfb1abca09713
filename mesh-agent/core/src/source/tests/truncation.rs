//! Files that are cut at any byte.

use super::{Node, parse, served};

/// Checks that every prefix of a good file serves what the whole file serves, and is reported if an
/// object is lost.
fn survives_every_cut(text: &str) {
    let mut node = Node::new();
    node.write("a.yaml", text);
    let whole = node.read();
    assert_eq!(whole.errors, []);
    let contents = parse(text).contents;
    for length in (0..text.len()).rev() {
        node.write("a.yaml", &text[..length]);
        let cut = node.read();
        assert_eq!(cut.services, whole.services, "cut after {length} bytes");
        assert!(cut.complete);
        let harmless = parse(&text[..length]);
        let reported = !harmless.errors.is_empty() || harmless.contents != contents;
        assert_eq!(
            cut.errors.len(),
            usize::from(reported),
            "cut after {length} bytes"
        );
    }
    node.write("a.yaml", text);
    assert_eq!(node.read(), whole);
}

#[test]
fn native_file_cut_at_any_byte_removes_nothing() {
    survives_every_cut(include_str!("shop.yaml"));
}

#[test]
fn kubernetes_file_cut_at_any_byte_removes_nothing() {
    survives_every_cut(include_str!("cluster.yaml"));
}

#[test]
fn json_file_cut_at_any_byte_removes_nothing() {
    survives_every_cut(
        r#"{"services": [{"name": "a", "address": "10.96.0.1", "ports": [{"port": 80}]},
        {"name": "b", "address": "10.96.0.2", "ports": [{"port": 80}], "endpoints": [{"address": "10.0.0.1"}]}]}"#,
    );
}

#[test]
fn the_last_endpoint_of_a_file_can_be_removed() {
    let short = "services:\n- name: a\n  address: 10.96.0.1\n  ports: [{port: 80}]\n  endpoints:\n\
                 \x20 - address: 10.0.0.1\n"
        .to_owned();
    let mut node = Node::new();
    node.write("a.yaml", &format!("{short}  - address: 10.0.0.2\n"));
    assert_eq!(node.read().errors, []);
    node.write("a.yaml", &short);
    let update = node.read();
    assert_eq!(update.errors, []);
    let ports = update
        .services
        .values()
        .next()
        .map(|service| service.ports[0].endpoints.len());
    assert_eq!(ports, Some(1));
}

#[test]
fn a_shorter_file_moved_into_place_is_whole() {
    let text = "services:\n".to_owned()
        + &super::service("a", "10.96.0.1")
        + &super::service("b", "10.96.0.2");
    let mut node = Node::new();
    node.write("a.yaml", &text);
    let both = served(&node.read());
    node.replace("a.yaml", &super::one("a", "10.96.0.1"));
    let update = node.read();
    assert_eq!(
        (served(&update), update.errors),
        (both[..1].to_vec(), vec![])
    );
}

#[test]
fn intended_cut_is_accepted_with_any_other_change() {
    let text = "services:\n".to_owned()
        + &super::service("a", "10.96.0.1")
        + &super::service("b", "10.96.0.2");
    let mut node = Node::new();
    node.write("a.yaml", &text);
    let both = served(&node.read());
    let short = super::one("a", "10.96.0.1");
    node.write("a.yaml", &short);
    let update = node.read();
    assert_eq!(served(&update), both);
    let expected = format!(
        "a.yaml:3: half-written: only the first {} of {} bytes are left, so the services stay as they were; \
         if this is meant, move a new file into its place, or add a comment line at its end",
        short.len(),
        text.len()
    );
    assert_eq!(super::errors(&update, &node), [expected]);
    node.write("a.yaml", &(short + "# end\n"));
    let update = node.read();
    assert_eq!(served(&update), both[..1]);
    assert_eq!(update.errors, []);
}
