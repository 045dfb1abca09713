//! Several sources with definitions of the same service.

use std::sync::Arc;

use super::{
    Node, first_file,
    kubernetes::{SPEC, declared, slice},
    names,
};
use crate::{
    model::{Balance, Update},
    source::ServiceDir,
    source::dir::ScanReader,
};

/// Directories of several sources, and their reader.
struct Sources(Node);

impl Sources {
    fn new(sources: &[&str]) -> Self {
        let mut node = Node::new();
        let directory = |source: &&str| -> ServiceDir {
            let path = node.path(source);
            format!("{source}={}", path.display()).parse().unwrap()
        };
        node.reader = ScanReader::new(sources.iter().map(directory), false);
        Self(node)
    }

    fn write(&self, file: &str, text: &str) {
        self.0.write(file, text);
    }

    fn read(&mut self) -> Update {
        self.0.read()
    }

    /// Formats notes or errors without the directory.
    fn shown(&self, items: &[impl ToString]) -> Vec<String> {
        let root = format!("{}/", self.0.directory.display());
        items
            .iter()
            .map(|item| item.to_string().replace(&root, ""))
            .collect()
    }
}

/// A native service with further fields `rest`.
fn native(name: &str, address: &str, ports: &str, endpoints: &str, rest: &str) -> String {
    format!(
        "services: [{{name: {name}, address: {address}, ports: [{ports}], endpoints: [{endpoints}]{rest}}}]\n"
    )
}

/// A native service with one port and endpoints.
fn simple(name: &str, address: &str, endpoints: &[&str]) -> String {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|address| format!("{{address: {address}}}"))
        .collect();
    native(name, address, "{port: 80}", &endpoints.join(", "), "")
}

/// `address source` of the endpoints of each port.
fn endpoints(update: &Update, name: &str) -> Vec<Vec<String>> {
    let service = update
        .services
        .values()
        .find(|service| service.name.name == name)
        .unwrap();
    let one = |it: &crate::model::Endpoint| {
        format!("{} {}", it.address, it.source.as_deref().unwrap_or("-"))
    };
    service
        .ports
        .iter()
        .map(|port| port.endpoints.iter().map(one).collect())
        .collect()
}

