//! The open maps of this agent's layout, and the counters in them.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path};

use bytemuck::Pod;
use mesh_common::abi::{
    AffinityKey, AffinityRow, BackendLoad, ExcludedKey, ShareKey,
    maps::{self, MapDef},
};

use super::{
    Counters, Error, Evidence, Meter,
    backends::BackendMap,
    pinned_map::{self, Map, PerCpuMap},
};
use crate::desired::Tables;

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
        Ok(Self {
            open,
            cpus: cpus()?,
        })
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
}

/// Returns for how many CPUs a per-CPU map has values.
pub(super) fn cpus() -> Result<usize, Error> {
    aya::util::nr_cpus().map_err(|(_, source)| Error {
        map: maps::COUNTERS.name,
        action: "count the CPUs".to_owned(),
        source,
    })
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
