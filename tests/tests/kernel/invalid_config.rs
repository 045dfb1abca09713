//! Invalid configuration: how it is reported, and what is in force instead.

use mesh_core::api::types::ConfigProblem;
use mesh_tests::{Node, client::protocol::counts, service};

/// Returns the place of a problem, without its reason.
fn place(problem: &ConfigProblem) -> (String, u32, String) {
    (problem.file.clone(), problem.line, problem.field.clone())
}

#[test]
fn a_wrong_service_stays_as_it_was_and_is_named_with_line_and_field() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("cart.yaml", cart.clone().endpoint(&a));
    node.wait_until_served("shop/cart", &[&a]);
    let before = node.service("shop/cart");

    let wrong = cart
        .clone()
        .endpoint(&b)
        .to_string()
        .replace("port: 80,", "port: 99999,");
    let line = 1 + wrong
        .lines()
        .position(|line| line.contains("99999"))
        .unwrap();
    node.write("cart.yaml", wrong);
    let errors = node.wait_for_errors(1);

    let file = node.file("cart.yaml").display().to_string();
    assert_eq!(
        place(&errors[0]),
        (
            file,
            line.try_into().unwrap(),
            "services[0].ports[0].port".into()
        )
    );
    assert_ne!(errors[0].reason, "");
    let status = node.status();
    assert_eq!(
        (status.ready, status.config_valid, status.wrong.len()),
        (true, false, 1)
    );
    assert_eq!(node.service("shop/cart"), before);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").times(100).answers,
        counts([("a", 100)])
    );

    node.write("cart.yaml", cart.endpoint(&b));
    node.wait_until_served("shop/cart", &[&b]);
    assert_eq!(node.wait_for_errors(0), []);
    let status = node.status();
    assert_eq!(
        (status.ready, status.config_valid, status.wrong),
        (true, true, vec![])
    );
}

#[test]
fn all_errors_of_all_files_are_reported_together() {
    let node = Node::start();
    node.write(
        "one.yaml",
        r#"services:
- name: cart
  namespace: shop
  address: "10.96.0.10"
  ports: [{port: 99999}]
  endpoints: []
- name: menu
  namespace: shop
  address: "10.96.0.300"
  ports: [{port: 80, protocol: TPC}]
  endpoints: []
"#,
    );
    node.write(
        "two.yaml",
        r#"services:
- name: orders
  namespace: shop
  address: "10.96.0.11"
  ports: [{port: 80}]
  endpoints:
  - {address: "127.0.0.1", port: 0}
"#,
    );
    let errors = node.wait_for_errors(4);
    let [one, two] = ["one.yaml", "two.yaml"].map(|file| node.file(file).display().to_string());
    let expected = [
        (one.clone(), 5, "services[0].ports[0].port".into()),
        (one.clone(), 9, "services[1].address".into()),
        (one, 10, "services[1].ports[0].protocol".into()),
        (two, 7, "services[0].endpoints[0].port".into()),
    ];
    assert_eq!(errors.iter().map(place).collect::<Vec<_>>(), expected);
}

#[test]
fn a_wrong_file_does_not_affect_the_others() {
    let node = Node::start();
    let a = node.server("a");
    node.write("wrong.yaml", "services: [");
    node.wait_for_errors(1);
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    assert_eq!(
        node.client().tcp("10.96.0.10:80").once().answers,
        counts([("a", 1)])
    );
}

#[test]
fn a_service_written_twice_names_both_places() {
    let node = Node::start();
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("one.yaml", &cart);
    node.wait_until_served("shop/cart", &[]);
    node.write("two.yaml", &cart);
    let [error] = <[_; 1]>::try_from(node.wait_for_errors(1)).unwrap();
    let [one, two] =
        ["one.yaml", "two.yaml"].map(|file| format!("{}:2", node.file(file).display()));
    let told = format!("{}:{} {}", error.file, error.line, error.reason);
    assert!(told.contains(&one) && told.contains(&two), "{told}");
}
