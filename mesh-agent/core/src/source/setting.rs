//! Typed settings: plain structs that serde reads from a document and schemars describes.
//!
//! ```text
//! struct Outlier { base_ejection: Plain<Millis<…>>, … }     names, kinds, defaults, meaning
//!    ├─ Deserialize ◄── reader ◄── tree of a document, native or made of annotations
//!    └─ JsonSchema  ──► JSON Schema, reference in the manual, names of annotations
//! ```
//!
//! Serde stops at the first error of a struct. A [`Setting`] therefore never fails: the reader
//! reports an error at its line, and the setting is [`Wrong`](Setting::Wrong). So one pass finds
//! all errors.

mod kind;
mod later;
mod reader;

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

pub use self::{
    kind::{Kind, Scalar, Wrong, read_as, shown},
    later::Later,
};
use super::field::Field;

/// Reads a struct; returns nothing if the value is no mapping, which is reported. A wrong setting
/// of the struct is reported as well.
pub fn read<'a, T: Deserialize<'a>>(field: Field<'a>) -> Option<T> {
    T::deserialize(reader::Reader(field)).ok()
}

/// A field of a mapping.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Setting<T> {
    /// Not given, and without a default.
    #[default]
    Absent,
    /// Given, and wrong. It is reported.
    Wrong,
    /// Its value or its default.
    Given(T),
}

/// A field that is not a struct.
pub type Plain<K> = Setting<Scalar<K>>;

/// A list. A wrong element does not hide the others.
pub type List<T> = Setting<Vec<Setting<T>>>;

impl<T> Setting<T> {
    /// Returns what is given, unless it is wrong.
    pub fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Converts the value, or returns `absent` without one. Returns nothing if it is wrong.
    pub fn convert<U>(self, absent: U, convert: impl FnOnce(T) -> Option<U>) -> Option<U> {
        match self {
            Self::Absent => Some(absent),
            Self::Wrong => None,
            Self::Given(value) => convert(value),
        }
    }
}

impl<K: Kind> Plain<K> {
    /// Creates the setting with its default.
    pub fn default_to(value: K::Value) -> Self {
        Self::Given(Scalar(value))
    }

    /// Returns the value of a setting that has a default. Returns nothing if it is wrong.
    pub fn value(self) -> Option<K::Value> {
        self.given().map(|value| value.0)
    }

    /// Returns the value, if any. Returns nothing if it is wrong.
    pub fn optional(self) -> Option<Option<K::Value>> {
        self.convert(None, |value| Some(Some(value.0)))
    }

    /// Returns the value; reports that this field of a mapping is missing.
    pub fn required(self, mapping: Field<'_>, name: &str) -> Option<K::Value> {
        _ = mapping.required(name);
        self.value()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(T::deserialize(deserializer).map_or(Self::Wrong, Self::Given))
    }
}

/// Schemas show defaults.
impl<K: Kind> Serialize for Plain<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(value) => K::json(&value.0).serialize(serializer),
            Self::Absent | Self::Wrong => serializer.serialize_none(),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Setting<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Values of a mapping with names of the user's choice, in the order of the text.
#[derive(Clone, PartialEq, Debug)]
pub struct Entries<T>(pub Vec<Setting<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some((IgnoredAny, value)) = map.next_entry()? {
            entries.push(value);
        }
        Ok(Entries(entries))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": value})
    }
}
