//! Documents as trees: lines and paths of nodes, and what is no document.

use super::{parse, problems};
use crate::source::{
    document::{self, Document, Step, Value},
    file::{File, Identity},
};

/// Formats every node as `line path = value`.
fn dump(document: &Document<'_>) -> Vec<String> {
    let show = |id: usize| {
        let node = &document.nodes[id];
        let value = match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) => format!("number {text}"),
            Value::Text(text) => format!("{text:?}"),
            Value::List => "list".to_owned(),
            Value::Map => "map".to_owned(),
        };
        format!(
            "{} {} = {value}",
            node.line,
            document.path(u32::try_from(id).unwrap())
        )
    };
    (0..document.nodes.len()).map(show).collect()
}

fn documents(text: &str) -> Vec<Vec<String>> {
    let (documents, problems) = document::parse(text);
    assert_eq!(problems, []);
    documents.iter().map(dump).collect()
}

#[test]
fn every_node_knows_its_line_and_path() {
    let text = "a:\n  - x: 1\n    y: \"1\"\n  - ~\nb: {c: true, d: 10.0.0.1}\n---\nnext\n";
    let first = [
        "1  = map",
        "1 a = list",
        "2 a[0] = map",
        "2 a[0].x = number 1",
        "3 a[0].y = \"1\"",
        "4 a[1] = null",
        "5 b = map",
        "5 b.c = true",
        "5 b.d = \"10.0.0.1\"",
    ];
    assert_eq!(documents(text), [&first[..], &["7  = \"next\""]]);
}

#[test]
fn json_is_read_with_tabs_and_escapes() {
    let text = "{\n\t\"a\": [\n\t\t1,\n\t\t\"b\\/\\u00e9\"\n\t]\n}\n";
    assert_eq!(
        documents(text),
        [[
            "1  = map",
            "2 a = list",
            "3 a[0] = number 1",
            "4 a[1] = \"b/é\""
        ]]
    );
}

#[test]
fn byte_order_mark_and_windows_line_ends_are_accepted() {
    assert_eq!(
        documents("\u{feff}a: 1\r\nb: x\r\n"),
        [["1  = map", "1 a = number 1", "2 b = \"x\""]]
    );
}

#[test]
fn alias_repeats_its_anchor() {
    let text = "a: &one\n  x: [1]\nb: *one\n";
    let all = [
        "1  = map",
        "1 a = map",
        "2 a.x = list",
        "2 a.x[0] = number 1",
        "3 b = map",
        "2 b.x = list",
    ];
    assert_eq!(documents(text)[0][..6], all);
    assert_eq!(documents(text)[0][6..], ["2 b.x[0] = number 1"]);
}

#[test]
fn alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "));
    }
    assert_eq!(
        problems(&text),
        ["a.yaml:6: aliases stand for more than 100000 values"]
    );
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| format!("services: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(document::parse(&deep(63)).1, []);
    assert_eq!(
        problems(&deep(64)),
        ["a.yaml:1: nested more than 64 levels deep"]
    );
    assert_eq!(problems(&deep(200_000)).len(), 1);
}

#[test]
fn names_given_twice_are_reported() {
    let text = "services:\n- name: a\n  name: b\n  address: auto\n  ports: [{port: 80}]\n  address: auto\n";
    let expected = [
        "a.yaml:3: services[0].name: given twice, first on line 2",
        "a.yaml:6: services[0].address: given twice, first on line 4",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn broken_document_hides_no_error_of_the_others() {
    let text =
        "services: 1\n---\nservices: [\n---\nservices: 2\n---\n'\n--- {}\n---\nservices: 3\n";
    let errors = problems(text);
    let expected = [
        "a.yaml:1: services: expected a list, found `1`",
        "a.yaml:4: ",
        "a.yaml:5: services: expected a list, found `2`",
        "a.yaml:7: ",
        "a.yaml:8: expected `services`, or the `apiVersion` and `kind` of a Kubernetes object",
        "a.yaml:10: services: expected a list, found `3`",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(
            error.starts_with(expected),
            "{error} should start with {expected}"
        );
    }
}

#[test]
fn merge_keys_and_lists_as_keys_are_refused() {
    assert_eq!(
        problems("a: &a {x: 1}\nb:\n  <<: *a\n"),
        ["a.yaml:3: merge keys (`<<`) are not supported"]
    );
    assert_eq!(
        problems("[a]: 1\n"),
        ["a.yaml:1: a key must be a word, not a list or mapping"]
    );
}

#[test]
fn file_that_is_not_text_names_the_line() {
    let path = std::sync::Arc::new(std::path::PathBuf::from("a.yaml"));
    let file = File::parse(
        &path,
        Identity {
            device: 0,
            inode: 0,
        },
        b"a: 1\nb: \xff\n".to_vec(),
        crate::source::Serve::All,
    );
    assert_eq!(file.errors[0].to_string(), "a.yaml:2: not UTF-8 text");
}

#[test]
fn file_without_documents_is_empty() {
    for text in [
        "",
        "\n",
        "# comment\n",
        "---\n",
        "---\n---\n",
        "services:\n",
        "services: []\n",
        "services: ~\n",
    ] {
        assert_eq!(
            (parse(text).errors, parse(text).contents),
            Default::default(),
            "{text:?}"
        );
    }
}

#[test]
fn any_text_is_read_without_panic() {
    let text = include_str!("shop.yaml");
    for hole in 0..text.len() {
        for filler in ["\"", "[", "{", "\t", "&", "*", ":", "- ", "\n", "%", "|"] {
            let _ = parse(&format!("{}{filler}{}", &text[..hole], &text[hole + 1..]));
        }
    }
    let root = document::parse(text).0[0].nodes[0].step.clone();
    assert_eq!(root, Step::Root);
}

#[test]
fn error_at_an_end_without_a_newline_names_the_last_line() {
    for text in [
        "services:\n- name: cart\n  address",
        "services:\n- {name: cart,\n  x",
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("a.yaml:3: "), "{problems:?}");
    }
}
