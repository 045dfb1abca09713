//! The JSON Schema of service files.

use std::{fs, path::Path, sync::LazyLock};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{native::shop, problems, reference::repository, traffic::native};
use crate::source::{
    document::{self, Value},
    field::Field,
    schema::{schema, text},
};

/// Returns the errors of a text by the schema.
pub(super) fn schema_errors(text: &str) -> Vec<String> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::validator_for(schema().as_value()).expect("the schema is one")
    });
    let errors = |file: &Json| {
        let errors = VALIDATOR.iter_errors(file);
        errors
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect::<Vec<_>>()
    };
    native_documents(text).iter().flat_map(errors).collect()
}

/// Returns the documents of a text that have services in the native form.
fn native_documents(text: &str) -> Vec<Json> {
    let (documents, _) = document::parse(text);
    let all = documents.iter().map(|document| json(Field::root(document)));
    all.filter(|document| document.get("services").is_some())
        .collect()
}

fn json(field: Field<'_>) -> Json {
    match field.value() {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(text) => serde_json::from_str(text).unwrap_or(text.as_ref().into()),
        Value::Text(text) => text.as_ref().into(),
        Value::List => field.children().map(json).collect(),
        Value::Map => {
            let members = field.children();
            members
                .map(|it| (it.name().unwrap().to_owned(), json(it)))
                .collect()
        }
    }
}

/// Returns the texts of all files in a folder and the folders below it.
fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let texts = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path)
        } else {
            fs::read_to_string(&path).into_iter().collect()
        }
    });
    texts.collect()
}

