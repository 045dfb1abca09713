//! Files that are truncated at any byte.

use std::{collections::BTreeSet, path::PathBuf};

use mesh_tests::{Node, Server, client::protocol::counts, node::SETTLE, service, wait};

/// Writes every prefix of `whole` to `file`, and lets the agent read each.
fn truncate_at_every_byte(file: &str, whole: impl Fn(&Server) -> String) {
    let node = Node::start();
    let a = node.server("a");
    let whole = whole(&a);
    node.overwrite(file, &whole);
    node.wait_until_served("shop/cart", &[&a]);
    let before = node.service("shop/cart").ports[0].endpoints.len();
    let mut client = node.client();
    let connecting = client.tcp("10.96.0.10:80").again_and_again();

    // The last byte is a newline, which may be missing.
    for length in 0..whole.trim_end().len() {
        node.overwrite(file, &whole[..length]);
        let step = format!("probe/step-{length}");
        node.write("0-step.yaml", service(&step).address("10.96.0.99").tcp(80));
        wait::until(&format!("the agent to read {length} bytes"), SETTLE, || {
            node.find_service(&step).is_some()
        });
        wait::until_equal(
            "the file at fault",
            SETTLE,
            &[node.file(file)].into(),
            || files_at_fault(&node),
        );
        let cart = node.find_service("shop/cart");
        assert_eq!(
            cart.map(|cart| cart.ports[0].endpoints.len()),
            Some(before),
            "after {length} bytes"
        );
    }

    let report = connecting.stop();
    assert_eq!(report.errors, counts([]));
    assert_eq!(report.answers, counts([("a", report.total_answers())]));
    assert!(report.total_answers() > 0);
    node.overwrite(file, &whole);
    assert_eq!(node.wait_for_errors(0), []);
}

fn files_at_fault(node: &Node) -> BTreeSet<PathBuf> {
    node.status()
        .errors
        .into_iter()
        .map(|error| error.file.into())
        .collect()
}

#[test]
fn a_yaml_file_truncated_at_any_byte_removes_nothing() {
    truncate_at_every_byte("cart.yaml", |a| {
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(a)
            .to_string()
    });
}

#[test]
fn a_json_file_truncated_at_any_byte_removes_nothing() {
    truncate_at_every_byte("cart.json", |a| {
        serde_json::json!({"services": [{
            "name": "cart",
            "namespace": "shop",
            "address": "10.96.0.10",
            "ports": [{"port": 80}],
            "endpoints": [{"address": a.address().ip(), "port": a.address().port()}],
        }]})
        .to_string()
    });
}
