//! Kernels that lack a feature: what is loaded instead, and what `status` shows. A variable lets
//! the agent treat a feature as missing.

use std::process::Command;

use mesh_core::api::types::{Diagnosis, Severity};
use mesh_tests::{
    Node,
    client::protocol::counts,
    command_result::CommandResult,
    node::{PATIENCE, SETTLE},
    service, wait,
};

const MISSING: &str = "MESH_TEST_MISSING_FEATURES";

/// Starts an agent on a kernel that lacks a feature. Where the running kernel has it, the agent
/// treats it as missing.
fn start_without(feature: &str) -> Node {
    let node = Node::start();
    if !node.status().kernel_features.is_empty() {
        return node;
    }
    drop(node);
    Node::setup()
        .wrapped(&format!("env {MISSING}={feature}"))
        .start()
}

#[test]
fn without_bpf_set_retval_refusals_are_eperm_and_status_and_doctor_say_so() {
    let node = start_without("bpf_set_retval");
    let a = node.server("a");
    let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
    let mut client = node.client();

    node.write("cart.yaml", &cart);
    node.wait_until_served("shop/cart", &[]);
    assert_eq!(
        [
            client.tcp("10.96.0.10:80").once().errors,
            client.udp("10.96.0.10:53").once().errors
        ],
        [
            counts([("connect EPERM", 1)]),
            counts([("connect EPERM", 1)])
        ]
    );
    node.write("cart.yaml", cart.endpoint(&a));
    wait::until_equal("a to serve", SETTLE, &counts([("a", 1)]), || {
        client.tcp("10.96.0.10:80").once().answers
    });

    let line = "the kernel lacks bpf_set_retval (Linux 5.18): a service without a usable endpoint fails with EPERM instead \
                of ECONNREFUSED";
    let status = node.status();
    assert_eq!(
        (status.ready, status.kernel_features),
        (true, vec![line.to_owned()])
    );
    let page = node.meshctl("status").expect_success().stdout;
    assert!(
        page.contains("\nKernel features:\n  the kernel lacks bpf_set_retval"),
        "{page}"
    );
    assert!(node.log().contains(line), "{}", node.log());
    let diagnosis = node.meshctl("doctor -o json").stdout;
    let diagnosis: Diagnosis =
        serde_json::from_str(&diagnosis).unwrap_or_else(|error| panic!("{error}: {diagnosis}"));
    let features: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.id == "kernelFeatures")
        .map(|finding| (finding.severity, finding.what.as_str()))
        .collect();
    assert_eq!(features, [(Severity::Warning, line)], "{diagnosis:#?}");
}

#[test]
fn a_kernel_that_is_too_old_is_named_in_one_sentence_with_the_one_that_is_needed() {
    let node = Node::setup().prepare();
    let mut command: Command = node.mesh_agent(node.directories().run());
    let name = "BPF atomic operations that return a value";
    let outcome = CommandResult::of(command.env(MISSING, name), PATIENCE);
    println!("{}", outcome.stderr);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    let words = [
        " lacks what the programs need: ",
        "BPF atomic operations that return a value (5.12)",
        "; run Linux 5.1",
    ];
    assert!(
        words.iter().all(|word| outcome.stderr.contains(word)),
        "{outcome:#?}"
    );
    assert!(!outcome.stderr.contains("processed "), "{outcome:#?}");
}
