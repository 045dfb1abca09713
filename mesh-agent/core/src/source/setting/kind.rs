//! Kinds of values: how each is read, and what a schema says about it.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor},
};

use crate::source::{document::Value, field::Field};

/// A kind of value. Lists and mappings are structs of settings instead.
pub trait Kind {
    /// The value in the model.
    type Value;

    /// Reads a value.
    fn read(value: &Value<'_>) -> Result<Self::Value, Wrong>;

    /// Returns its schema. `x-range` describes a range that a schema cannot express.
    fn schema() -> Schema;

    /// Returns a default as a user would write it.
    fn json(_: &Self::Value) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// Why a value is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It is something other than this.
    Expected(Cow<'static, str>),
    /// Another reason.
    Because(String),
}

impl Wrong {
    /// The value is something other than this.
    pub fn expected(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Expected(what.into())
    }
}

/// Reads a field as a value of this kind.
pub fn read_as<K: Kind>(field: Field<'_>) -> Option<K::Value> {
    shown(field, K::read(field.value()))
}

/// Returns a value, or reports at its field why it is wrong.
pub fn shown<T>(field: Field<'_>, value: Result<T, Wrong>) -> Option<T> {
    match value {
        Ok(value) => Some(value),
        Err(Wrong::Expected(what)) => field.expected(&what),
        Err(Wrong::Because(reason)) => field.error(reason),
    }
}

/// A value of this kind.
pub struct Scalar<K: Kind>(pub K::Value);

impl<'de, K: Kind> Deserialize<'de> for Scalar<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

impl<K: Kind> JsonSchema for Scalar<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        K::schema()
    }
}

struct ScalarVisitor<K>(PhantomData<K>);

impl<K: Kind> ScalarVisitor<K> {
    fn read<E: Error>(value: &Value<'_>) -> Result<Scalar<K>, E> {
        K::read(value).map(Scalar).map_err(|wrong| match wrong {
            Wrong::Expected(what) => E::invalid_value(Unexpected::Other("value"), &&*what),
            Wrong::Because(reason) => E::custom(reason),
        })
    }
}

impl<'de, K: Kind> Visitor<'de> for ScalarVisitor<K> {
    type Value = Scalar<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<K>, E> {
        Self::read(&Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<K>, E> {
        Self::read(&Value::Bool(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<K>, E> {
        Self::read(&Value::Text(text.into()))
    }

    fn visit_bytes<E: Error>(self, number: &[u8]) -> Result<Scalar<K>, E> {
        Self::read(&Value::Number(String::from_utf8_lossy(number)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Scalar<K>, A::Error> {
        Self::read(&Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar<K>, A::Error> {
        Self::read(&Value::Map)
    }
}