#[test]
fn endpoints_of_all_sources_serve_with_the_settings_of_the_local_one() {
    let mut sources = Sources::new(&["west", "local", "east"]);
    let own = ", balance: random, enabled: true";
    sources.write(
        "local/a.yaml",
        &native(
            "a",
            "10.96.0.1",
            "{port: 80}",
            "{address: 10.0.0.1, weight: 7}",
            own,
        ),
    );
    sources.write(
        "east/a.yaml",
        &simple("a", "10.97.0.1", &["10.0.0.1", "10.0.1.1", "10.0.2.1"]),
    );
    sources.write(
        "west/a.yaml",
        &native(
            "a",
            "auto",
            "{port: 80}",
            "{address: 10.0.2.1}, {address: 10.0.3.1}",
            "",
        ),
    );
    let update = sources.read();
    assert_eq!(
        (update.complete, update.errors.len(), update.notes.len()),
        (true, 0, 0)
    );
    assert_eq!(
        endpoints(&update, "a"),
        [[
            "10.0.0.1 -",
            "10.0.1.1 east",
            "10.0.2.1 east",
            "10.0.3.1 west"
        ]]
    );
    let service = update.services.values().next().unwrap();
    assert_eq!(
        service.addresses.given(),
        ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(
        (
            service.traffic.balance,
            service.ports[0].endpoints[0].weight
        ),
        (Balance::Random, 7)
    );
}

#[test]
fn without_the_local_source_the_first_by_name_is_preferred() {
    let mut sources = Sources::new(&["west", "local", "east"]);
    sources.write("local/b.yaml", &simple("b", "10.96.0.9", &["10.0.9.1"]));
    sources.write("west/a.yaml", &simple("a", "10.98.0.1", &["10.0.2.1"]));
    sources.write("east/a.yaml", &simple("a", "10.97.0.1", &["10.0.1.1"]));
    let update = sources.read();
    assert_eq!(
        endpoints(&update, "a"),
        [["10.0.1.1 east", "10.0.2.1 west"]]
    );
    assert_eq!(endpoints(&update, "b"), [["10.0.9.1 -"]]);
    let file = first_file(&update);
    assert!(file.ends_with("east/a.yaml"));
    sources.0.remove("east/a.yaml");
    assert_eq!(endpoints(&sources.read(), "a"), [["10.0.2.1 west"]]);
}

#[test]
fn ports_are_matched_by_name_or_else_by_number() {
    let mut sources = Sources::new(&["local", "east", "west"]);
    let local = "{name: web, port: 80}, {name: dns, port: 53, protocol: UDP}";
    let east = "{name: web, port: 8080}, {name: dns, port: 53}, {name: admin, port: 81}";
    sources.write(
        "local/a.yaml",
        &native("a", "10.96.0.1", local, "{address: 10.0.0.1}", ""),
    );
    sources.write(
        "east/a.yaml",
        &native("a", "10.96.0.2", east, "{address: 10.0.1.1}", ""),
    );
    sources.write(
        "west/a.yaml",
        &native("a", "10.96.0.3", "{port: 80}", "{address: 10.0.2.1}", ""),
    );
    let update = sources.read();
    let expected = [
        vec!["10.0.0.1 -", "10.0.1.1 east", "10.0.2.1 west"],
        vec!["10.0.0.1 -"],
    ];
    assert_eq!(endpoints(&update, "a"), expected);
    let rest = "which counts, so its endpoints are not used";
    let expected = ["dns", "admin"].map(|port| {
        format!("east/a.yaml:1: port {port}/TCP of service default/a is no port of it in local/a.yaml:1, {rest}")
    });
    assert_eq!(sources.shown(&update.notes), expected);
}

#[test]
fn slices_belong_to_the_service_of_their_own_source() {
    let mut sources = Sources::new(&["local", "east", "west"]);
    sources.write(
        "local/a.yaml",
        &(declared(SPEC) + &slice("[{addresses: [10.0.0.1], zone: z1}]")),
    );
    sources.write("east/a.yaml", &declared(SPEC));
    sources.write("west/b.yaml", &slice("[{addresses: [10.0.2.1]}]"));
    let update = sources.read();
    assert_eq!(endpoints(&update, "a"), [["10.0.0.1 -"]]);
    let stray =
        "west/b.yaml:1: endpoints of service default/a, which is not configured, are not used";
    assert_eq!(sources.shown(&update.notes), [stray]);
    sources.write("east/b.yaml", &slice("[{addresses: [10.0.1.1], zone: z2}]"));
    let update = sources.read();
    assert_eq!(endpoints(&update, "a"), [["10.0.0.1 -", "10.0.1.1 east"]]);
}

#[test]
fn native_services_and_manifests_are_merged() {
    let mut sources = Sources::new(&["local", "east"]);
    sources.write(
        "local/a.yaml",
        &native("a", "auto", "{port: 80}", "{address: 10.0.0.1}", ""),
    );
    sources.write(
        "east/a.yaml",
        &(declared(SPEC) + &slice("[{addresses: [10.0.1.1]}]")),
    );
    let update = sources.read();
    assert_eq!(endpoints(&update, "a"), [["10.0.0.1 -", "10.0.1.1 east"]]);
    assert!(
        update
            .services
            .values()
            .all(|service| service.addresses.given().is_empty())
    );
}

#[test]
fn within_a_source_a_service_is_defined_once() {
    let mut sources = Sources::new(&["local", "east"]);
    sources.write("local/a.yaml", &simple("a", "10.96.0.1", &["10.0.0.1"]));
    sources.write("east/a.yaml", &simple("a", "10.96.0.2", &["10.0.1.1"]));
    sources.write("east/b.yaml", &simple("a", "10.96.0.3", &["10.0.1.2"]));
    let update = sources.read();
    let twice =
        "east/b.yaml:1: service default/a is defined twice: first in east/a.yaml:1, again here";
    assert_eq!(sources.shown(&update.errors), [twice]);
    assert_eq!(endpoints(&update, "a"), [["10.0.0.1 -", "10.0.1.1 east"]]);
}

#[test]
fn an_address_belongs_to_the_preferred_source() {
    let mut sources = Sources::new(&["local", "east"]);
    let both = simple("b", "10.96.0.2", &["10.0.1.1"])
        + "---\n"
        + &simple("c", "10.96.0.1", &["10.0.1.2"]);
    sources.write("east/a.yaml", &both);
    assert_eq!(names(&sources.read()), ["b", "c"]);
    sources.write("local/a.yaml", &simple("a", "10.96.0.1", &["10.0.0.1"]));
    let update = sources.read();
    let taken = "east/a.yaml:3: service default/c asks for 10.96.0.1 port 80/TCP, which belongs to service default/a (in \
                 local/a.yaml:1): give one of them another address or port";
    assert_eq!(sources.shown(&update.errors), [taken]);
    assert_eq!(
        (names(&update), update.complete),
        (vec!["a".to_owned(), "b".to_owned()], true)
    );
    // Addresses of other sources are ignored, so they conflict with nothing.
    sources.write("local/b.yaml", &simple("c", "10.96.0.3", &["10.0.0.2"]));
    let update = sources.read();
    assert_eq!((names(&update).len(), &*update.errors), (3, &[][..]));
    assert_eq!(endpoints(&update, "c"), [["10.0.0.2 -", "10.0.1.2 east"]]);
}

#[test]
fn the_preferred_source_decides_what_is_left_alone() {
    let mut sources = Sources::new(&["local", "east"]);
    let off = |name: &str| native(name, "10.96.0.1", "{port: 80}", "", ", enabled: false");
    sources.write("local/a.yaml", &off("a"));
    sources.write("east/a.yaml", &simple("a", "10.97.0.1", &["10.0.1.1"]));
    sources.write("local/b.yaml", &simple("b", "10.96.0.2", &["10.0.0.2"]));
    sources.write("east/b.yaml", &off("b"));
    let update = sources.read();
    assert_eq!(
        (names(&update), update.left_out.len()),
        (vec!["b".to_owned()], 1)
    );
    assert_eq!(update.left_out.keys().next().unwrap().name, "a");
    assert_eq!(update.notes.len(), 2);
}

#[test]
fn a_service_without_its_own_slices_is_uncertain() {
    let mut sources = Sources::new(&["local", "east"]);
    sources.write("local/a.yaml", &declared(SPEC));
    sources.write("local/b.yaml", "[");
    sources.write("east/a.yaml", &simple("a", "10.97.0.1", &["10.0.1.1"]));
    let update = sources.read();
    assert_eq!(
        (endpoints(&update, "a"), update.complete),
        (vec![vec!["10.0.1.1 east".to_owned()]], false)
    );
    assert_eq!(update.uncertain, update.services.keys().cloned().collect());
    sources.write("local/b.yaml", &slice("[{addresses: [10.0.0.1]}]"));
    assert_eq!(
        endpoints(&sources.read(), "a"),
        [["10.0.0.1 -", "10.0.1.1 east"]]
    );
}

#[test]
fn unchanged_services_of_other_sources_stay_the_same() {
    let mut sources = Sources::new(&["local", "east"]);
    sources.write("east/a.yaml", &simple("a", "10.97.0.1", &["10.0.1.1"]));
    let (before, after) = (sources.read(), sources.read());
    let service = |update: &Update| update.services.values().next().unwrap().clone();
    assert!(Arc::ptr_eq(&service(&before), &service(&after)));
}
