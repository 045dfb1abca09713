//! Tables over the kernel maps: operations are written to them, tables read back. What each map does
//! differently from a plain hash of rows has a type here.

use bytemuck::{Pod, Zeroable as _};
use mesh_common::abi::{
    BackendEntry, BackendRow, FrontendKey, NameRow, ServiceRow, Slot,
    maps::{self, MapDef},
};
use mesh_core::for_each_table;

use super::{Error, backends::BackendMap, maps::Maps, pinned_map::Map, probe_rows};
use crate::{
    desired::{
        Capacity, SlotTier, Tables, contiguous_backends,
        plan::{Op, Write},
    },
    table::Table,
};

/// What was written. An error comes with the number of rows that were.
type Written = Result<(), (usize, Error)>;

/// A table in its map.
trait TableMap<K, V> {
    /// Writes or changes rows in place.
    fn put(&self, rows: &[(K, V)]) -> Written;
    /// Writes the rows of keys that were free.
    fn take(&self, rows: &[(K, V)]) -> Written {
        self.put(rows)
    }
    /// Removes rows, whether programs may still read them or not.
    fn delete(&self, keys: &[K]) -> Written;
    /// Reads back all rows in use. `tables` has the rows of the maps that are declared before.
    fn dump(&self, tables: &Tables, capacity: Capacity) -> Result<Table<K, V>, Error>;
}

macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        $table:ident: $op:ident<$key:ty, $row:ty>, map: $map:ident as $access:ident, plan: $plan:ident, text: $text:ident,
        service: $service:ident;
    )+) => {
        impl Maps {
            /// Carries out operations that are [alike](Op::is_like). An error comes with the number of
            /// operations that were done.
            pub(super) fn apply_run(&self, ops: &[Op]) -> Written {
                match &ops[0] {
                    $(Op::$op(_, first) => {
                        let writes = ops.iter().filter_map(|op| match op {
                            Op::$op(key, write) => Some((key, write)),
                            _ => None,
                        });
                        apply(&$access::of(self, maps::$map), first, writes)
                    })+
                }
            }

            /// Reads back all tables.
            pub(super) fn dump(&self, capacity: Capacity) -> Result<Tables, Error> {
                let mut tables = Tables::default();
                $(tables.$table = $access::of(self, maps::$map).dump(&tables, capacity)?;)+
                Ok(tables)
            }
        }
    };
}

for_each_table!(tables);

fn apply<'a, K: Clone + 'a, V: Clone + 'a>(
    map: &impl TableMap<K, V>,
    first: &Write<V>,
    writes: impl Iterator<Item = (&'a K, &'a Write<V>)> + Clone,
) -> Written {
    let rows = writes.clone().filter_map(|(key, write)| match write {
        Write::Take(row) | Write::Put(row) => Some((key.clone(), row.clone())),
        Write::Delete | Write::Free => None,
    });
    match first {
        Write::Take(_) => map.take(&rows.collect::<Vec<_>>()),
        Write::Put(_) => map.put(&rows.collect::<Vec<_>>()),
        Write::Delete | Write::Free => {
            map.delete(&writes.map(|(key, _)| key.clone()).collect::<Vec<_>>())
        }
    }
}

fn delete<K: Pod, V: Pod>(map: &Map<'_, K, V>, keys: &[K]) -> Written {
    for (done, key) in keys.iter().enumerate() {
        map.delete(key).map_err(|error| (done, error))?;
    }
    Ok(())
}

/// SERVICES: a hash with rows of the self-probe, which are no part of the table.
struct Services<'a>(Map<'a, FrontendKey, ServiceRow>);

impl<'a> Services<'a> {
    fn of(maps: &'a Maps, map: MapDef<FrontendKey, ServiceRow>) -> Self {
        Self(maps.of(map))
    }
}

impl TableMap<FrontendKey, ServiceRow> for Services<'_> {
    fn put(&self, rows: &[(FrontendKey, ServiceRow)]) -> Written {
        self.0.update(rows)
    }

    fn delete(&self, keys: &[FrontendKey]) -> Written {
        delete(&self.0, keys)
    }

    fn dump(&self, _: &Tables, _: Capacity) -> Result<Table<FrontendKey, ServiceRow>, Error> {
        let rows = self.0.scan()?.into_iter();
        Ok(rows.filter(|(key, _)| !probe_rows::is_probe(key)).collect())
    }
}

/// NAMES: text in rows of a fixed size, and the counters of each id.
struct Names<'a> {
    maps: &'a Maps,
    names: Map<'a, u32, NameRow>,
}

impl<'a> Names<'a> {
    fn of(maps: &'a Maps, map: MapDef<u32, NameRow>) -> Self {
        let names = maps.of(map);
        Self { maps, names }
    }
}

