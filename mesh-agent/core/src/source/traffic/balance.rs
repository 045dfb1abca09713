//! The balancing policy.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::{
    model::{Balance, HashKey},
    source::{
        field::Field,
        setting::{Plain, Setting},
        value::Word,
    },
};

/// Name of a policy, or a mapping of `policy` and `key`.
#[derive(Deserialize, JsonSchema)]
// Under this name, the reader takes a value that is no mapping for the first field.
#[serde(rename = "first field or mapping", default, deny_unknown_fields)]
#[schemars(rename = "Balance", transform = or_policy)]
pub struct BalanceForm {
    /// How an endpoint is chosen.
    #[schemars(extend("x-annotation" = "balance"))]
    policy: Plain<Word<Balance>>,
    /// Client attribute to hash; only with `consistentHash`.
    #[schemars(extend("x-annotation" = "hash-key", "x-default" = "`namespace`"))]
    key: Plain<Word<HashKey>>,
}

impl Default for BalanceForm {
    fn default() -> Self {
        Self {
            policy: Plain::default_to(Balance::default()),
            key: Setting::Absent,
        }
    }
}

/// Allows the policy alone.
fn or_policy(schema: &mut Schema) {
    let policy = schema.pointer("/properties/policy/enum").cloned();
    let mapping = std::mem::take(schema);
    *schema = schemars::json_schema!({
        "description": mapping.get("description"),
        "anyOf": [{"type": "string", "enum": policy}, mapping],
    });
}

impl BalanceForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Option<Field<'_>>) -> Option<Balance> {
        let (policy, key) = (self.policy.value()?, self.key.optional()?);
        match (policy, key) {
            (Balance::ConsistentHash(default), key) => {
                Some(Balance::ConsistentHash(key.unwrap_or(default)))
            }
            (_, Some(_)) => field?
                .get("key")?
                .error("only the policy consistentHash has a key"),
            (_, None) => Some(policy),
        }
    }
}
