//! The tables of `docs/configuration.md`, generated from the schema.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::source::schema::{
    annotations, default, definition, properties, range, required, resolved, schema,
};

const DOCS: &str = "docs/configuration.md";

/// Returns the folder of the repository.
pub(super) fn repository() -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut with_docs = folders.filter(|folder| folder.join(DOCS).exists());
    with_docs
        .next()
        .expect("a crate is in the repository")
        .to_owned()
}

/// Checks that a file is as generated from its text, or rewrites it.
pub(super) fn check(path: &str, generate: impl FnOnce(&str) -> String) {
    let file = repository().join(path);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let right = generate(&text);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file, right).unwrap();
    } else {
        assert!(
            text == right,
            "{path} is not current: run `UPDATE_DOCS=1 cargo nextest run in_docs`"
        );
    }
}

#[test]
fn tables_in_docs_are_current() {
    check(DOCS, |page| {
        let mut tables = page.split("<!-- fields of ");
        let start = tables.next().unwrap().to_owned();
        tables.fold(start, |page, rest| {
            let (name, rest) = rest.split_once(" -->").expect("a marker has an end");
            let (_, rest) = rest.split_once("<!-- end -->").expect("a table has an end");
            let table = table(name);
            format!("{page}<!-- fields of {name} -->\n{table}<!-- end -->{rest}")
        })
    });
}

#[test]
fn every_struct_has_a_table() {
    let page = fs::read_to_string(repository().join(DOCS)).unwrap();
    let schema = schema();
    let definitions = schema.get("definitions").unwrap().as_object().unwrap();
    let with_fields = definitions.iter().filter(|(_, it)| has_fields(it));
    let missing =
        with_fields.filter(|(name, _)| !page.contains(&format!("<!-- fields of {name} -->")));
    assert_eq!(missing.map(|(name, _)| name).collect::<Vec<_>>(), [""; 0]);
}

/// Returns the table of a struct. That of a service has a column for Kubernetes.
fn table(name: &str) -> String {
    let schema = schema();
    let of = definition(&schema, name);
    let is_service = name == "Service";
    let mut columns = vec!["field", "default", "range", "meaning"];
    columns.extend(is_service.then_some("on a Kubernetes Service"));
    let rows = properties(of).map(|(field, it)| {
        let mut row = vec![
            format!("`{field}`"),
            if required(of).contains(&field.into()) {
                "required".to_owned()
            } else {
                default(it).unwrap_or_else(|| "none".to_owned())
            },
            range(it),
            meaning(field, it, is_service && has_fields(resolved(&schema, it))),
        ];
        row.extend(is_service.then(|| kubernetes(field, it)));
        row
    });
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |");
    let rule = format!("{}|\n", "|---".repeat(columns.len()));
    let head = line(
        &columns
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<Vec<_>>(),
    ) + &rule;
    rows.fold(head, |table, row| {
        table + &line(&row).replace("|  |", "| |")
    })
}

fn has_fields(of: &Value) -> bool {
    properties(of).next().is_some()
}

fn meaning(field: &str, it: &Value, has_section: bool) -> String {
    let description = it["description"]
        .as_str()
        .expect("every field is described");
    if has_section {
        let anchor = field.to_lowercase();
        format!("{description} See [`{field}`](#{anchor}).")
    } else {
        description.to_owned()
    }
}

fn kubernetes(field: &str, it: &Value) -> String {
    let own = it["x-kubernetes"].as_str().map(str::to_owned);
    let annotations = annotations().iter().filter(|it| it.field() == field);
    let annotations =
        annotations.map(|it| format!("`{}`", it.name.replace("mesh-agent.io/", "…/")));
    own.into_iter()
        .chain(annotations)
        .collect::<Vec<_>>()
        .join(", ")
}
