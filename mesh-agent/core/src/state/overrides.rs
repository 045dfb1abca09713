//! The drains and weights that operators set, as text.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    desired::{Override, Target},
    model::ServiceName,
};

/// What operators set, by endpoint.
pub type Overrides = BTreeMap<Target, Override>;

/// Content of the text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    /// The boot whose monotonic clock `draining_since_milliseconds` uses.
    boot_id: String,
    endpoints: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    namespace: String,
    service: String,
    address: IpAddr,
    port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draining_since_milliseconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
}

/// Returns the text of what was set in this boot.
pub fn print(overrides: &Overrides, boot_id: &str) -> Vec<u8> {
    let endpoints = overrides
        .iter()
        .map(|(target, given)| entry(target, *given))
        .collect();
    let content = Content {
        boot_id: boot_id.to_owned(),
        endpoints,
    };
    serde_json::to_vec_pretty(&content).expect("a struct with string keys")
}

/// Parses the text in this boot. A drain from before the boot starts at zero, which is long ago.
pub fn parse(text: &[u8], boot_id: &str) -> serde_json::Result<Overrides> {
    let Content {
        boot_id: written_in,
        endpoints,
    } = serde_json::from_slice(text)?;
    let same_clock = written_in == boot_id;
    Ok(endpoints
        .into_iter()
        .map(|entry| target(entry, same_clock))
        .collect())
}

fn entry(target: &Target, given: Override) -> Entry {
    let Override {
        draining_since,
        weight,
    } = given;
    Entry {
        namespace: target.service.namespace.clone(),
        service: target.service.name.clone(),
        address: target.address,
        port: target.port,
        draining_since_milliseconds: draining_since
            .map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        weight,
    }
}

/// Returns the override of an entry.
fn target(entry: Entry, same_clock: bool) -> (Target, Override) {
    let Entry {
        namespace,
        service: name,
        address,
        port,
        draining_since_milliseconds,
        weight,
    } = entry;
    let since = |milliseconds| {
        if same_clock {
            Duration::from_millis(milliseconds)
        } else {
            Duration::ZERO
        }
    };
    let given = Override {
        draining_since: draining_since_milliseconds.map(since),
        weight,
    };
    (
        Target {
            service: ServiceName { namespace, name },
            address,
            port,
        },
        given,
    )
}
