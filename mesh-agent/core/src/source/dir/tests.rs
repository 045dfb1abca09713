//! Merging only the services of changed files gives the same result as merging everything.

use proptest::prelude::*;

use super::{super::tests::Node, *};

/// Returns a document about service `number`; `how` varies the rest of its text.
fn document(what: u8, number: u8, how: u8) -> String {
    let metadata = format!("metadata: {{name: s{number}, namespace: default}}");
    match what {
        0 => format!(
            "services:\n- {{name: s{number}, address: 10.96.0.{number}, ports: [{{port: 80}}], \
             endpoints: [{{address: 10.0.0.{how}}}]}}\n"
        ),
        1 => format!(
            "services:\n- {{name: s{number}, address: 10.96.0.{number}, enabled: false, ports: [{{port: 80}}], \
             endpoints: []}}\n"
        ),
        2 => format!(
            "apiVersion: v1\nkind: Service\n{metadata}\nspec: {{clusterIP: 10.96.1.{number}, ports: [{{port: {}}}]}}\n",
            80 + how % 2
        ),
        3 => format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
             metadata: {{name: s{number}-{how}, namespace: default, labels: {{kubernetes.io/service-name: s{number}}}}}\n\
             ports: [{{port: 8080, protocol: TCP}}]\nendpoints: [{{addresses: [10.0.1.{how}]}}]\n"
        ),
        4 => format!(
            "apiVersion: v1\nkind: Service\n{metadata}\nspec: {{type: ExternalName, externalName: example.org}}\n"
        ),
        _ => "services: [{}]\n".to_owned(),
    }
}

/// A file and its new documents; nothing if it is removed.
type Edit = (u8, Option<Vec<(u8, u8, u8)>>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // Mostly valid, and seldom in conflict with another file.
    let what = prop_oneof![8 => 0_u8..5, 1 => Just(5)];
    let documents = prop::collection::vec((what, 1_u8..9, 1_u8..5), 0..4);
    prop::collection::vec((0_u8..4, prop::option::weighted(0.8, documents)), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn merging_what_changed_is_merging_everything(edits in edits()) {
        let mut node = Node::new();
        let reader = || ScanReader::new([node.directory.clone()], true);
        let mut other = reader();
        node.reader = reader();
        for (file, documents) in edits {
            let name = format!("{file}.yaml");
            let text = |documents: Vec<(u8, u8, u8)>| {
                documents.into_iter().map(|(what, number, how)| document(what, number, how) + "---\n").collect::<String>()
            };
            match documents.map(text) {
                Some(text) => node.write(&name, &text),
                None => _ = node.remove_if_any(&name),
            }
            other.joined = None;
            let now = Instant::now();
            prop_assert_eq!(node.read_at(now), other.read(node.scan(), now));
        }
    }
}
