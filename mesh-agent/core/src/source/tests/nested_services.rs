//! Endpoints that are themselves service addresses.

use super::{
    Node, errors,
    kubernetes::{SPEC, declared, slice},
    served, wrong,
};
use crate::{
    model::{Admission, Protocol, ServiceName},
    source::{dir::ScanReader, frontend_owners::FrontendOwners},
};

/// A native service at this address with these endpoints.
fn native(name: &str, address: &str, endpoints: &[&str]) -> String {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|it| format!("{{address: {it}}}"))
        .collect();
    format!(
        "- {{name: {name}, address: {address}, ports: [{{port: 80}}], endpoints: [{}]}}\n",
        endpoints.join(", ")
    )
}

fn shown(node: &mut Node) -> (Vec<String>, Vec<String>) {
    let update = node.read();
    let directory = format!("{}/", node.directory.display());
    let errors = errors(&update, node)
        .iter()
        .map(|error| error.replace(&directory, ""))
        .collect();
    (served(&update), errors)
}

fn crossing(place: &str, endpoint: &str, services: [&str; 2], at: &str) -> String {
    format!(
        "{place}: endpoint {endpoint} of service default/{} is the address of service default/{} (in {at}), where no server \
         listens: list the servers behind it instead",
        services[0], services[1]
    )
}

#[test]
fn endpoint_that_is_a_service_address_is_an_error_that_names_both() {
    let mut node = Node::new();
    node.write(
        "a.yaml",
        &format!(
            "services:\n{}",
            native("a", "10.96.0.1", &["10.0.0.1", "10.96.0.2", "10.96.0.1"])
        ),
    );
    node.write(
        "b.yaml",
        &format!("services:\n{}", native("b", "10.96.0.2", &["10.0.0.2"])),
    );
    let (served, errors) = shown(&mut node);
    let expected = [
        crossing("a.yaml:2", "10.96.0.1:80", ["a", "a itself"], "a.yaml:2"),
        crossing("a.yaml:2", "10.96.0.2:80", ["a", "b"], "b.yaml:2"),
    ];
    assert_eq!(errors, expected);
    let good = [
        "default/a 10.96.0.1 80 80/TCP: 10.0.0.1:80 x1 ready",
        "default/b 10.96.0.2 80 80/TCP: 10.0.0.2:80 x1 ready",
    ];
    assert_eq!(served, good);
    assert_eq!(
        wrong(&node.read(), &node),
        ["a.yaml:2: service default/a: the rest of it is in force"]
    );
    node.remove("b.yaml");
    let (served, errors) = shown(&mut node);
    assert_eq!(errors, expected[..1]);
    assert_eq!(
        served,
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:80 x1 ready, 10.96.0.2:80 x1 ready"]
    );
}

#[test]
fn address_and_port_and_protocol_must_be_the_same() {
    let mut node = Node::new();
    let other_port = native("a", "10.96.0.1", &["10.96.0.2"])
        .replace("{address: 10.96.0.2}", "{address: 10.96.0.2, port: 8080}");
    let udp =
        native("c", "10.96.0.3", &["10.96.0.2"]).replace("port: 80}", "port: 80, protocol: UDP}");
    let external = native("d", "10.96.0.4", &["192.0.2.1"]);
    let b = native("b", "10.96.0.2", &[]).replace("ports:", "externalIPs: [192.0.2.1], ports:");
    node.write(
        "a.yaml",
        &format!("services:\n{other_port}{b}{udp}{external}"),
    );
    assert_eq!(shown(&mut node).1, [""; 0]);
}

#[test]
fn endpoint_of_a_slice_may_not_be_a_service_address_either() {
    let mut node = Node::new();
    let objects = declared(SPEC) + &slice("[{addresses: [10.0.0.1]}, {addresses: [10.96.0.2]}]");
    node.write("a.yaml", &objects);
    let b = native("b", "10.96.0.2", &["10.0.0.2"]).replace("port: 80}", "port: 8080}");
    node.write("b.yaml", &format!("services:\n{b}"));
    let (served, errors) = shown(&mut node);
    assert_eq!(
        errors,
        [crossing(
            "a.yaml:6",
            "10.96.0.2:8080",
            ["a", "b"],
            "b.yaml:2"
        )]
    );
    assert_eq!(
        served[0],
        "default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"
    );
}

