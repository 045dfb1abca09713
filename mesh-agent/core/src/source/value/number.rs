//! Numbers.

use std::{fmt::Display, marker::PhantomData, ops::RangeInclusive, str::FromStr, time::Duration};

use schemars::{Schema, json_schema};

use crate::source::{
    document::Value,
    field::Field,
    setting::{Kind, Wrong, shown},
};

/// Reads a field as a whole number within these bounds.
pub fn number<T: FromStr + PartialOrd + Display>(
    field: Field<'_>,
    bounds: RangeInclusive<T>,
) -> Option<T> {
    shown(field, whole(field.value(), &bounds))
}

/// Reads a whole number within these bounds.
fn whole<T: FromStr + PartialOrd + Display>(
    value: &Value<'_>,
    bounds: &RangeInclusive<T>,
) -> Result<T, Wrong> {
    parsed(value)
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| {
            Wrong::expected(format!(
                "a whole number from {} to {}",
                bounds.start(),
                bounds.end()
            ))
        })
}

/// Reads a decimal number in units of 1/10^`digits`; nothing if it is negative or has more digits.
pub fn decimal(value: &Value<'_>, digits: usize) -> Option<u32> {
    let Value::Number(text) = value else {
        return None;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let scaled = || format!("{whole}{fraction:0<digits$}").parse().ok();
    if fraction.len() <= digits {
        scaled()
    } else {
        None
    }
}

fn parsed<T: FromStr>(value: &Value<'_>) -> Option<T> {
    match value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    }
}

fn integer(min: u64, max: u64) -> Schema {
    json_schema!({"type": "integer", "minimum": min, "maximum": max})
}

/// A whole number within bounds.
pub struct Whole<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T: FromStr + Display, const MIN: u64, const MAX: u64> Kind for Whole<T, MIN, MAX> {
    type Value = T;

    fn read(value: &Value<'_>) -> Result<T, Wrong> {
        whole(value, &(MIN..=MAX))?;
        Ok(parsed(value).expect("the type has every number within the bounds"))
    }

    fn schema() -> Schema {
        integer(MIN, MAX)
    }

    fn json(value: &T) -> serde_json::Value {
        value.to_string().parse::<u64>().ok().into()
    }
}

/// Weight of an endpoint. The sum of 65,536 of the largest weights fits into 32 bits.
pub struct Weight;

impl Kind for Weight {
    type Value = u32;

    fn read(value: &Value<'_>) -> Result<u32, Wrong> {
        parsed::<u16>(value).map(u32::from).ok_or(Wrong::expected(
            "a weight from 0 to 65535 (only the ratio of weights matters)",
        ))
    }

    fn schema() -> Schema {
        integer(0, u16::MAX.into())
    }

    fn json(value: &u32) -> serde_json::Value {
        (*value).into()
    }
}

/// A port number.
pub struct PortNumber;

impl Kind for PortNumber {
    type Value = u16;

    fn read(value: &Value<'_>) -> Result<u16, Wrong> {
        parsed(value)
            .filter(|port| *port != 0)
            .ok_or(Wrong::expected("a port from 1 to 65535"))
    }

    fn schema() -> Schema {
        integer(1, u16::MAX.into())
    }
}

/// A node port. Zero asks Kubernetes to allocate one.
pub struct NodePort;

impl Kind for NodePort {
    type Value = Option<u16>;

    fn read(value: &Value<'_>) -> Result<Option<u16>, Wrong> {
        if *value == Value::Number("0".into()) {
            return Ok(None);
        }
        PortNumber::read(value).map(Some)
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": u16::MAX, "x-range": "`--node-port-range`"})
    }
}

/// Seconds within bounds, without a unit.
pub struct Seconds<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Kind for Seconds<MIN, MAX> {
    type Value = Duration;

    fn read(value: &Value<'_>) -> Result<Duration, Wrong> {
        parsed(value)
            .filter(|seconds| (MIN..=MAX).contains(seconds))
            .map(Duration::from_secs)
            .ok_or_else(|| Wrong::expected(format!("seconds from {MIN} to {MAX}")))
    }

    fn schema() -> Schema {
        integer(MIN, MAX)
    }

    fn json(value: &Duration) -> serde_json::Value {
        value.as_secs().into()
    }
}

/// How many seconds connections to a removed endpoint may go on. They may be in quotes.
pub struct DrainSeconds;

impl Kind for DrainSeconds {
    type Value = Duration;

    fn read(value: &Value<'_>) -> Result<Duration, Wrong> {
        let number = match value {
            Value::Text(text) => &Value::Number(text.clone()),
            _ => value,
        };
        Seconds::<0, 65_535>::read(number)
    }

    fn schema() -> Schema {
        Seconds::<0, 65_535>::schema()
    }
}
