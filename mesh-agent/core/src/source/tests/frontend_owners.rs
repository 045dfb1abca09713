//! A service keeps the frontends that it holds when an agent restarts.

use super::{Node, errors, names, one, service};
use crate::{
    model::{Protocol, ServiceName, Update},
    source::{dir::ScanReader, frontend_owners::FrontendOwners},
};

/// Services by the TCP frontends that they hold.
fn holders(held: &[(&str, &str)]) -> FrontendOwners {
    let place = |address: &str| {
        let address: std::net::SocketAddr = address.parse().unwrap();
        (address.ip(), address.port(), Protocol::Tcp)
    };
    let name = |name: &str| ServiceName {
        namespace: "default".into(),
        name: name.into(),
    };
    held.iter()
        .map(|(service, address)| (place(address), name(service)))
        .collect()
}

impl Node {
    /// Acts as an agent that starts with these frontends in the kernel.
    fn read_anew(&mut self, held: &[(&str, &str)]) -> Update {
        let holders = holders(held);
        self.reader = ScanReader::new([self.directory.clone()], false).keeping(|| holders);
        self.read()
    }
}

#[test]
fn a_service_keeps_the_address_it_holds_over_a_restart() {
    let mut node = Node::new();
    node.write("z.yaml", &one("z", "10.96.0.1"));
    node.read();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    let before = node.read();
    let blamed = "a.yaml:2: service default/a asks for 10.96.0.1 port 80/TCP, which belongs to service default/z (in \
                  z.yaml:2): give one of them another address or port";
    let shown = |update: &Update, node: &Node| {
        let directory = format!("{}/", node.directory.display());
        errors(update, node)
            .iter()
            .map(|error| error.replace(&directory, ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&before), shown(&before, &node)),
        (vec!["z".to_owned()], vec![blamed.to_owned()])
    );
    let after = node.read_anew(&[("z", "10.96.0.1:80")]);
    assert_eq!(
        (names(&after), shown(&after, &node)),
        (vec!["z".to_owned()], vec![blamed.to_owned()])
    );
    let again = node.read();
    assert_eq!(
        (names(&again), shown(&again, &node)),
        (vec!["z".to_owned()], vec![blamed.to_owned()])
    );
    node.remove("z.yaml");
    assert_eq!(names(&node.read()), ["a"]);
}

#[test]
fn frontends_of_a_removed_service_are_free() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    assert_eq!(names(&node.read_anew(&[("z", "10.96.0.1:80")])), ["a"]);
    node.write("z.yaml", &one("z", "10.96.0.1"));
    let update = node.read();
    assert_eq!(
        (
            names(&update),
            update.errors[0].origin.document().ends_with("z.yaml")
        ),
        (vec!["a".to_owned()], true)
    );
}

#[test]
fn a_service_keeps_the_node_port_it_holds() {
    let service = |name: &str, address: &str| {
        one(name, address).replace("[{port: 80}]", "[{port: 80, nodePort: 30080}]")
    };
    let holder = |update: &Update| {
        let mut services = update.services.values();
        services
            .find(|it| it.ports[0].node_port.is_some())
            .unwrap()
            .name
            .name
            .clone()
    };
    let mut node = Node::new();
    node.write("a.yaml", &service("a", "10.96.0.1"));
    node.write("z.yaml", &service("z", "10.96.0.2"));
    assert_eq!(holder(&node.read_anew(&[])), "a");
    for loopback in ["127.0.0.1:30080", "[::1]:30080"] {
        assert_eq!(
            holder(&node.read_anew(&[("z", loopback)])),
            "z",
            "{loopback}"
        );
        assert_eq!(holder(&node.read()), "z", "{loopback}, read again");
    }
    let update = node.read_anew(&[("z", "127.0.0.1:30081")]);
    assert_eq!(
        (holder(&update), names(&update)),
        ("a".to_owned(), vec!["a".to_owned(), "z".to_owned()])
    );
}

#[test]
fn of_two_definitions_the_one_in_force_counts() {
    let mut node = Node::new();
    node.write("a.yaml", &one("cart", "10.96.0.1"));
    node.write("z.yaml", &one("cart", "10.96.0.2"));
    let address =
        |update: &Update| update.services.values().next().unwrap().addresses.given()[0].to_string();
    assert_eq!(address(&node.read_anew(&[])), "10.96.0.1");
    let update = node.read_anew(&[("cart", "10.96.0.2:80")]);
    assert_eq!(
        (
            address(&update),
            update.errors[0].origin.document().ends_with("a.yaml")
        ),
        ("10.96.0.2".to_owned(), true)
    );
}

const BELONGS: &str =
    "10.96.0.1 port 80/TCP belongs to service default/z, which cannot be read now";

#[test]
fn a_service_that_cannot_be_read_keeps_the_address_that_the_kernel_has_for_it() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("z.yaml", &one("z", "10.96.0.1").replace("10.0.0.1", "x"));
    for update in [node.read_anew(&[("z", "10.96.0.1:80")]), node.read()] {
        assert_eq!(names(&update), [""; 0]);
        assert_eq!(errors(&update, &node)[0], format!("a.yaml:2: {BELONGS}"));
        assert_eq!(
            super::wrong(&update, &node)[0],
            "a.yaml:2: service default/a: it is left out: no good version of it is known"
        );
        assert_eq!(
            update
                .uncertain
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["default/z"]
        );
    }
    node.write("z.yaml", &one("z", "10.96.0.1"));
    let update = node.read();
    assert_eq!(
        (names(&update), update.errors.len()),
        (vec!["z".to_owned()], 1),
        "it never lost it"
    );
    node.remove("z.yaml");
    assert_eq!(names(&node.read()), ["a"]);
}

#[test]
fn the_address_of_a_removed_service_is_free_while_another_service_is_wrong() {
    let mut node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.yaml", &one("b", "10.96.0.2").replace("10.0.0.1", "x"));
    let update = node.read_anew(&[("z", "10.96.0.1:80"), ("b", "10.96.0.2:80")]);
    assert_eq!(names(&update), ["a"]);
    assert!(
        update
            .errors
            .iter()
            .all(|error| error.origin.document().ends_with("b.yaml")),
        "{:?}",
        update.errors
    );
}

#[test]
fn services_of_a_file_that_cannot_be_read_keep_their_addresses() {
    let mut node = Node::new();
    node.write(
        "a.yaml",
        &(one("a", "10.96.0.1") + &service("b", "10.96.0.2")),
    );
    node.write("z.yaml", "[");
    for update in [node.read_anew(&[("z", "10.96.0.1:80")]), node.read()] {
        assert_eq!(
            (names(&update), update.complete),
            (vec!["b".to_owned()], false)
        );
        assert!(
            errors(&update, &node).contains(&format!("a.yaml:2: {BELONGS}")),
            "{:?}",
            update.errors
        );
    }
    node.replace("z.yaml", "services: []\n");
    assert_eq!(names(&node.read()), ["a", "b"]);
}
