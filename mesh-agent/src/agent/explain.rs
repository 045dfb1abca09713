//! Explains where a connect goes, by repeating the kernel's decision over a copy of the maps.
//!
//! ```text
//! question ──► frontend ──► copy of its rows ──► status of each backend
//!          └─► client                        └─► 1,000 connects, each undone ──► destinations
//! ```

mod affinity_binding;
mod agent_state;
mod candidates;
mod client;
mod replay;
mod table_copy;
mod reasons;

use std::{net::SocketAddr, time::Duration};

use mesh_common::abi::FrontendKey;

use self::{client::Client, table_copy::TableCopy};
use super::owner::Snapshot;
use crate::{
    api::{
        types::{Explanation, Question, verdict},
        view::Refusal,
    },
    config::Settings,
    dataplane::{Counters, Meter},
    desired::{Tables, balance, frontend},
    model::{Balance, Protocol, Words as _},
    namespaces::Namespaces,
};

/// Returns what the kernel would answer now. `now` is the monotonic clock.
pub(super) fn explain(
    snapshot: &Snapshot,
    meter: &dyn Meter,
    settings: &Settings,
    namespaces: &Namespaces,
    now: Duration,
    question: &Question,
) -> Result<Explanation, Refusal> {
    let key = key(question)?;
    let counters = meter
        .read(&snapshot.tables)
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    let mut client = question
        .from
        .as_deref()
        .map(|from| client::client(from, settings, namespaces))
        .transpose()?
        .unwrap_or_default();
    if let Some(service) = snapshot.tables.services.get(&key) {
        client.bound = affinity_binding::bound(meter, service, &client, now)?;
    }
    let mut explanation = decide(&snapshot.tables, &counters, now, &key, &client);
    agent_state::add(&snapshot.world, now, &mut explanation);
    reasons::name_left_out(&snapshot.wrong, &mut explanation);
    Ok(explanation)
}

fn key(question: &Question) -> Result<FrontendKey, Refusal> {
    let Question {
        to,
        protocol: name,
        from: _,
    } = question;
    let to: SocketAddr = to.parse().map_err(|_| {
        Refusal::Malformed(format!(
            "`{to}` is not ADDRESS:PORT, like 10.96.0.1:80 or [fd00::1]:80"
        ))
    })?;
    let protocol = match name {
        None => Protocol::Tcp,
        Some(name) => Protocol::of_word(&name.to_ascii_uppercase())
            .ok_or_else(|| Refusal::Malformed(format!("`{name}` is not tcp or udp")))?,
    };
    Ok(FrontendKey {
        addr: to.ip().into(),
        port: to.port().to_be(),
        protocol: protocol.number(),
        pad: 0,
    })
}

/// Returns the explanation over given tables. Pure.
fn decide(
    tables: &Tables,
    counters: &Counters,
    now: Duration,
    key: &FrontendKey,
    client: &Client,
) -> Explanation {
    let untouched = Explanation {
        frontend: frontend(key),
        verdict: verdict::UNTOUCHED.to_owned(),
        ..Explanation::default()
    };
    if let Some(reason) = &client.excluded {
        return Explanation {
            reason: reason.clone(),
            ..untouched
        };
    }
    let Some(mut copy) = TableCopy::of(tables, counters, now, key, client) else {
        return Explanation {
            reason: reasons::no_service(tables, key),
            ..untouched
        };
    };
    let (tiers, others) = candidates::candidates(&copy);
    // The kernel balances unknown policies at random.
    let policy = balance(&copy.row).unwrap_or(Balance::Random);
    let mut notes = reasons::notes(tables, now, &copy.row, client);
    notes.extend(reasons::own_ejections(tables, counters, &copy.row, client));
    let mut explanation = Explanation {
        balance: Some(policy.word().to_owned()),
        notes,
        tiers,
        others,
        ..untouched
    };
    if let Some(identity) = tables.names.get(&copy.row.id) {
        explanation.identify(identity);
    }
    replay::replay(&mut copy, key, client, explanation)
}

#[cfg(test)]
mod tests;
