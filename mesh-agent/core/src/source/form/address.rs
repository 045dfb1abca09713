//! Addresses of a service.

use std::{borrow::Cow, fmt, net::IpAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        Error, SeqAccess, Visitor,
        value::{SeqAccessDeserializer, StrDeserializer},
    },
};

use crate::{
    model::Addresses,
    source::{
        field::{Field, all, expected},
        setting::{Kind, Plain, Scalar},
        value::Address,
    },
};

/// Word for an address from the pool.
const AUTO: &str = "auto";

/// The form of the addresses of a service, for messages.
const ADDRESSES: &str = "an address, a list of addresses, or `auto`";

/// An address, a list of addresses, or `auto`.
pub enum AddressForm {
    /// From the pool.
    Auto,
    /// One address.
    One(IpAddr),
    /// A list of addresses.
    List(Vec<Plain<Address>>),
}

impl AddressForm {
    /// Converts to the model; reports duplicates at their field.
    pub fn model(self, field: Field<'_>) -> Option<Addresses> {
        match self {
            Self::Auto => Some(Addresses::Auto),
            Self::One(address) => Some(Addresses::Fixed(vec![address])),
            Self::List(list) => several(field, list).map(Addresses::Fixed),
        }
    }
}

fn several(field: Field<'_>, list: Vec<Plain<Address>>) -> Option<Vec<IpAddr>> {
    let addresses = all(list.into_iter().map(Plain::value))?;
    for (position, (field, address)) in field.children().zip(&addresses).enumerate() {
        if addresses[..position].contains(address) {
            field.report(format!("{address} listed twice"));
        }
    }
    if addresses.is_empty() {
        field.error("lists no address")
    } else {
        Some(addresses)
    }
}

impl<'de> Deserialize<'de> for AddressForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = AddressForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ADDRESSES)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AddressForm, E> {
        if text == AUTO {
            return Ok(AddressForm::Auto);
        }
        let address: Scalar<Address> = Deserialize::deserialize(StrDeserializer::new(text))?;
        Ok(AddressForm::One(address.0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<AddressForm, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(AddressForm::List)
    }
}

impl JsonSchema for AddressForm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let address = Address::schema();
        json_schema!({
            "anyOf": [
                {"const": AUTO, "errorMessage": expected(ADDRESSES)},
                address,
                {"type": "array", "items": address, "minItems": 1, "uniqueItems": true},
            ],
        })
    }
}
