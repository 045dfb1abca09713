//! The locality settings.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use crate::{
    model::{LocalityLevel, LocalityPolicy, SourcePreference, Words},
    source::{
        document::Value,
        field::{Field, all},
        setting::{Kind, List, Plain, Scalar, Setting, Wrong},
        value::{Whole, Word, decimal},
    },
};

/// Near endpoints first. Without `locality`, all endpoints are in one tier.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "Locality")]
pub struct LocalityForm {
    /// Which locations make an endpoint near.
    #[schemars(extend("uniqueItems" = true, "x-annotation" = "locality", "x-default" = "all four"))]
    order: List<Scalar<Word<LocalityLevel>>>,
    /// Below this share of usable capacity, a tier hands part of its connects to the next.
    failover_percent: Plain<Whole<u8, 1, 100>>,
    /// Two decimals at most; also leave a tier that is this many times as busy per weight as the
    /// next.
    #[schemars(extend("x-default" = "off"))]
    spill_factor: Plain<SpillFactor>,
    /// Endpoints of which sources come first.
    #[schemars(extend("x-annotation" = "source-preference"))]
    sources: Plain<Word<SourcePreference>>,
}

impl Default for LocalityForm {
    fn default() -> Self {
        let default = LocalityPolicy::default();
        Self {
            order: Setting::Absent,
            failover_percent: Plain::default_to(default.failover_percent),
            spill_factor: Setting::Absent,
            sources: Plain::default_to(default.sources),
        }
    }
}

impl LocalityForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Option<Field<'_>>) -> Option<LocalityPolicy> {
        let order = self.order.convert(LocalityLevel::ALL.to_vec(), |order| {
            let order = all(order.into_iter().map(Plain::value))?;
            distinct(field?.get("order")?, order)
        });
        Some(LocalityPolicy {
            order: order?,
            failover_percent: self.failover_percent.value()?,
            spill: self.spill_factor.optional()?,
            sources: self.sources.value()?,
            ..LocalityPolicy::default()
        })
    }
}

/// Returns the levels, and reports duplicates.
fn distinct(field: Field<'_>, levels: Vec<LocalityLevel>) -> Option<Vec<LocalityLevel>> {
    for (position, (field, level)) in field.children().zip(&levels).enumerate() {
        if levels[..position].contains(level) {
            return field.error(format!("{level} is listed twice"));
        }
    }
    Some(levels)
}

/// A number of times, in 1/100.
struct SpillFactor;

impl Kind for SpillFactor {
    type Value = u16;

    fn read(value: &Value<'_>) -> Result<u16, Wrong> {
        decimal(value, 2)
            .and_then(|factor| u16::try_from(factor).ok())
            .filter(|factor| (101..=65_000).contains(factor))
            .ok_or(Wrong::expected(
                "a number from 1.01 to 650, with at most 2 decimals",
            ))
    }

    fn schema() -> Schema {
        json_schema!({"type": "number", "minimum": 1.01, "maximum": 650})
    }
}