/// Returns the error of a service that claims the address of an endpoint.
fn newcomer(place: &str, address: &str, services: [&str; 2]) -> String {
    format!(
        "{place}: service default/{} asks for {address}, where service default/{} has an endpoint, which stays: give the \
         service another address",
        services[0], services[1]
    )
}

#[test]
fn service_that_claims_the_address_of_an_endpoint_is_wrong() {
    let mut node = Node::new();
    node.write(
        "b.yaml",
        &format!(
            "services:\n{}",
            native("b", "10.96.0.2", &["10.0.0.2", "10.0.0.3"])
        ),
    );
    let good = "default/b 10.96.0.2 80 80/TCP: 10.0.0.2:80 x1 ready, 10.0.0.3:80 x1 ready";
    assert_eq!(shown(&mut node), (vec![good.to_owned()], vec![]));
    node.write(
        "a.yaml",
        &format!("services:\n{}", native("a", "10.0.0.2", &["10.0.0.9"])),
    );
    let expected = (
        vec![good.to_owned()],
        vec![newcomer("a.yaml:2", "10.0.0.2", ["a", "b"])],
    );
    assert_eq!(
        (shown(&mut node), shown(&mut node)),
        (expected.clone(), expected),
        "again and again"
    );
    let out = "a.yaml:2: service default/a: it is left out: no good version of it is known";
    assert_eq!(wrong(&node.read(), &node), [out]);
    node.replace(
        "a.yaml",
        &format!(
            "services:\n{}",
            native("a", "[10.96.0.1, 10.0.0.2]", &["10.0.0.9"])
        ),
    );
    let (served, errors) = shown(&mut node);
    assert_eq!(
        served,
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.9:80 x1 ready", good]
    );
    assert_eq!(errors, [newcomer("a.yaml:2", "10.0.0.2", ["a", "b"])]);
    assert_eq!(
        wrong(&node.read(), &node),
        ["a.yaml:2: service default/a: the rest of it is in force"]
    );
}

#[test]
fn service_that_held_its_address_before_keeps_it() {
    let mut node = Node::new();
    node.write(
        "a.yaml",
        &format!("services:\n{}", native("a", "10.0.0.2", &["10.0.0.9"])),
    );
    node.read();
    node.write(
        "b.yaml",
        &format!("services:\n{}", native("b", "10.96.0.2", &["10.0.0.2"])),
    );
    let (served, errors) = shown(&mut node);
    assert_eq!(
        errors,
        [crossing("b.yaml:2", "10.0.0.2:80", ["b", "a"], "a.yaml:2")]
    );
    assert_eq!(
        served,
        [
            "default/a 10.0.0.2 80 80/TCP: 10.0.0.9:80 x1 ready",
            "default/b 10.96.0.2 80 80/TCP:"
        ]
    );
    // Another port at its own address is no new address.
    let both = native("a", "10.0.0.2", &["10.0.0.9"])
        .replace("[{port: 80}]", "[{port: 80, name: x}, {port: 81, name: y}]");
    node.write(
        "c.yaml",
        &format!(
            "services:\n{}",
            native("c", "10.96.0.3", &["10.0.0.2, port: 81"])
        ),
    );
    assert_eq!(shown(&mut node).1.len(), 1);
    node.write("a.yaml", &format!("services:\n{both}"));
    assert!(shown(&mut node).1.contains(&crossing(
        "c.yaml:2",
        "10.0.0.2:81",
        ["c", "a"],
        "a.yaml:2"
    )));
}

