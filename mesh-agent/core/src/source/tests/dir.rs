//! Files over time: which objects are in force when files change, conflict or are wrong.

use super::{Node, errors, first_file, names, one, served, service};
use crate::{model::Update, source::fixture::one_json};

#[test]
fn json_files_are_json_and_nothing_else() {
    let mut node = Node::new();
    node.write("a.json", &one_json("a", "10.96.0.1"));
    let good = node.read();
    assert_eq!((names(&good), good.errors.len()), (vec!["a".to_owned()], 0));
    let expected = "expected a value (texts stand in double quotes), found other text";
    for (text, line, reason) in [
        (one("a", "10.96.0.2"), 1, expected),
        (
            one_json("a", "10.96.0.2") + "\n---\n",
            2,
            "expected the end of the file, because a JSON file holds one value, found other text",
        ),
        (
            "{\"services\": [],\n}".to_owned(),
            2,
            "expected a name in double quotes, found `}`",
        ),
    ] {
        node.write("a.json", &text);
        let update = node.read();
        let expected =
            format!("a.json:{line}: not JSON: {reason}; to write YAML, call the file .yaml");
        assert_eq!(
            (errors(&update, &node), &update.services),
            (vec![expected], &good.services)
        );
    }
    // Escapes that YAML does not have, and a duplicate key.
    node.write(
        "a.json",
        "{\"services\": [{\"name\": \"\\u0061\", \"address\": \"10.96.0.3\",\n\"ports\": [], \"ports\": []}]}",
    );
    let twice = "a.json:2: services[0].ports: given twice, first on line 2";
    assert!(errors(&node.read(), &node).contains(&twice.to_owned()));
}

#[test]
fn edited_added_and_removed_files_are_followed() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    assert_eq!(names(&node.read()), ["a"]);
    node.write("b.yaml", &one("b", "10.96.0.2"));
    assert_eq!(names(&node.read()), ["a", "b"]);
    node.write("a.yaml", &one("c", "10.96.0.3"));
    assert_eq!(names(&node.read()), ["b", "c"]);
    node.remove("a.yaml");
    assert_eq!(names(&node.read()), ["b"]);
}

#[test]
fn wrong_file_is_served_as_it_was_and_reported_until_it_is_right() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    let good = node.read();
    node.write(
        "a.yaml",
        "services:\n- {name: a, address: x, ports: [{port: 0}]}\n- {}\n",
    );
    for _ in 0..2 {
        let update = node.read();
        let expected = [
            "a.yaml:2: services[0].address: expected an IPv4 or IPv6 address, found `x`",
            "a.yaml:2: services[0].ports[0].port: expected a port from 1 to 65535, found `0`",
            "a.yaml:3: services[1].address: missing",
            "a.yaml:3: services[1].name: missing",
            "a.yaml:3: services[1].ports: missing",
        ];
        assert_eq!(errors(&update, &node), expected);
        assert_eq!((&update.services, update.complete), (&good.services, true));
    }
    node.write("a.yaml", &one("a", "10.96.0.1"));
    assert_eq!(node.read(), good);
}

#[test]
fn wrong_file_that_was_never_good_leaves_the_rest_incomplete() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", "services: [");
    let update = node.read();
    assert_eq!(
        (names(&update), update.complete, update.errors.len()),
        (vec!["a".to_owned()], false, 1)
    );
    node.write("b.yaml", &one("b", "10.96.0.2"));
    let update = node.read();
    assert_eq!(
        (names(&update).len(), update.complete, update.errors.len()),
        (2, true, 0)
    );
}

#[test]
fn services_of_a_renamed_file_stay() {
    let mut node = Node::new();
    node.write("b.yaml", &one("a", "10.96.0.1"));
    node.read();
    for (from, to) in [("b.yaml", "c.yaml"), ("c.yaml", "a.yaml")] {
        node.rename(from, to);
        let update = node.read();
        assert_eq!(
            (names(&update), update.complete, update.errors.len()),
            (vec!["a".to_owned()], true, 0)
        );
    }
}

#[test]
fn services_swapped_between_files_are_no_conflict() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", &one("b", "10.96.0.2"));
    node.read();
    node.write("a.yaml", &one("b", "10.96.0.2"));
    node.write("b.yaml", &one("a", "10.96.0.1"));
    let update = node.read();
    assert_eq!((names(&update).len(), update.errors.len()), (2, 0));
    let file = first_file(&update);
    assert_eq!(file.file_name().unwrap(), "b.yaml");
}

#[test]
fn file_that_changed_last_has_the_error_of_a_duplicate_service() {
    let mut node = Node::new();
    node.write("a.yaml", &one("other", "10.96.0.1"));
    node.write("b.yaml", &one("cart", "10.96.0.2"));
    let good = node.read();
    node.write("a.yaml", &("\n".to_owned() + &one("cart", "10.96.0.3")));
    let update = node.read();
    let expected = format!(
        "a.yaml:3: service default/cart is defined twice: first in {}:2, again here",
        node.path("b.yaml").display()
    )
    .replace(&format!("{}/", node.directory.display()), "");
    assert_eq!(errors(&update, &node), [expected]);
    // Objects that the file no longer has are removed, even if the rest is wrong.
    assert_eq!(
        (served(&update), update.complete),
        (served(&good)[..1].to_vec(), true)
    );
    node.remove("b.yaml");
    assert_eq!(names(&node.read()), ["cart"]);
}

