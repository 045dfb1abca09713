//! Reads a document with serde, and reports each error at its line.

use std::fmt::Display;

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
        value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::source::{document::Value, field::Field};

/// Serde name of a struct that may be written as just its first field.
const SHORT: &str = "first field or mapping";

/// Reads one value. A number is passed on as it is written, in bytes, because a decimal fraction
/// has no exact binary form.
pub struct Reader<'a>(pub Field<'a>);

/// Why a value was not read.
#[derive(Debug)]
pub enum Error {
    /// It is something other than this.
    Expected(String),
    /// Another reason.
    Because(String),
    /// It is reported.
    Reported,
}

impl Error {
    /// Reports the error at a field, unless it was reported at a field inside.
    fn report(self, field: Field<'_>) -> Self {
        match self {
            Self::Expected(what) => _ = field.expected::<()>(&what),
            Self::Because(reason) => field.report(reason),
            Self::Reported => {}
        }
        Self::Reported
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Because(reason) => f.write_str(reason),
            Self::Reported => f.write_str("reported"),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(reason: T) -> Self {
        Self::Because(reason.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(expected.to_string())
    }
}

impl<'de> Reader<'de> {
    /// Returns the field, unless an error in it is reported.
    fn field(self) -> Result<Field<'de>, Error> {
        if self.0.is_reported() {
            Err(Error::Reported)
        } else {
            Ok(self.0)
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let field = self.field()?;
        let result = match field.value() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List => visitor.visit_seq(Elements(field.children())),
            Value::Map => visitor.visit_map(Members::new(field.children(), None)),
        };
        result.map_err(|error| error.report(field))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let field = self.field()?;
        let result = match (field.value(), fields) {
            (Value::Map, _) => {
                field.only(fields);
                visitor.visit_map(Members::new(field.children(), Some(fields)))
            }
            (_, [first, ..]) if name == SHORT => visitor.visit_map(OneMember(first, Some(field))),
            _ => Err(Error::Expected("a mapping".to_owned())),
        };
        result.map_err(|error| error.report(field))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.value() {
            Value::List => self.deserialize_any(visitor),
            _ => Err(Error::Expected("a list".to_owned()).report(self.field()?)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct tuple tuple_struct map enum identifier ignored_any
    }
}

/// Elements of a list.
struct Elements<I>(I);

impl<'de, I: Iterator<Item = Field<'de>>> SeqAccess<'de> for Elements<I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let next = self.0.next();
        next.map(|field| seed.deserialize(Reader(field)))
            .transpose()
    }
}

/// Members of a mapping; of a struct, only those that are known and given.
struct Members<'de, I> {
    rest: I,
    known: Option<&'static [&'static str]>,
    /// Bits of the known members that were read. The tree reports names that are given twice.
    read: u64,
    value: Option<Field<'de>>,
}

impl<'de, I: Iterator<Item = Field<'de>>> Members<'de, I> {
    fn new(rest: I, known: Option<&'static [&'static str]>) -> Self {
        Self {
            rest,
            known,
            read: 0,
            value: None,
        }
    }

    /// Whether to read a member.
    fn takes(&mut self, name: &'de str, field: Field<'de>) -> bool {
        let Some(known) = self.known else { return true };
        let Some(position) = known.iter().position(|known| *known == name) else {
            return false;
        };
        // No struct of settings has more than 64 fields.
        let bit = 1 << position;
        let takes = self.read & bit == 0 && !field.is_absent();
        if takes {
            self.read |= bit;
        }
        takes
    }
}

impl<'de, I: Iterator<Item = Field<'de>>> MapAccess<'de> for Members<'de, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        while let Some(field) = self.rest.next() {
            let name = field.name().unwrap_or_default();
            if self.takes(name, field) {
                self.value = Some(field);
                return seed
                    .deserialize(BorrowedStrDeserializer::new(name))
                    .map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let field = self.value.take().expect("serde asks for the key first");
        seed.deserialize(Reader(field))
    }
}

/// A value in place of the mapping in which it has this name.
struct OneMember<'de>(&'static str, Option<Field<'de>>);

impl<'de> MapAccess<'de> for OneMember<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.1
            .map(|_| seed.deserialize(BorrowedStrDeserializer::new(self.0)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let field = self.1.take().expect("serde asks for the key first");
        seed.deserialize(Reader(field))
    }
}
