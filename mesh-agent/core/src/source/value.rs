//! Kinds of values of a service.

mod address;
mod number;
mod words;

use std::sync::Arc;

use schemars::{Schema, json_schema};

pub use self::{
    address::{Address, EndpointAddress, external, external_ips},
    number::{DrainSeconds, NodePort, PortNumber, Seconds, Weight, Whole, decimal, number},
    words::Word,
};
use super::{
    document::Value,
    field::expected,
    setting::{Kind, Wrong},
};

/// Longest name of a service, a namespace or a port, as in Kubernetes.
const MAX_NAME: usize = 63;

/// The form of a name, for messages.
const NAME: &str = "lower-case letters, digits and `-`, with a letter or digit at both ends";

/// A DNS label, the form of names of services, namespaces and service ports in Kubernetes.
pub struct Name;

impl Kind for Name {
    type Value = String;

    fn read(value: &Value<'_>) -> Result<String, Wrong> {
        let text = text(value)?;
        if text.len() > MAX_NAME {
            return Err(Wrong::Because(format!(
                "{} characters long, at most {MAX_NAME} fit",
                text.chars().count()
            )));
        }
        if !is_name(text) {
            return Err(Wrong::expected(NAME));
        }
        Ok(text.to_owned())
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": MAX_NAME,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "errorMessage": expected(NAME),
        })
    }
}

/// Whether a text is a DNS label.
pub fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut chars = text.chars();
    text.len() <= MAX_NAME
        && text.chars().all(inside)
        && edge(chars.clone().next_back())
        && edge(chars.next())
}

/// Any text.
pub struct Text;

impl Kind for Text {
    type Value = Arc<str>;

    fn read(value: &Value<'_>) -> Result<Arc<str>, Wrong> {
        text(value).map(Into::into)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string"})
    }

    fn json(value: &Arc<str>) -> serde_json::Value {
        (**value).into()
    }
}

/// Name of a cloud, region or zone.
pub struct Place;

impl Kind for Place {
    type Value = Arc<str>;

    fn read(value: &Value<'_>) -> Result<Arc<str>, Wrong> {
        match text(value)? {
            "" => Err(Wrong::expected("a name")),
            name => Ok(name.into()),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// `true` or `false`.
pub struct Bool;

impl Kind for Bool {
    type Value = bool;

    fn read(value: &Value<'_>) -> Result<bool, Wrong> {
        match value {
            Value::Bool(value) => Ok(*value),
            _ => Err(Wrong::expected("true or false")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "boolean"})
    }

    fn json(value: &bool) -> serde_json::Value {
        (*value).into()
    }
}

/// Returns the text of a value.
pub fn text<'a>(value: &'a Value<'_>) -> Result<&'a str, Wrong> {
    value.text().ok_or(Wrong::expected("text"))
}
