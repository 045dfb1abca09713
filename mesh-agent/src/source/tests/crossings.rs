//! Endpoints that are themselves service addresses.

use super::{
    Node, errors,
    kubernetes::{SPEC, declared, slice},
    served, wrong,
};

/// A native service at this address with these endpoints.
fn native(name: &str, address: &str, endpoints: &[&str]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|it| format!("{{address: {it}}}")).collect();
    format!("- {{name: {name}, address: {address}, ports: [{{port: 80}}], endpoints: [{}]}}\n", endpoints.join(", "))
}

fn shown(node: &mut Node) -> (Vec<String>, Vec<String>) {
    let update = node.read();
    let directory = format!("{}/", node.directory.path().display());
    let errors = errors(&update, node).iter().map(|error| error.replace(&directory, "")).collect();
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
    node.write("a.yaml", &format!("services:\n{}", native("a", "10.96.0.1", &["10.0.0.1", "10.96.0.2", "10.96.0.1"])));
    node.write("b.yaml", &format!("services:\n{}", native("b", "10.96.0.2", &["10.0.0.2"])));
    let (served, errors) = shown(&mut node);
    let expected = [
        crossing("a.yaml:2", "10.96.0.1:80", ["a", "a itself"], "a.yaml:2"),
        crossing("a.yaml:2", "10.96.0.2:80", ["a", "b"], "b.yaml:2"),
    ];
    assert_eq!(errors, expected);
    let good =
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:80 x1 ready", "default/b 10.96.0.2 80 80/TCP: 10.0.0.2:80 x1 ready"];
    assert_eq!(served, good);
    assert_eq!(wrong(&node.read(), &node), ["a.yaml:2: service default/a: the rest of it is in force"]);
    node.remove("b.yaml");
    let (served, errors) = shown(&mut node);
    assert_eq!(errors, expected[..1]);
    assert_eq!(served, ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:80 x1 ready, 10.96.0.2:80 x1 ready"]);
}

#[test]
fn address_and_port_and_protocol_must_be_the_same() {
    let mut node = Node::new();
    let other_port =
        native("a", "10.96.0.1", &["10.96.0.2"]).replace("{address: 10.96.0.2}", "{address: 10.96.0.2, port: 8080}");
    let udp = native("c", "10.96.0.3", &["10.96.0.2"]).replace("port: 80}", "port: 80, protocol: UDP}");
    let external = native("d", "10.96.0.4", &["192.0.2.1"]);
    let b = native("b", "10.96.0.2", &[]).replace("ports:", "externalIPs: [192.0.2.1], ports:");
    node.write("a.yaml", &format!("services:\n{other_port}{b}{udp}{external}"));
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
    assert_eq!(errors, [crossing("a.yaml:1", "10.96.0.2:8080", ["a", "b"], "b.yaml:2")]);
    assert_eq!(served[0], "default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready");
}