/// Returns the YAML examples of a document.
fn examples(document: &str) -> Vec<String> {
    let blocks = document.split("```yaml\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_example_is_valid_by_the_schema() {
    let pages = [
        texts(&repository().join("docs")),
        vec![fs::read_to_string(repository().join("README.md")).unwrap()],
    ];
    let pages = pages.iter().flatten().flat_map(|page| examples(page));
    let files = ["deploy/example", "tests/golden"].map(|folder| texts(&repository().join(folder)));
    let all = files.into_iter().flatten().chain(pages);
    let mut found = 0;
    for text in all.chain([shop().to_owned(), native(super::traffic::NATIVE)]) {
        found += native_documents(&text).len();
        assert_eq!(schema_errors(&text), [""; 0], "{text}");
    }
    assert!(found >= 20, "found only {found} examples");
}

#[test]
fn structural_errors_are_errors_by_the_schema() {
    let fields = [
        "colour: red",
        "enabled: 'yes'",
        "internalTrafficPolicy: Near",
        "affinity: {client: pod}",
        "affinity: {timeoutSeconds: 0}",
        "balance: fair",
        "balance: {policy: fair}",
        "balance: {weight: 1}",
        "outlier: off",
        "outlier: {failures: 1}",
        "outlier: {consecutiveFailures: 256}",
        "outlier: {baseEjection: 10}",
        "outlier: {baseEjection: '10'}",
        "limits: {maxConnections: 0}",
        "limits: {maxConnections: 1.5}",
        "limits: {maxConnectionsPerClientPercent: 5}",
        "locality: {order: zone}",
        "locality: {order: [house]}",
        "locality: {order: [zone, zone]}",
        "locality: {spillFactor: 1}",
        "slowStart: {alpha: 0}",
        "drain: {beta: 1}",
        "health: {}",
        "health: {tcp: {}, grpc: {}}",
        "health: {tcp: {port: 80}}",
        "health: {http: {path: up}}",
        "health: {http: {status: 199}}",
        "health: {http: {expectHeader: {a: b, c: d}}}",
        "endpoints: 10.0.0.1",
        "endpoints: [{port: 80}]",
        "endpoints: [{address: ten}]",
        "endpoints: [{address: 10.0.0.1, weight: -1}]",
        "endpoints: [{address: 10.0.0.1, ports: {http: 0}}]",
        "endpoints: [{address: 10.0.0.1, state: up}]",
    ];
    let services = [
        "{address: auto, ports: [{port: 1}]}",
        "{name: a, ports: [{port: 1}]}",
        "{name: a, address: auto}",
        "{name: A, address: auto, ports: [{port: 1}]}",
        "{name: a, address: [], ports: [{port: 1}]}",
        "{name: a, address: auto, ports: []}",
        "{name: a, address: auto, ports: [{port: 0}]}",
        "{name: a, address: auto, ports: [{port: 1, name: a}, {port: 2}]}",
        "{name: a, address: auto, ports: [{port: 1, protocol: tcp}]}",
        "{name: a, address: auto, ports: [{port: 1, targetPort: [1]}]}",
        "7",
    ];
    let fields = fields.map(|field| native(&format!("  {field}\n")));
    let services = services.map(|service| format!("services: [{service}]\n"));
    for text in fields.iter().chain(&services) {
        assert_ne!(schema_errors(text), [""; 0], "{text}");
        assert_ne!(problems(text), [""; 0], "{text}");
    }
}

/// Returns the sub-schemas about which an editor has no message of use: patterns and formats.
fn without_message(schema: &Json) -> Vec<&Json> {
    let of_text = ["pattern", "format"]
        .iter()
        .any(|it| schema[it].is_string());
    let own = (of_text && !schema["errorMessage"].is_string()).then_some(schema);
    let inner: Vec<&Json> = match schema {
        Json::Object(members) => {
            let tested = members.iter().filter(|(name, _)| *name != "if");
            tested.map(|(_, it)| it).collect()
        }
        Json::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let inner = inner.into_iter().flat_map(without_message);
    own.into_iter().chain(inner).collect()
}

#[test]
fn every_pattern_has_a_message_in_words() {
    let schema = schema();
    assert_eq!(without_message(schema.as_value()), [&Json::Null; 0]);
}

#[test]
fn descriptions_for_editors_tell_default_and_range() {
    let file: Json = serde_json::from_str(&text()).unwrap();
    let description = |field: &str| file.pointer(field).unwrap()["description"].clone();
    assert_eq!(
        description("/definitions/Health/properties/interval"),
        "Time from one check to the next.\n\nDefault: 5s. Range: 100ms–24h."
    );
    assert_eq!(
        description("/definitions/Port/properties/port"),
        "Port of the service.\n\nRequired. Range: 1–65535."
    );
}

/// A field with a duration, and the unit's share of whole numbers around its bounds.
fn durations() -> impl Strategy<Value = String> {
    let fields = prop::sample::select(vec![
        "slowStart: {tick: TIME}",
        "drain: {tick: TIME}",
        "outlier: {connectTimeout: TIME}",
        "outlier: {baseEjection: TIME, maxEjection: 24h}",
        "outlier: {baseEjection: 100ms, maxEjection: TIME}",
        "health: {tcp: {}, interval: TIME}",
        "health: {tcp: {}, interval: 24h, timeout: TIME}",
    ]);
    let bounds = [
        0_u64, 1, 24, 60, 100, 1_000, 1_440, 60_000, 86_400, 86_400_000,
    ];
    let near = (prop::sample::select(bounds.to_vec()), 0_u64..3)
        .prop_map(|(it, by)| (it + by).saturating_sub(1));
    let number = prop_oneof![near, 0_u64..200_000_000];
    let unit = prop::sample::select(vec!["ms", "s", "m", "h"]);
    (fields, number, unit)
        .prop_map(|(field, number, unit)| field.replace("TIME", &format!("{number}{unit}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn schema_and_reader_agree_on_the_bounds_of_durations(field in durations()) {
        let text = native(&format!("  {field}\n"));
        prop_assert_eq!(schema_errors(&text).is_empty(), problems(&text).is_empty(), "{}", field);
    }

    #[test]
    fn what_the_schema_refuses_across_fields_the_reader_refuses(
        limits in prop::sample::subsequence(
            vec!["maxConnections: 9", "maxConnectionsPerEndpoint: 9", "maxConnectionsPerClientPercent: 9"], 0..=3),
        order in prop::collection::vec(prop::sample::select(vec!["cloud", "region", "zone", "node"]), 1..5),
        ports in prop::collection::vec(any::<bool>(), 1..4),
    ) {
        let port = |(number, named): (usize, &bool)| if *named {
            format!("{{port: {}, name: p{number}}}", number + 1)
        } else {
            format!("{{port: {}}}", number + 1)
        };
        let ports: Vec<String> = ports.iter().enumerate().map(port).collect();
        let text = format!(
            "services:\n- {{name: a, address: auto, ports: [{}], limits: {{{}}}, locality: {{order: [{}]}}}}\n",
            ports.join(", "), limits.join(", "), order.join(", ")
        );
        prop_assert_eq!(schema_errors(&text).is_empty(), problems(&text).is_empty(), "{}", text);
    }
}

#[test]
fn schema_in_docs_is_current() {
    super::reference::check("docs/service.schema.json", |_| text());
}
