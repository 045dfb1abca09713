//! Values that are written as one of a few words.

use std::marker::PhantomData;

use schemars::{Schema, json_schema};

use crate::{
    model::Words,
    source::{
        document::Value,
        setting::{Kind, Wrong},
    },
};

/// One of the words of this type.
pub struct Word<T>(PhantomData<T>);

impl<T: Words> Kind for Word<T> {
    type Value = T;

    fn read(value: &Value<'_>) -> Result<T, Wrong> {
        let word = value.text().and_then(T::of_word);
        word.ok_or_else(|| Wrong::expected(T::any()))
    }

    fn schema() -> Schema {
        let words = T::ALL.iter().map(|value| value.word());
        json_schema!({"type": "string", "enum": words.collect::<Vec<_>>()})
    }

    fn json(value: &T) -> serde_json::Value {
        value.word().into()
    }
}
