//! The maps of this agent's layout: operations are written to them, tables and counters read from
//! them.

use std::{collections::BTreeMap, path::Path};

use bytemuck::Zeroable as _;
use mesh_common::abi::{
    AffinityKey, AffinityRow, BackendLoad, BackendRow, ExcludedKey, FrontendKey, NameRow,
    OutcomeKey, OutcomeRow, ServiceLoad, ServiceRow, ShareKey, Slot, SocketRow, capacity, maps,
    service_flags,
};

use super::{
    Counters, Error, Evidence, Meter,
    backends::BackendMap,
    clients::Clients,
    pinned_map::{CounterMap, Map},
};
use crate::{
    desired::{Capacity, Tables, contiguous_backends, plan::Op},
    table::Table,
};

/// The open maps.
pub(super) struct Maps {
    pub(super) services: Map<FrontendKey, ServiceRow>,
    pub(super) slots: Map<u32, Slot>,
    pub(super) backends: BackendMap,
    pub(super) names: Map<u32, NameRow>,
    pub(super) load: Map<u32, ServiceLoad>,
    pub(super) counters: CounterMap,
    pub(super) filter: Map<u32, u64>,
    pub(super) sockets: Map<u64, SocketRow>,
    pub(super) affinity: Map<AffinityKey, AffinityRow>,
    pub(super) excluded: Map<ExcludedKey, u64>,
    pub(super) shares: Map<ShareKey, u64>,
    pub(super) outcomes: Map<OutcomeKey, OutcomeRow>,
    pub(super) clients: Clients,
}

impl Maps {
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            services: Map::open(directory, maps::SERVICES)?,
            slots: Map::open(directory, maps::SLOTS)?,
            backends: BackendMap::open(directory)?,
            names: Map::open(directory, maps::NAMES)?,
            load: Map::open(directory, maps::LOAD)?,
            counters: CounterMap::open(directory, maps::COUNTERS)?,
            filter: Map::open(directory, maps::ADDRESS_FILTER)?,
            sockets: Map::open(directory, maps::SOCKETS)?,
            affinity: Map::open(directory, maps::AFFINITY)?,
            excluded: Map::open(directory, maps::EXCLUDED)?,
            shares: Map::open(directory, maps::SHARES)?,
            outcomes: Map::open(directory, maps::OUTCOMES)?,
            clients: Clients::open(directory)?,
        })
    }

    /// Replaces the rows of EXCLUDED.
    pub(super) fn exclude(&self, keys: &[ExcludedKey]) -> Result<(), Error> {
        let rows: Vec<(ExcludedKey, u64)> = keys.iter().map(|&key| (key, 1)).collect();
        self.excluded.update(&rows).map_err(|(_, error)| error)?;
        let mut old = self
            .excluded
            .scan()?
            .into_iter()
            .filter(|(key, _)| !keys.contains(key));
        old.try_for_each(|(key, _)| self.excluded.delete(&key))
    }

    /// Carries out operations of one kind. An error comes with the number of operations that were
    /// done.
    pub(super) fn apply_run(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        match &ops[0] {
            Op::TakeId { .. } => self.take_ids(ops),
            Op::TakeBackend(..) => self.backends.take(&backend_rows(ops)),
            Op::PutBackend(..) => self.backends.patch(&backend_rows(ops)),
            Op::PutSlot(..) => self.slots.update(&slot_rows(ops)),
            Op::PutFilter(..) => self.filter.update(&filter_rows(ops)),
            Op::PutService(..) => self.services.update(&service_rows(ops)),
            Op::DeleteService(_) | Op::FreeId(_) => self.delete_each(ops),
            // Nothing refers to a free slot, so its content does not matter.
            Op::FreeSlot(_) => Ok(()),
            Op::FreeBackend(_) => self.backends.take(&free_rows(ops)),
        }
    }

    /// Clears the counters before it writes the names, so that the next attempt repairs a failure
    /// in between.
    fn take_ids(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        let rows: Vec<(u32, NameRow)> = ops
            .iter()
            .filter_map(|op| match op {
                Op::TakeId { id, name } => Some((*id, name_row(name))),
                _ => None,
            })
            .collect();
        let ids: Vec<u32> = rows.iter().map(|(id, _)| *id).collect();
        self.counters.clear(&ids).map_err(|(_, error)| (0, error))?;
        self.names.update(&rows)
    }

    fn delete_each(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        for (done, op) in ops.iter().enumerate() {
            let deleted = match op {
                Op::DeleteService(key) => self.services.delete(key),
                Op::FreeId(id) => self.names.delete(id),
                _ => Ok(()),
            };
            deleted.map_err(|error| (done, error))?;
        }
        Ok(())
    }

    /// Reads the slots of all tiers of a service, and the links between them. Another process may
    /// have written any range, so ranges are limited to the capacity of the map.
    fn dump_slots(
        &self,
        row: &ServiceRow,
        capacity: Capacity,
        into: &mut Table<u32, Slot>,
    ) -> Result<(), Error> {
        let mut tier = (
            row.slot_base,
            row.slot_count,
            row.flags & service_flags::TIERS != 0,
        );
        loop {
            let (base, count, more) = tier;
            let count = count
                .saturating_add(more.into())
                .min(capacity.slots.saturating_sub(base));
            if count == 0 {
                return Ok(());
            }
            into.extend(self.slots.range(base, count as usize)?);
            let link = into.get(&(base.saturating_add(tier.1))).copied();
            match link.filter(|link| more && link.link != 0 && link.backend > base) {
                Some(link) => tier = (link.backend, link.alias, link.threshold != 0),
                None => return Ok(()),
            }
        }
    }

    /// Returns the evidence about backends. Does not read OUTCOMES if every backend is clear.
    fn evidence_of(
        &self,
        tables: &Tables,
        loads: &[(u32, BackendLoad)],
    ) -> Result<BTreeMap<u32, Evidence>, Error> {
        let is_clear = loads.iter().all(|(_, load)| load.health == 0);
        let rows = if is_clear {
            Vec::new()
        } else {
            self.outcomes.scan()?
        };
        Ok(Evidence::gather(tables, loads, &rows))
    }

    /// Returns the shares of clients. Does not read SHARES if no service limits them.
    fn shares_of(&self, tables: &Tables) -> Result<BTreeMap<ShareKey, u64>, Error> {
        let is_bounded = tables
            .services
            .values()
            .any(|row| row.max_client_connections != 0);
        Ok(if is_bounded {
            self.shares.scan()?.into_iter().collect()
        } else {
            BTreeMap::new()
        })
    }

    pub(super) fn dump(&self, capacity: Capacity) -> Result<Tables, Error> {
        let services = self.services.scan()?;
        let mut tables = Tables::default();
        for (_, row) in &services {
            if contiguous_backends(row).is_none() && !tables.slots.contains_key(&row.slot_base) {
                self.dump_slots(row, capacity, &mut tables.slots)?;
            }
        }
        tables.services = services.into_iter().collect();
        let filter = self.filter.range(0, capacity::ADDRESS_FILTER as usize)?;
        tables.filter = filter.into_iter().filter(|(_, bits)| *bits != 0).collect();
        tables.backends = self.backends.scan()?;
        let names = self
            .names
            .scan()?
            .into_iter()
            .filter(|(id, _)| *id < capacity.services);
        tables.names = names.map(|(id, name)| (id, name_text(&name))).collect();
        Ok(tables)
    }
}

