//! The maps of this agent's layout: operations are written to them, tables and counters read from
//! them.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path};

use bytemuck::{Pod, Zeroable as _};
use mesh_common::abi::{
    AffinityKey, AffinityRow, BackendLoad, BackendRow, ExcludedKey, NameRow, ServiceRow, ShareKey,
    Slot,
    maps::{self, MapDef},
};

use super::{
    Counters, Error, Evidence, Meter,
    backends::BackendMap,
    pinned_map::{self, Map, PerCpuMap},
    probe_rows,
};
use crate::{
    desired::{Capacity, SlotTier, Tables, contiguous_backends, plan::Op},
    table::Table,
};

/// Collects the rows of operations of one kind.
macro_rules! rows {
    ($ops:ident, $kind:path) => {
        $ops.iter()
            .filter_map(|op| match op {
                $kind(key, row) => Some((*key, *row)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}

/// The open maps.
pub(super) struct Maps {
    open: BTreeMap<&'static str, OwnedFd>,
    cpus: usize,
}

impl Maps {
    /// Opens the pins in a directory.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let open = maps::ALL
            .iter()
            .map(|map| Ok((map.name, pinned_map::open(directory, map.name)?)))
            .collect::<Result<_, Error>>()?;
        let cpus = aya::util::nr_cpus().map_err(|(_, source)| Error {
            map: maps::COUNTERS.name,
            action: "count the CPUs".to_owned(),
            source,
        })?;
        Ok(Self { open, cpus })
    }

    /// Returns access to the rows of a map.
    pub(super) fn of<K: Pod, V: Pod>(&self, map: MapDef<K, V>) -> Map<'_, K, V> {
        Map::new(map, &self.open[map.name])
    }

    /// Returns access to the rows of a per-CPU array.
    pub(super) fn per_cpu<V: Pod>(&self, map: MapDef<u32, V>) -> PerCpuMap<'_, V> {
        PerCpuMap {
            map: self.of(map),
            cpus: self.cpus,
        }
    }

    /// Returns access to BACKENDS.
    pub(super) fn backends(&self) -> BackendMap<'_> {
        BackendMap(self.of(maps::BACKENDS))
    }

    /// Replaces the rows of EXCLUDED.
    pub(super) fn exclude(&self, keys: &[ExcludedKey]) -> Result<(), Error> {
        let rows: Vec<(ExcludedKey, u64)> = keys.iter().map(|&key| (key, 1)).collect();
        let map = self.of(maps::EXCLUDED);
        map.update(&rows).map_err(|(_, error)| error)?;
        let mut old = map
            .scan()?
            .into_iter()
            .filter(|(key, _)| !keys.contains(key));
        old.try_for_each(|(key, _)| map.delete(&key))
    }

    /// Carries out operations of one kind. An error comes with the number of operations that were
    /// done.
    pub(super) fn apply_run(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        match &ops[0] {
            Op::TakeId { .. } => self.take_ids(ops),
            Op::TakeBackend(..) => self.backends().take(&rows!(ops, Op::TakeBackend)),
            Op::PutBackend(..) => self.backends().patch(&rows!(ops, Op::PutBackend)),
            Op::PutSlot(..) => self.of(maps::SLOTS).update(&rows!(ops, Op::PutSlot)),
            Op::PutFilter(..) => {
                let words = rows!(ops, Op::PutFilter).into_iter();
                let words: Vec<_> = words
                    .map(|(word, bits)| (word, bits | probe_rows::filter_bits(word)))
                    .collect();
                self.of(maps::ADDRESS_FILTER).update(&words)
            }
            Op::PutService(..) => self.of(maps::SERVICES).update(&rows!(ops, Op::PutService)),
            Op::DeleteService(_) | Op::FreeId(_) => self.delete_each(ops),
            // Nothing refers to a free slot, so its content does not matter.
            Op::FreeSlot(_) => Ok(()),
            Op::FreeBackend(_) => self.backends().take(&free_rows(ops)),
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
        self.per_cpu(maps::COUNTERS)
            .clear(&ids)
            .map_err(|(_, error)| (0, error))?;
        self.of(maps::NAMES).update(&rows)
    }

    fn delete_each(&self, ops: &[Op]) -> Result<(), (usize, Error)> {
        for (done, op) in ops.iter().enumerate() {
            let deleted = match op {
                Op::DeleteService(key) => self.of(maps::SERVICES).delete(key),
                Op::FreeId(id) => self.of(maps::NAMES).delete(id),
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
        let mut tier = Some(SlotTier::first(row));
        while let Some(present) = tier {
            let slots = present.with_link();
            let count = slots.end.min(capacity.slots).saturating_sub(slots.start);
            into.extend(self.of(maps::SLOTS).range(slots.start, count as usize)?);
            tier = present.next(into);
        }
        Ok(())
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
            self.of(maps::OUTCOMES).scan()?
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
            self.of(maps::SHARES).scan()?.into_iter().collect()
        } else {
            BTreeMap::new()
        })
    }

    pub(super) fn dump(&self, capacity: Capacity) -> Result<Tables, Error> {
        let mut services = self.of(maps::SERVICES).scan()?;
        services.retain(|(key, _)| !probe_rows::is_probe(key));
        let mut tables = Tables::default();
        for (_, row) in &services {
            if contiguous_backends(row).is_none() && !tables.slots.contains_key(&row.slot_base) {
                self.dump_slots(row, capacity, &mut tables.slots)?;
            }
        }
        tables.services = services.into_iter().collect();
        let filter = self
            .of(maps::ADDRESS_FILTER)
            .range(0, maps::ADDRESS_FILTER.capacity() as usize)?;
        let mut filter = filter.into_iter().collect();
        probe_rows::hide_bits(&mut filter, &tables.services);
        tables.filter = filter.into_iter().filter(|(_, bits)| *bits != 0).collect();
        tables.backends = self.backends().scan(capacity.backends)?;
        let names = self
            .of(maps::NAMES)
            .scan()?
            .into_iter()
            .filter(|(id, _)| *id < capacity.services);
        tables.names = names.map(|(id, name)| (id, name_text(&name))).collect();
        Ok(tables)
    }
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
        self.of(maps::AFFINITY).scan()
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
                .backends()
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
        let services = (0..).zip(self.per_cpu(maps::COUNTERS).range(0, ids)?);
        let loads = self.of(maps::LOAD).range(0, ids)?;
        let backends: Vec<(u32, BackendLoad)> = self.backends().loads(indexes)?;
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
