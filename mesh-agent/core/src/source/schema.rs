//! The JSON Schema of service files in the native form, and what else follows from it: the names of
//! annotations, and the tables of the manual.
//!
//! Keywords of our own: `x-annotation` is the name of the annotation of the same meaning,
//! `x-kubernetes` names fields of a Kubernetes Service, `x-default` and `x-range` describe a default
//! and a range that a schema cannot express. `errorMessage` is a keyword of editors: what they show
//! instead of their own message.

mod field_docs;

use std::sync::LazyLock;

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

pub use self::field_docs::{default, range, required};
use super::form::ServiceForm;

/// Start of the names of annotations.
pub const PREFIX: &str = "mesh-agent.io/";

/// A file of services in the native form.
///
/// All fields are described in docs/configuration.md. `meshctl config validate` also checks what
/// depends on other fields or services.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Services of mesh-agent")]
#[expect(dead_code, reason = "services are read one by one")]
struct ServiceFile {
    /// The services.
    services: Vec<ServiceForm>,
}

/// Returns the schema of a document, of the draft that most editors know.
pub fn schema() -> Schema {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<ServiceFile>();
    RecursiveTransform(tidy).transform(&mut schema);
    schema
}

/// Returns the schema as the text of a file, in which each description also tells default and range:
/// editors show nothing else of a field.
pub fn text() -> String {
    let mut schema = schema();
    RecursiveTransform(field_docs::describe).transform(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}

/// Removes the default of a field that has none, and the line breaks inside a paragraph.
fn tidy(schema: &mut Schema) {
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs = text.split("\n\n").map(|it| it.replace('\n', " "));
        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
}

/// An annotation of a Kubernetes Service, and the native field of the same meaning.
#[derive(Debug)]
pub struct Annotation {
    /// Its name, with the prefix.
    pub name: String,
    /// Whether the annotation may also hold the whole mapping that the field is in.
    pub is_short: bool,
    /// Whether the field is a list.
    pub is_list: bool,
    path: Vec<String>,
}

impl Annotation {
    /// Returns the field of the service.
    pub fn field(&self) -> &str {
        &self.path[0]
    }

    /// Returns the member of the field, if it is not the field itself.
    pub fn member(&self) -> Option<&str> {
        self.path.get(1).map(String::as_str)
    }
}

/// Returns all annotations, in the order of the fields.
pub fn annotations() -> &'static [Annotation] {
    static ALL: LazyLock<Vec<Annotation>> = LazyLock::new(|| {
        let schema = schema();
        let service = definition(&schema, "Service");
        let mut all = Vec::new();
        for (field, of_field) in properties(service) {
            all.extend(annotation(field, None, of_field));
            let members = properties(resolved(&schema, of_field));
            all.extend(members.filter_map(|(member, it)| annotation(field, Some(member), it)));
        }
        all
    });
    &ALL
}

fn annotation(field: &str, member: Option<&str>, schema: &Value) -> Option<Annotation> {
    let name = schema.get("x-annotation")?.as_str()?;
    Some(Annotation {
        name: format!("{PREFIX}{name}"),
        is_short: member.is_some() && name == field,
        is_list: schema["type"] == "array",
        path: [field].into_iter().chain(member).map(Into::into).collect(),
    })
}

/// Returns the schema of a type.
pub fn definition<'a>(root: &'a Schema, name: &str) -> &'a Value {
    let pointer = format!("/definitions/{name}");
    root.pointer(&pointer).unwrap_or(&Value::Null)
}

/// Returns the fields of a mapping; of something that may be a mapping, those of the mapping.
pub fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = match schema.get("anyOf").and_then(Value::as_array) {
        Some(forms) => forms.iter().find(|form| form.get("properties").is_some()),
        None => Some(schema),
    };
    let properties = mapping.and_then(|it| it.get("properties")?.as_object());
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
}

/// Returns the schema that a field refers to, or its own.
pub fn resolved<'a>(root: &'a Schema, schema: &'a Value) -> &'a Value {
    let reference = schema
        .get("$ref")
        .or_else(|| schema.pointer("/allOf/0/$ref"))
        .or_else(|| schema.pointer("/items/$ref"));
    let name = reference
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| definition(root, name))
}