fn backend_rows(ops: &[Op]) -> Vec<(u32, BackendRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::TakeBackend(index, row) | Op::PutBackend(index, row) => Some((*index, *row)),
            _ => None,
        })
        .collect()
}

fn slot_rows(ops: &[Op]) -> Vec<(u32, Slot)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutSlot(index, slot) => Some((*index, *slot)),
            _ => None,
        })
        .collect()
}

fn filter_rows(ops: &[Op]) -> Vec<(u32, u64)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutFilter(word, bits) => Some((*word, *bits)),
            _ => None,
        })
        .collect()
}

fn service_rows(ops: &[Op]) -> Vec<(FrontendKey, ServiceRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::PutService(key, row) => Some((*key, *row)),
            _ => None,
        })
        .collect()
}

fn free_rows(ops: &[Op]) -> Vec<(u32, BackendRow)> {
    ops.iter()
        .filter_map(|op| match op {
            Op::FreeBackend(index) => Some((*index, BackendRow::zeroed())),
            _ => None,
        })
        .collect()
}

fn name_row(name: &str) -> NameRow {
    let mut row = [0; size_of::<NameRow>()];
    row[..name.len()].copy_from_slice(name.as_bytes());
    row
}

fn name_text(row: &NameRow) -> String {
    let end = row.iter().position(|&byte| byte == 0).unwrap_or(row.len());
    String::from_utf8_lossy(&row[..end]).into_owned()
}

impl Meter for Maps {
    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, Error> {
        self.affinity.scan()
    }

    fn evidence(&self, tables: &Tables) -> Result<BTreeMap<u32, Evidence>, Error> {
        let indexes = tables
            .backends
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        self.evidence_of(
            tables,
            &self
                .backends
                .loads_where(indexes, |load| load.health != 0)?,
        )
    }

    fn read(&self, tables: &Tables) -> Result<Counters, Error> {
        let ids = tables
            .names
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        let indexes = tables
            .backends
            .keys()
            .next_back()
            .map_or(0, |&last| last as usize + 1);
        let services = (0..).zip(self.counters.range(0, ids)?);
        let loads = self.load.range(0, ids)?;
        let backends: Vec<(u32, BackendLoad)> = self.backends.loads(indexes)?;
        let evidence = self.evidence_of(tables, &backends)?;
        Ok(Counters {
            evidence,
            services: services
                .filter(|(id, _)| tables.names.contains_key(id))
                .collect(),
            loads: loads
                .into_iter()
                .filter(|(id, _)| tables.names.contains_key(id))
                .collect(),
            shares: self.shares_of(tables)?,
            backends: backends
                .into_iter()
                .filter(|(index, _)| tables.backends.contains_key(index))
                .collect(),
        })
    }
}
