//! Replays connects over the copy, and undoes each.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use mesh_common::{
    abi::{FrontendKey, hash_key, socket_state},
    connect::{Verdict, connect},
    counter::{Counter, Kind},
    socket,
};

use super::{candidates::percent, client::Client, reasons, table_copy::TableCopy};
use crate::{
    api::types::{Destination, Explanation, Share, verdict},
    dataplane::{Counters, memory::Memory},
};

/// Number of connects to replay.
const CONNECTS: u32 = 1000;
/// Seed of the random numbers, so that equal questions get equal answers while nothing changes.
const SEED: u64 = 0x6d65_7368;

/// Adds the verdict and the destinations of the replayed connects to an explanation.
pub(super) fn replay(
    copy: &mut TableCopy,
    key: &FrontendKey,
    client: &Client,
    explanation: Explanation,
) -> Explanation {
    let TableCopy { memory, row, .. } = copy;
    let before = Counters::from(memory.counters());
    memory.set_seed(SEED);
    client
        .source
        .into_iter()
        .for_each(|source| memory.set_source(source.into()));
    let known = client
        .bound
        .map(|(key, _)| key.client)
        .or(if row.hash_key == hash_key::CGROUP {
            client.cgroup
        } else {
            client.netns
        });
    // Connects by endpoint, and whether as a trial.
    let mut destinations = BTreeMap::<(String, bool), u32>::new();
    for round in 1..=CONNECTS {
        // Without a client each connect counts as another one.
        memory.set_client(known.unwrap_or(round.into()));
        // Restores the binding, which the previous connect may have changed.
        client
            .bound
            .into_iter()
            .for_each(|(key, row)| memory.set_affinity(key, row));
        let verdict = connect(memory, key);
        let is_trial = undo(memory, &before);
        if let Verdict::Backend { addr, port } = verdict {
            let endpoint = std::net::SocketAddr::new(addr.into(), u16::from_be(port)).to_string();
            *destinations.entry((endpoint, is_trial)).or_default() += 1;
        }
    }
    let counted = memory
        .counters()
        .services
        .get(&row.id)
        .copied()
        .unwrap_or_default();
    let share = |number: u64| percent(number as f64 / f64::from(CONNECTS));
    let refused: Vec<(Counter, u64)> = Counter::of_kind(Kind::Refusal)
        .map(|it| (it, counted[it.index()]))
        .filter(|it| it.1 > 0)
        .collect();
    let answered = destinations
        .into_iter()
        .map(|((endpoint, trial), number)| Destination {
            endpoint: Some(endpoint),
            refused: None,
            percent: share(number.into()),
            trial,
        });
    let refusals = refused.iter().map(|(counter, number)| Destination {
        endpoint: None,
        refused: Some(counter.name().to_owned()),
        percent: share(*number),
        trial: false,
    });
    let mut outcomes: Vec<Destination> = answered.chain(refusals).collect();
    outcomes.sort_by(|one, other| other.percent.total_cmp(&one.percent));
    let detours = Counter::of_kind(Kind::Detour).map(|it| Share {
        counter: it.name().to_owned(),
        percent: share(counted[it.index()]),
    });
    let answer = match (
        refused.iter().map(|it| it.1).sum::<u64>(),
        u64::from(CONNECTS),
    ) {
        (0, _) => verdict::ANSWERED,
        (refused, all) if refused == all => verdict::REFUSED,
        _ => verdict::PARTLY_REFUSED,
    };
    let reasons: Vec<String> = refused
        .iter()
        .map(|(counter, _)| reasons::refusal(*counter, row, &before))
        .collect();
    Explanation {
        verdict: answer.to_owned(),
        reason: reasons.join("; "),
        replayed: CONNECTS,
        outcomes,
        counted: detours.filter(|it| it.percent > 0.0).collect(),
        ..explanation
    }
}

/// Restores the load from before the last connect, but not the round-robin position. Returns
/// whether the connect was a trial; the record of a trial stays, because the kernel allows one.
fn undo(memory: &mut Memory, before: &Counters) -> bool {
    let Some(record) = socket::record(&*memory, 0) else {
        return false;
    };
    let index = record.backend_index;
    let is_trial = record.state.load(Relaxed) & socket_state::TRIAL != 0;
    socket::released(&*memory, 0, || false);
    if let Some(load) = before.backends.get(&index) {
        memory.set_load(index, *load);
    }
    memory.close(0);
    is_trial
}
