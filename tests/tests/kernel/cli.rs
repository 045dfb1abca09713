//! `meshctl` against a running agent.

use std::process::Command;

use mesh_common::counter::Counter;
use mesh_core::api::types;
use mesh_tests::{
    Node, binary::find, command_result::CommandResult, manifest::document, node::PATIENCE, service,
    wait,
};
use serde::de::DeserializeOwned;

/// Runs a command with JSON output, which must succeed.
fn ask<T: DeserializeOwned>(node: &Node, line: &str) -> T {
    let outcome = node.meshctl(&format!("-o json {line}")).expect_success();
    serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{line}: {outcome:#?}: {error}"))
}

#[test]
fn meshctl_shows_what_the_agent_knows() {
    let node = Node::start();
    let _server = node.serve_cart();
    node.client().tcp("10.96.0.10:80").times(7);

    let cart = node.service("shop/cart");
    assert_eq!(cart.ports[0].counters[Counter::Connects], 7);
    assert_eq!(ask::<types::Service>(&node, "service get shop/cart"), cart);
    assert_eq!(ask::<Vec<types::Service>>(&node, "service list"), [cart]);
    let status: types::Status = ask(&node, "status");
    assert_eq!((status.ready, status.hooks), (true, node.status().hooks));
    for line in ["backend list", "stats"] {
        ask::<serde_json::Value>(&node, line);
    }
}

#[test]
fn a_starting_agent_does_not_report_unloaded_services_as_missing() {
    let mut node = Node::start();
    let a = node.server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    let many = (0..5000).map(|number| {
        let address = format!("10.97.{}.{}", number / 250, number % 250 + 1);
        service(&format!("many/s{number}"))
            .address(&address)
            .tcp(80)
            .endpoint(&a)
    });
    node.write("many.yaml", document(&many.collect::<Vec<_>>()));
    node.wait_until_served_within("many/s4999", &[&a], PATIENCE);
    node.stop_agent();
    node.launch_agent();
    let mut codes = Vec::new();
    wait::until("an answer", PATIENCE, || {
        let code = node
            .try_get("/v1/services/shop/cart")
            .map(|answer| answer.code);
        codes.extend(code.as_ref().ok().copied());
        code.is_ok_and(|code| code == 200)
    });
    assert!(
        codes.iter().all(|code| [200, 503].contains(code)),
        "{codes:?}"
    );
    node.stop_agent();
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || {
        node.try_get("/v1/status").is_ok()
    });
    node.meshctl("service get shop/cart").expect_success();
}

