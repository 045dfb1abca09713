//! Copies the rows that decide the connects of one frontend.

use std::{ops::Range, time::Duration};

use mesh_common::{
    abi::{BackendLoad, FrontendKey, OutcomeKey, OutcomeRow, ServiceRow, ShareKey, Slot},
    kernel::Kernel as _,
    latency::{self, Pair, Part},
};

use super::client::Client;
use crate::{
    dataplane::{Counters, Dataplane as _, memory::Memory},
    desired::{Tables, contiguous_backends, filter, plan::diff, slot_tiers},
    table::Table,
};

/// The id of a client that has no records.
const UNKNOWN: u32 = u32::MAX;

/// The rows, with their load in the kernel.
pub(super) struct TableCopy {
    pub(super) memory: Memory,
    /// The row of the frontend; without session affinity unless the client is bound.
    pub(super) row: ServiceRow,
    /// The slots of each tier, in order.
    pub(super) tiers: Vec<Range<u32>>,
}

impl TableCopy {
    /// Copies the rows of a frontend; nothing when it does not exist. `now` is the monotonic clock.
    pub(super) fn of(
        tables: &Tables,
        counters: &Counters,
        now: Duration,
        key: &FrontendKey,
        client: &Client,
    ) -> Option<Self> {
        let service = *tables.services.get(key)?;
        let affinity_seconds = if client.bound.is_some() {
            service.affinity_seconds
        } else {
            0
        };
        let row = ServiceRow {
            affinity_seconds,
            ..service
        };
        let found = slot_tiers(&tables.slots, &row);
        let tiers: Vec<Range<u32>> = found.map(|tier| tier.columns()).collect();
        let rows = rows(tables, key, row, &tiers);
        let mut memory = Memory::default();
        memory
            .apply(&diff(&Tables::default(), &rows))
            .expect("memory takes every operation");
        for (&index, &load) in counters
            .backends
            .iter()
            .filter(|(index, _)| rows.backends.contains_key(index))
        {
            memory.set_load(index, load);
            let client = client.id.unwrap_or(UNKNOWN);
            learn(
                &memory,
                Pair {
                    client,
                    backend: index,
                    generation: rows.backends[&index].generation,
                },
                &load,
            );
        }
        for (&index, evidence) in counters
            .evidence
            .iter()
            .filter(|(index, _)| rows.backends.contains_key(index))
        {
            let load = counters.backends.get(&index).copied().unwrap_or_default();
            memory.set_load(
                index,
                BackendLoad {
                    health: evidence.agreement.word(),
                    ..load
                },
            );
            for (&client, health) in &evidence.records {
                let generation = rows.backends[&index].generation;
                let own = OutcomeRow {
                    health: health.word(),
                    generation,
                    client,
                    backend: index,
                    pad: 0,
                };
                memory.set_outcome(OutcomeKey::new(client, index), &own);
            }
        }
        memory.set_client_id(client.id.unwrap_or(UNKNOWN));
        memory.set_service_load(
            row.id,
            counters.loads.get(&row.id).copied().unwrap_or_default(),
        );
        let own = ShareKey {
            service: row.id,
            client: client.id.unwrap_or(UNKNOWN),
        };
        counters
            .shares
            .get(&own)
            .into_iter()
            .for_each(|&word| memory.set_share(own, word));
        memory.set_now(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        // The kernel sets the client in its copy of the row, too.
        let row = ServiceRow {
            client: client.id.unwrap_or(UNKNOWN),
            ..row
        };
        Some(Self { memory, row, tiers })
    }

    /// Returns the slots of a tier.
    pub(super) fn slots(&self, tier: &Range<u32>) -> impl Iterator<Item = Slot> {
        let has_slots = contiguous_backends(&self.row).is_none();
        let slot = move |index| {
            if has_slots {
                self.memory.slot(index)
            } else {
                Some(Slot::full(index))
            }
        };
        tier.clone().filter_map(slot).filter(|slot| slot.link == 0)
    }
}

/// Uses the average over all clients as the latency that this client has learned, because its own
/// rows are not read.
fn learn(memory: &Memory, pair: Pair, load: &BackendLoad) {
    for (part, average) in [
        (Part::Handshake, load.handshake),
        (Part::Duration, load.duration),
    ] {
        if average != 0 {
            latency::learn(memory, pair, part, u64::from(average) - 1);
        }
    }
}

fn rows(tables: &Tables, key: &FrontendKey, row: ServiceRow, tiers: &[Range<u32>]) -> Tables {
    // Each range includes the link that may follow it.
    let ranges = tiers
        .iter()
        .filter(|_| contiguous_backends(&row).is_none())
        .map(|tier| tier.start..=tier.end);
    let slots: Table<u32, Slot> = ranges
        .flat_map(|range| {
            tables
                .slots
                .range(range)
                .map(|(&index, &slot)| (index, slot))
        })
        .collect();
    let mut rows = Tables::default();
    rows.copy_services(tables, |id| id == row.id);
    rows.services = Table::from([(*key, row)]);
    rows.filter = filter(&rows.services);
    rows.slots = slots;
    rows
}
