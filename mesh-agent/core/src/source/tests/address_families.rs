//! Services whose endpoints are all of another address family.

use super::{Node, service};
use crate::model::Update;

fn notes(update: &Update, node: &Node) -> Vec<String> {
    let directory = format!("{}/", node.directory.display());
    update
        .notes
        .iter()
        .map(|note| note.to_string().replace(&directory, ""))
        .collect()
}

#[test]
fn a_service_whose_endpoints_are_all_of_the_other_family_is_noted() {
    let [four, six] = ["10.96.0.1", "\"fd00::1\""].map(|address| service("a", address));
    let to_six = |text: &str| text.replace("10.0.0.1", "\"fd00::9\"");
    let note = |ours: &str, theirs: &str, address: &str| {
        format!(
            "x.yaml:2: service default/a has only {theirs} endpoints, which programs cannot reach at its {ours} address \
             {address}: connects there are refused; give it an {theirs} address or {ours} endpoints"
        )
    };
    let cases = [
        (four.clone(), None),
        (to_six(&four), Some(note("IPv4", "IPv6", "10.96.0.1"))),
        (six.clone(), Some(note("IPv6", "IPv4", "fd00::1"))),
        (to_six(&six), None),
        (four.replace("10.96.0.1", "[10.96.0.1, \"fd00::1\"]"), None),
        (four.replace("[{address: 10.0.0.1}]", "[]"), None),
        (
            to_six(&four).replace("{port: 80}", "{port: 80, nodePort: 30080}"),
            None,
        ),
        (
            to_six(&four).replace("endpoints", "externalIPs: [\"2001:db8::1\"], endpoints"),
            None,
        ),
        (to_six(&four).replace("10.96.0.1", "auto"), None),
        (
            to_six(&four).replace("}]}\n", "}, {address: 10.0.0.2}]}\n"),
            None,
        ),
    ];
    for (text, expected) in cases {
        let mut node = Node::new();
        node.write("x.yaml", &format!("services:\n{text}"));
        let update = node.read();
        assert_eq!(
            (notes(&update, &node), update.errors),
            (expected.into_iter().collect(), vec![]),
            "{text}"
        );
    }
}
