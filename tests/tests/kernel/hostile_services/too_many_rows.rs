//! Attacks by the author of a service: claims of too many rows.

use std::fmt::Write as _;

use super::*;

/// A native service with one endpoint that has a server, and this number without.
fn large(name: &str, address: &str, endpoints: u32, server: &Server) -> String {
    let (namespace, name) = name.split_once('/').expect("a namespace and a name");
    let mut text = format!(
        "services:\n- name: {name}\n  namespace: {namespace}\n  address: {address}\n  endpoints:\n"
    );
    let at = server.address();
    writeln!(text, "  - {{address: {}, port: {}}}", at.ip(), at.port())
        .expect("a string takes all");
    for number in 1..endpoints {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(text, "  - {{address: 10.{a}.{b}.{c}, port: 80}}").expect("a string takes all");
    }
    text + "  ports: [{port: 80}]\n"
}

#[test]
fn a_service_with_too_many_endpoints_excludes_no_other() {
    let mut node = Node::setup().flags("--max-backends 4000").start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.wait_until_served("shop/cart", &[&a]);
    // More endpoints than the map has rows.
    node.write("large.yaml", large("rude/large", "10.96.0.66", 5_000, &b));
    wait::until("the error", PATIENCE, || !node.status().errors.is_empty());
    let status = node.status();
    assert_eq!(wrong(&status), [pair("service rude/large", "part")]);
    let said = "1000 of 5000 endpoints of service rude/large are served: one service may have 1000";
    assert!(
        status.errors[0].reason.starts_with(said),
        "{:?}",
        status.errors
    );
    assert!(status.ready, "{:?}", status.problems);

    // Two services of a greedy namespace fit into its quota.
    for (number, file) in ["large2.yaml", "large3.yaml"].into_iter().enumerate() {
        let name = format!("rude/large{}", number + 2);
        node.write(
            file,
            large(&name, &format!("10.96.0.6{}", number + 7), 999, &b),
        );
        wait::until(&name, PATIENCE, || node.find_service(&name).is_some());
    }
    wait::until(
        "the service that does not fit to be reported",
        PATIENCE,
        || wrong(&node.status()).len() == 2,
    );
    assert_eq!(
        wrong(&node.status()),
        [
            pair("service rude/large", "part"),
            pair("service rude/large3", "nothing")
        ]
    );
    // Changes, new services and removals of others apply, also after a restart of the agent.
    for round in 0..2 {
        let server = [&b, &a][round];
        node.write(
            "cart.yaml",
            service("shop/cart")
                .address("10.96.0.10")
                .tcp(80)
                .endpoint(server),
        );
        node.write(
            "pay.yaml",
            service("bank/pay")
                .address("10.96.0.11")
                .tcp(80)
                .endpoint(server),
        );
        node.wait_until_served("shop/cart", &[server]);
        node.wait_until_served("bank/pay", &[server]);
        let mut client = node.client();
        for front in ["10.96.0.10:80", "10.96.0.11:80"] {
            let answers = client.tcp(front).times(CONNECTS).answers;
            assert_eq!(
                answers,
                counts([(["b", "a"][round], u64::from(CONNECTS))]),
                "{front}"
            );
        }
        assert_eq!(
            client.tcp("10.96.0.68:80").once().errors,
            counts([(UNTOUCHED, 1)]),
            "large3 is left out"
        );
        node.remove("pay.yaml");
        node.wait_until_gone("bank/pay");
        node.kill_agent();
        node.start_agent();
    }
    // The last one fits when another one is removed.
    node.remove("large2.yaml");
    wait::until("the last service to fit", PATIENCE, || {
        wrong(&node.status()).len() == 1
    });
    assert_eq!(wrong(&node.status()), [pair("service rude/large", "part")]);
}