#[test]
fn explain_shows_the_endpoint_of_session_affinity() {
    let node = Node::start();
    let servers = ["a", "b", "c"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("affinity: {}");
    node.write("cart.yaml", cart.endpoints(&servers));
    node.wait_until_served("shop/cart", &servers.each_ref());
    let answers = node.client().tcp("10.96.0.10:80").times(5).answers;
    let bound = servers
        .iter()
        .find(|server| answers.get(server.name()) == Some(&5))
        .expect("one answers all");
    // The agent and the client are in the node's namespace.
    let line = "explain 10.96.0.10:80 --from netns:/proc/self/ns/net";
    let explained: types::Explanation = ask(&node, line);
    let address = bound.address().to_string();
    let went: Vec<_> = explained
        .outcomes
        .iter()
        .map(|it| it.endpoint.clone())
        .collect();
    assert_eq!(went, [Some(address.clone())]);
    assert!(
        explained.notes[0].starts_with(&format!("session affinity binds this client to {address}")),
        "{explained:?}"
    );
    let refused = node.meshctl("explain 10.96.0.10:80 --from netns:/no/such/namespace");
    assert!(
        refused.stderr.contains("No such file or directory"),
        "{refused:?}"
    );
}

#[test]
fn meshctl_ends_with_one_for_no_and_two_for_misuse() {
    let mut node = Node::start();
    assert_eq!(node.meshctl("service get shop/none").code, Some(1));
    assert_eq!(node.meshctl("service got").code, Some(2));
    node.write("wrong.yaml", "services: [");
    node.wait_for_errors(1);
    assert_eq!(node.meshctl("status").code, Some(1));
    node.stop_agent();
    assert_eq!(node.meshctl("status").code, Some(1));
}

#[test]
fn a_healthy_agent_is_shown_on_24_lines() {
    let node = Node::start();
    let page = node.meshctl("status").expect_success().stdout;
    assert!(page.starts_with("Ready:      yes\nAgent: "), "{page}");
    assert!(page.lines().count() < 24, "{page}");
    assert!(
        page.contains("\nHooks:      10 attached\n") && !page.contains("getpeername4"),
        "{page}"
    );
    let verbose = node.meshctl("status -v").expect_success().stdout;
    assert!(verbose.contains("\n  getpeername4 "), "{verbose}");
}

#[test]
fn after_a_stop_meshctl_says_that_programs_and_services_stay() {
    let mut node = Node::start();
    node.stop_agent();
    let socket = node.directories().socket.display().to_string();
    let stopped = node.meshctl("status").stderr;
    let expected =
        format!("meshctl: no agent answers on {socket}; programs and services stay in the kernel");
    assert!(stopped.starts_with(&expected), "{stopped}");
    assert!(
        node.log()
            .contains("stopped; programs and services stay in the kernel"),
        "{}",
        node.log()
    );
    node.uninstall().expect_success();
    let gone = node.meshctl("status").stderr;
    assert!(
        gone.starts_with(&format!(
            "meshctl: no agent answers on {socket}: is it running?"
        )),
        "{gone}"
    );
}

#[test]
fn the_log_names_each_change_and_its_cause() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = || {
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .with("outlier: {baseEjection: 100ms, maxEjection: 200ms}")
    };
    let logs = |what: &str, by: &str| {
        let is_told = |line: &str| line.contains(what) && line.contains(by);
        wait::until(&format!("a log line of {what} by {by}"), PATIENCE, || {
            node.log().lines().any(is_told)
        });
    };
    node.write("cart.yaml", cart().endpoint(&a));
    logs(
        "service: added, 1 endpoint service=shop/cart",
        "/cart.yaml:2",
    );
    node.write("cart.yaml", cart().endpoints([&a, &b]));
    node.wait_until_served("shop/cart", &[&a, &b]);
    logs(
        &format!("service: endpoint {} added service=shop/cart", b.address()),
        "/cart.yaml:2",
    );
    node.meshctl(&format!("backend drain shop/cart {}", a.address()))
        .expect_success();
    logs(
        &format!(
            "endpoint: draining service=shop/cart endpoint={}",
            a.address()
        ),
        "by=\"meshctl backend drain\"",
    );
    node.meshctl(&format!("backend undrain shop/cart {}", a.address()))
        .expect_success();
    logs("endpoint: not draining", "by=\"meshctl backend undrain\"");
    node.write("wrong.yaml", "services: [");
    logs("ERROR", "/wrong.yaml:");
    node.remove("wrong.yaml");
    logs("solved: ", "/wrong.yaml:");

    let (at, mut client) = (b.address(), node.client());
    drop(b);
    let ejected = format!("service=shop/cart port=tcp-80/TCP endpoint={at}");
    wait::until("an ejection in the log", PATIENCE, || {
        client.tcp("10.96.0.10:80").times(20);
        node.log()
            .lines()
            .any(|line| line.contains("endpoint: ejected for") && line.contains(&ejected))
    });
    let _b = node.server_again("b", at);
    wait::until("the end of the ejection in the log", PATIENCE, || {
        client.tcp("10.96.0.10:80").times(20);
        node.log()
            .lines()
            .any(|line| line.contains("endpoint: no longer ejected") && line.contains(&ejected))
    });
    node.remove("cart.yaml");
    node.write("none.yaml", "services: []\n");
    logs("service: removed service=shop/cart", "/cart.yaml");
}

#[test]
fn a_debug_log_shows_decisions_and_no_loader_details() {
    let node = Node::setup().flags("--log debug").start();
    let a = node.serve_cart();
    let log = node.log();
    assert!(
        log.contains("kernel: service 10.96.0.10:80/TCP id "),
        "{log}"
    );
    assert!(log.contains(&format!(" {} service ", a.address())), "{log}");
    assert!(!log.contains("relocat") && !log.contains("BTF"), "{log}");
}

#[test]
fn every_wrong_flag_is_named_before_anything_is_done() {
    let node = Node::setup().prepare();
    let mut words = node.directories().run();
    words.extend(["--max-services=0", "--metrics=9090"].map(Into::into));
    let outcome = CommandResult::of(node.mesh_agent(words).env("MESH_LOG", "verbose"), PATIENCE);
    let expected = "mesh-agent: --log (or MESH_LOG): expected error, warn, info, debug, trace or off, or directives like \
                    warn,mesh_agent::owner=debug, found `verbose`\n\
                    mesh-agent: --metrics (or MESH_METRICS): expected an address and a port, like 127.0.0.1:9090, or like \
                    unix:/run/mesh-agent/metrics.sock, found `9090`\n\
                    mesh-agent: --max-services (or MESH_MAX_SERVICES): expected a whole number from 1 to 8388608, found `0`\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(2), expected));
}

#[test]
fn standard_input_is_validated() {
    let node = Node::setup().prepare();
    node.write(
        "cart.yaml",
        "services:\n- {name: cart, address: 10.96.0.1, ports: [{port: \"80\"}]}\n",
    );
    let line = format!(
        "{} config validate - < {}",
        find("meshctl").display(),
        node.file("cart.yaml").display()
    );
    let outcome = CommandResult::of(Command::new("sh").args(["-c", &line]), PATIENCE);
    let expected = "-:2: services[0].ports[0].port: expected a port from 1 to 65535, found the text `\"80\"`\n";
    assert!(
        outcome.code == Some(1) && outcome.stdout.starts_with(expected),
        "{outcome:#?}"
    );
}

#[test]
fn empty_standard_input_is_an_error() {
    let line = format!("{} config validate - </dev/null", find("meshctl").display());
    let outcome = CommandResult::of(Command::new("sh").args(["-c", &line]), PATIENCE);
    assert!(
        outcome.code == Some(1) && outcome.stdout.starts_with("-:1: empty: "),
        "{outcome:#?}"
    );
}