#[test]
fn owners_of_an_earlier_agent_decide_which_came_first() {
    let at = |address: &str| (address.parse().unwrap(), 80, Protocol::Tcp);
    let name = |name: &str| ServiceName {
        namespace: "default".into(),
        name: name.into(),
    };
    let holders = |held: &[(&str, &str)]| {
        held.iter()
            .map(|(address, of)| (at(address), name(of)))
            .collect::<FrontendOwners>()
    };
    let told = |holders: FrontendOwners| {
        let mut node = Node::new();
        node.write(
            "a.yaml",
            &format!("services:\n{}", native("a", "10.0.0.2", &["10.0.0.9"])),
        );
        node.write(
            "b.yaml",
            &format!("services:\n{}", native("b", "10.96.0.2", &["10.0.0.2"])),
        );
        node.reader = ScanReader::new([node.directory.clone()], false).keeping(|| holders);
        shown(&mut node).1
    };
    let endpoint = [(at("10.0.0.2"), name("b"))];
    let b_was_first = holders(&[("10.96.0.2", "b")]).with_endpoints(endpoint.clone());
    assert_eq!(
        told(b_was_first),
        [newcomer("a.yaml:2", "10.0.0.2", ["a", "b"])]
    );
    let a_was_first = holders(&[("10.0.0.2", "a"), ("10.96.0.2", "b")]).with_endpoints(endpoint);
    let endpoint_is_wrong = [crossing("b.yaml:2", "10.0.0.2:80", ["b", "a"], "a.yaml:2")];
    assert_eq!(told(a_was_first), endpoint_is_wrong);
    assert_eq!(
        told(FrontendOwners::default()),
        endpoint_is_wrong,
        "both at once, and nothing is known"
    );
}

#[test]
fn endpoints_in_service_networks_are_wrong() {
    let mut node = Node::new();
    let admission = Admission {
        service_cidrs: vec!["10.96.0.0/16".parse().unwrap()],
        ..Admission::default()
    };
    node.reader = ScanReader::new([node.directory.clone()], false).admitting(admission);
    node.write(
        "b.yaml",
        &format!("services:\n{}", native("b", "10.96.0.2", &["10.96.0.7"])),
    );
    node.read();
    node.write(
        "a.yaml",
        &format!("services:\n{}", native("a", "10.96.0.7", &["10.0.0.9"])),
    );
    assert_eq!(
        shown(&mut node).1,
        [crossing("b.yaml:2", "10.96.0.7:80", ["b", "a"], "a.yaml:2")]
    );
}

#[test]
fn endpoint_of_an_unchanged_service_is_wrong_once_a_service_has_its_port() {
    let mut node = Node::new();
    let a = native("a", "10.96.0.1", &["10.0.0.1", "10.96.0.2"]);
    let b = native("b", "10.96.0.2", &["10.0.0.2"]);
    node.write("a.yaml", &format!("services:\n{a}"));
    let other_port = b.replace("port: 80", "port: 81");
    node.write("b.yaml", &format!("services:\n{other_port}"));
    assert_eq!(shown(&mut node).1, [""; 0]);
    node.write("b.yaml", &format!("services:\n{b}"));
    let crossing = crossing("a.yaml:2", "10.96.0.2:80", ["a", "b"], "b.yaml:2");
    assert_eq!(shown(&mut node).1, [&*crossing]);
    let c = native("c", "10.96.0.3", &["10.0.0.3"]);
    node.write("c.yaml", &format!("services:\n{c}"));
    assert_eq!(shown(&mut node).1, [&*crossing], "told again");
    node.remove("b.yaml");
    let (served, errors) = shown(&mut node);
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        served[0],
        "default/a 10.96.0.1 80 80/TCP: 10.0.0.1:80 x1 ready, 10.96.0.2:80 x1 ready"
    );
}

#[test]
fn new_endpoint_at_a_service_address_is_wrong_among_many_services() {
    let mut node = Node::new();
    let many = (1..100).map(|number| {
        native(
            &format!("s{number}"),
            &format!("10.96.1.{number}"),
            &[&format!("10.0.1.{number}")],
        )
    });
    node.write(
        "a.yaml",
        &format!("services:\n{}", many.collect::<String>()),
    );
    let b = |endpoint| native("b", "10.96.0.2", &["10.0.0.2", endpoint]);
    node.write("b.yaml", &format!("services:\n{}", b("10.0.0.3")));
    assert_eq!(shown(&mut node).1, [""; 0]);
    node.write("b.yaml", &format!("services:\n{}", b("10.96.1.7")));
    assert_eq!(
        shown(&mut node).1,
        [crossing(
            "b.yaml:2",
            "10.96.1.7:80",
            ["b", "s7"],
            "a.yaml:8"
        )]
    );
}