#[test]
fn address_and_port_belong_to_one_service() {
    let mut node = Node::new();
    let text = "services:\n".to_owned()
        + &service("a", "10.96.0.1")
        + &service("b", "[10.96.0.2, 10.96.0.1]");
    node.write("a.yaml", &text);
    let expected = "a.yaml:3: service default/b asks for 10.96.0.1 port 80/TCP, which belongs to service default/a (in \
                    a.yaml:2): give one of them another address or port";
    let update = node.read();
    assert_eq!(errors(&update, &node), [expected]);
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned()], true)
    );
    node.write("a.yaml", &text.replace("10.96.0.1]", "10.96.0.3]"));
    assert_eq!(names(&node.read()), ["a", "b"]);
}

#[test]
fn new_file_in_conflict_is_left_out_alone() {
    let mut node = Node::new();
    node.write("b.yaml", &one("b", "10.96.0.2"));
    node.read();
    node.write("a.yaml", &one("b", "10.96.0.9"));
    node.write("c.yaml", &one("c", "10.96.0.3"));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors.len()),
        (vec!["b".to_owned(), "c".to_owned()], 1)
    );
    assert!(update.complete, "nothing of the new file was ever served");
}

#[test]
fn service_that_stays_as_it_was_conflicts_with_its_successor() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", &one("b", "10.96.0.2"));
    node.write("c.yaml", &one("c", "10.96.0.3"));
    let good = node.read();
    // `a` takes the address that `b` gives up, but the new address of `b` is taken.
    node.write("a.yaml", &one("a", "10.96.0.2"));
    node.write("b.yaml", &one("b", "10.96.0.3"));
    let update = node.read();
    assert_eq!(
        (served(&update), update.errors.len(), update.wrong.len()),
        (served(&good), 2, 2)
    );
}

#[test]
fn unchanged_files_are_not_parsed_again() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", &one("b", "10.96.0.2"));
    let before = node.read();
    node.write("b.yaml", &one("b", "10.96.0.3"));
    let after = node.read();
    let same = |name: &str| {
        let find = |update: &Update| {
            update
                .services
                .values()
                .find(|it| it.name.name == name)
                .unwrap()
                .clone()
        };
        std::sync::Arc::ptr_eq(&find(&before), &find(&after))
    };
    assert_eq!((same("a"), same("b")), (true, false));
}

#[test]
fn unchanged_services_of_an_edited_file_are_shared_with_the_version_before() {
    let mut node = Node::new();
    let text = |port| {
        format!(
            "services:\n- {{name: a, address: 10.96.0.1, ports: [{{port: 80}}]}}\n\
             - {{name: b, address: 10.96.0.2, ports: [{{port: {port}}}]}}\n"
        )
    };
    node.write("a.yaml", &text(80));
    let before = node.read().services;
    node.write("a.yaml", &text(81));
    let after = node.read().services;
    let changed: Vec<&str> = before
        .differences(&after)
        .map(|(name, ..)| &*name.name)
        .collect();
    assert_eq!(changed, ["b"]);
    let same = before
        .values()
        .zip(after.values())
        .map(|(before, after)| std::sync::Arc::ptr_eq(before, after));
    assert_eq!(same.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn node_ports_and_external_addresses_belong_to_one_service() {
    let mut node = Node::new();
    let one = |name: &str, rest: &str, port: &str| {
        format!("services:\n- {{name: {name}, address: auto{rest}, ports: [{{port: 80{port}}}]}}\n")
    };
    node.write(
        "a.yaml",
        &one("a", ", externalIPs: [192.0.2.1]", ", nodePort: 30080"),
    );
    node.write("b.yaml", &one("b", "", ", nodePort: 30080"));
    node.write("c.yaml", &one("c", ", externalIPs: [192.0.2.1]", ""));
    let update = node.read();
    let expected = [
        "b.yaml:2: ports[0].nodePort: node port of service default/b is refused: node port 30080/TCP belongs to service \
         default/a, in a.yaml:2",
        "c.yaml:2: externalIPs: external address of service default/c is refused: 192.0.2.1 port 80/TCP belongs to service \
         default/a, in a.yaml:2",
    ];
    assert_eq!(errors(&update, &node), expected);
    assert_eq!(names(&update), ["a", "b", "c"]);
    node.write("b.yaml", &one("b", ", enabled: false", ", nodePort: 30080"));
    node.write("c.yaml", &one("c", "", ", nodePort: 30080, protocol: UDP"));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors),
        (vec!["a".to_owned(), "c".to_owned()], vec![])
    );
}