impl TableMap<u32, String> for Names<'_> {
    fn put(&self, rows: &[(u32, String)]) -> Written {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, name)| (*id, name_row(name)))
            .collect();
        self.names.update(&rows)
    }

    /// Clears the counters before it writes the names, so that the next attempt repairs a failure in
    /// between.
    fn take(&self, rows: &[(u32, String)]) -> Written {
        let ids: Vec<u32> = rows.iter().map(|(id, _)| *id).collect();
        let counters = self.maps.per_cpu(maps::COUNTERS);
        counters.clear(&ids).map_err(|(_, error)| (0, error))?;
        self.put(rows)
    }

    fn delete(&self, ids: &[u32]) -> Written {
        delete(&self.names, ids)
    }

    fn dump(&self, _: &Tables, capacity: Capacity) -> Result<Table<u32, String>, Error> {
        let scanned = self.names.scan()?.into_iter();
        let names = scanned.filter(|(id, _)| *id < capacity.services);
        Ok(names.map(|(id, name)| (id, name_text(&name))).collect())
    }
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

/// ADDRESS_FILTER: an array, in which a row that the table lacks has only the bits of the self-probe.
struct Words<'a>(Map<'a, u32, u64>);

impl<'a> Words<'a> {
    fn of(maps: &'a Maps, map: MapDef<u32, u64>) -> Self {
        Self(maps.of(map))
    }
}

impl TableMap<u32, u64> for Words<'_> {
    fn put(&self, rows: &[(u32, u64)]) -> Written {
        let given = rows.iter();
        let rows: Vec<_> = given
            .map(|&(word, bits)| (word, bits | probe_rows::filter_bits(word)))
            .collect();
        self.0.update(&rows)
    }

    fn delete(&self, words: &[u32]) -> Written {
        self.put(&words.iter().map(|&word| (word, 0)).collect::<Vec<_>>())
    }

    fn dump(&self, tables: &Tables, _: Capacity) -> Result<Table<u32, u64>, Error> {
        let range = self.0.range(0, maps::ADDRESS_FILTER.capacity() as usize)?;
        let mut words = range.into_iter().collect();
        probe_rows::hide_bits(&mut words, &tables.services);
        Ok(words.into_iter().filter(|(_, bits)| *bits != 0).collect())
    }
}

/// SLOTS: an array, in which rows are in use if a service row refers to them.
struct Slots<'a>(Map<'a, u32, Slot>);

impl<'a> Slots<'a> {
    fn of(maps: &'a Maps, map: MapDef<u32, Slot>) -> Self {
        Self(maps.of(map))
    }

    /// Reads the slots of all tiers of a service, and the links between them. Another process may
    /// have written any range, so ranges are limited to the capacity of the map.
    fn read(
        &self,
        row: &ServiceRow,
        capacity: Capacity,
        into: &mut Table<u32, Slot>,
    ) -> Result<(), Error> {
        let mut tier = Some(SlotTier::first(row));
        while let Some(present) = tier {
            let slots = present.with_link();
            let count = slots.end.min(capacity.slots).saturating_sub(slots.start);
            into.extend(self.0.range(slots.start, count as usize)?);
            tier = present.next(into);
        }
        Ok(())
    }
}

impl TableMap<u32, Slot> for Slots<'_> {
    fn put(&self, rows: &[(u32, Slot)]) -> Written {
        self.0.update(rows)
    }

    /// Nothing refers to a free slot, so its content does not matter.
    fn delete(&self, _: &[u32]) -> Written {
        Ok(())
    }

    fn dump(&self, tables: &Tables, capacity: Capacity) -> Result<Table<u32, Slot>, Error> {
        let mut slots = Table::default();
        for row in tables.services.values() {
            if contiguous_backends(row).is_none() && !slots.contains_key(&row.slot_base) {
                self.read(row, capacity, &mut slots)?;
            }
        }
        Ok(slots)
    }
}

/// BACKENDS: an array whose rows programs change, too.
struct Backends<'a>(BackendMap<'a>);

impl<'a> Backends<'a> {
    fn of(maps: &'a Maps, _: MapDef<u32, BackendEntry>) -> Self {
        Self(maps.backends())
    }
}

impl TableMap<u32, BackendRow> for Backends<'_> {
    fn put(&self, rows: &[(u32, BackendRow)]) -> Written {
        self.0.patch(rows)
    }

    fn take(&self, rows: &[(u32, BackendRow)]) -> Written {
        self.0.take(rows)
    }

    fn delete(&self, indexes: &[u32]) -> Written {
        let rows: Vec<_> = indexes
            .iter()
            .map(|&index| (index, BackendRow::zeroed()))
            .collect();
        self.0.take(&rows)
    }

    fn dump(&self, _: &Tables, capacity: Capacity) -> Result<Table<u32, BackendRow>, Error> {
        self.0.scan(capacity.backends)
    }
}
