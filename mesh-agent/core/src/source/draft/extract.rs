//! Extracts objects from a text, each as a separate, equivalent text.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

use crate::source::{
    document::Value,
    field::Field,
    object::{Key, Kind},
};

/// Objects to extract, and their texts.
#[derive(Default)]
pub struct Extracts {
    /// Objects to extract.
    pub wanted: Arc<HashSet<Key>>,
    /// Texts that were extracted.
    pub texts: BTreeMap<Key, Arc<str>>,
}

impl Extracts {
    /// Extracts an object if it is wanted.
    pub fn note(&mut self, key: Option<Key>, object: Field<'_>) {
        if let Some(key) = key.filter(|key| self.wanted.contains(key)) {
            let text = text(object, key.kind()).into();
            self.texts.insert(key, text);
        }
    }
}

/// Formats a document with one object, in one line.
fn text(object: Field<'_>, kind: Kind) -> String {
    let mut out = String::new();
    // Native services have no metadata.
    if object.get("metadata").is_none() {
        out.push_str("{\"services\": [");
        write_value(object, &mut out);
        out.push_str("]}");
        return out;
    }
    let (version, kind) = match kind {
        Kind::Service => ("v1", "Service"),
        Kind::Endpoints => ("v1", "Endpoints"),
        Kind::EndpointSlice => ("discovery.k8s.io/v1", "EndpointSlice"),
    };
    // Replaces the kind of the object or of its list.
    let given = [("apiVersion", version), ("kind", kind)];
    let fields = object
        .children()
        .filter(|field| given.iter().all(|(name, _)| field.name() != Some(*name)));
    _ = write!(out, "{{\"apiVersion\": \"{version}\", \"kind\": \"{kind}\"");
    for field in fields {
        out.push_str(", ");
        write_named(field, &mut out);
    }
    out.push('}');
    out
}

fn write_value(field: Field<'_>, out: &mut String) {
    match field.value() {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => _ = write!(out, "{value}"),
        Value::Number(text) => out.push_str(text),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::List => write_all(field, ('[', ']'), write_value, out),
        Value::Map => write_all(field, ('{', '}'), write_named, out),
    }
}

fn write_named(field: Field<'_>, out: &mut String) {
    out.push_str(&quoted(field.name().unwrap_or_default()));
    out.push_str(": ");
    write_value(field, out);
}

fn write_all(
    field: Field<'_>,
    (open, close): (char, char),
    write: fn(Field<'_>, &mut String),
    out: &mut String,
) {
    out.push(open);
    for (position, child) in field.children().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write(child, out);
    }
    out.push(close);
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("every text is a JSON string")
}
