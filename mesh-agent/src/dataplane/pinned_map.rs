//! Pinned maps with typed rows, read and written in batches.

use std::{io, marker::PhantomData, os::fd::OwnedFd, path::Path};

use bytemuck::Pod;
use mesh_common::abi::{ServiceCounters, maps::MapDef};

use super::{Error, sys};

/// Rows per system call: enough that the cost of the call is negligible, and few enough to stay in
/// the cache.
const BATCH: usize = 4096;

/// Opens the pin of a map.
pub(super) fn open(directory: &Path, map: &'static str) -> Result<OwnedFd, Error> {
    let path = directory.join(map);
    sys::obj_get(&path).map_err(|source| Error {
        map,
        action: format!("open {}", path.display()),
        source,
    })
}

/// A map whose keys and values have the sizes of `K` and `V`, which [`layout`](super::layout)
/// checks.
pub(super) struct Map<'a, K, V> {
    name: &'static str,
    fd: &'a OwnedFd,
    rows: PhantomData<fn(K) -> V>,
}

impl<'a, K: Pod, V: Pod> Map<'a, K, V> {
    /// Returns access to the rows of an open map.
    pub(super) fn new(map: MapDef<K, V>, fd: &'a OwnedFd) -> Self {
        Self {
            name: map.name,
            fd,
            rows: PhantomData,
        }
    }

    /// Writes rows in order. An error comes with the number of rows that were written.
    pub(super) fn update(&self, rows: &[(K, V)]) -> Result<(), (usize, Error)> {
        for (number, batch) in rows.chunks(BATCH).enumerate() {
            let (keys, values): (Vec<K>, Vec<V>) = batch.iter().copied().unzip();
            sys::update_batch(self.fd, &keys, &values).map_err(|(done, source)| {
                (
                    number * BATCH + done,
                    self.error(&format!("write {} rows", rows.len()), source),
                )
            })?;
        }
        Ok(())
    }

    /// Returns the row of a key.
    pub(super) fn get(&self, key: &K) -> Result<Option<V>, Error> {
        match sys::lookup(self.fd, key) {
            Ok(value) => Ok(Some(value)),
            Err(source) if source.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(source) => Err(self.error("read a row", source)),
        }
    }

    /// Deletes a row if it exists.
    pub(super) fn delete(&self, key: &K) -> Result<(), Error> {
        self.delete_known(key).map(drop)
    }

    /// Deletes a row. Returns false if it did not exist.
    pub(super) fn delete_known(&self, key: &K) -> Result<bool, Error> {
        match sys::delete(self.fd, key) {
            Ok(()) => Ok(true),
            Err(source) if source.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(source) => Err(self.error("delete a row", source)),
        }
    }

    /// Returns all rows, in the map's own order. Rows that are written or deleted during the scan
    /// may be missed or returned twice.
    pub(super) fn scan(&self) -> Result<Vec<(K, V)>, Error> {
        self.select(|_, _| true)
    }

    /// Returns the rows that `wanted` selects, like [`scan`](Self::scan).
    pub(super) fn select(&self, wanted: impl Fn(&K, &V) -> bool) -> Result<Vec<(K, V)>, Error> {
        let mut rows = Vec::new();
        self.read(sys::Cursor::default(), usize::MAX, BATCH, |key, value| {
            if wanted(key, value) {
                rows.push((*key, *value));
            }
        })?;
        Ok(rows)
    }

    /// Returns the rows that `keep` selects among the first `count` of an array, without copying
    /// the others.
    pub(super) fn filtered(
        &self,
        count: usize,
        keep: impl Fn(&V) -> bool,
    ) -> Result<Vec<(K, V)>, Error> {
        let mut rows = Vec::new();
        let mut each = |key: &K, value: &V| {
            if keep(value) {
                rows.push((*key, *value));
            }
        };
        self.read(sys::Cursor::at(0), count, BATCH, &mut each)?;
        Ok(rows)
    }

    /// Calls `each` for up to `limit` rows from `cursor` on, `batch` at a time.
    fn read(
        &self,
        cursor: sys::Cursor,
        limit: usize,
        batch: usize,
        mut each: impl FnMut(&K, &V),
    ) -> Result<(), Error> {
        let mut cursor = cursor;
        let mut left = limit;
        let mut keys = vec![K::zeroed(); left.min(batch)];
        let mut values = vec![V::zeroed(); keys.len()];
        while left > 0 {
            let count = left.min(batch);
            let (read, end) = sys::lookup_batch(
                self.fd,
                &mut cursor,
                &mut keys[..count],
                &mut values[..count],
            )
            .map_err(|source| self.error("read rows", source))?;
            keys.iter()
                .zip(&values)
                .take(read)
                .for_each(|(key, value)| each(key, value));
            left -= read;
            if end || read == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Returns the descriptor of the map.
    pub(super) fn fd(&self) -> &OwnedFd {
        self.fd
    }

    pub(super) fn error(&self, action: &str, source: io::Error) -> Error {
        Error {
            map: self.name,
            action: action.to_owned(),
            source,
        }
    }
}

impl<V: Pod> Map<'_, u32, V> {
    /// Returns the rows `start..start + count` of an array.
    pub(super) fn range(&self, start: u32, count: usize) -> Result<Vec<(u32, V)>, Error> {
        let mut rows = Vec::with_capacity(count);
        self.read(sys::Cursor::at(start), count, BATCH, |&index, &value| {
            rows.push((index, value));
        })?;
        Ok(rows)
    }
}

/// A per-CPU array.
pub(super) struct PerCpuMap<'a, V> {
    pub(super) map: Map<'a, u32, V>,
    pub(super) cpus: usize,
}

impl<V: Pod> PerCpuMap<'_, V> {
    /// Sets rows to zero on every CPU.
    pub(super) fn clear(&self, rows: &[u32]) -> Result<(), (usize, Error)> {
        let zeros = vec![V::zeroed(); rows.len() * self.cpus];
        sys::update_batch(self.map.fd, rows, &zeros)
            .map_err(|(done, source)| (done, self.map.error("clear rows", source)))
    }
}

impl PerCpuMap<'_, ServiceCounters> {
    /// Returns the rows `start..start + count`, each summed over all CPUs.
    pub(super) fn range(&self, start: u32, count: usize) -> Result<Vec<ServiceCounters>, Error> {
        let mut cursor = sys::Cursor::at(start);
        let mut rows = Vec::with_capacity(count);
        while rows.len() < count {
            let batch = (count - rows.len()).min(BATCH / self.cpus + 1);
            let (mut keys, mut values) = (
                vec![0_u32; batch],
                vec![ServiceCounters::default(); batch * self.cpus],
            );
            let (read, end) = sys::lookup_batch(self.map.fd, &mut cursor, &mut keys, &mut values)
                .map_err(|source| self.map.error("read rows", source))?;
            rows.extend(values.chunks(self.cpus).take(read).map(sum));
            if end || read == 0 {
                break;
            }
        }
        Ok(rows)
    }
}

fn sum(cpus: &[ServiceCounters]) -> ServiceCounters {
    let mut total = ServiceCounters::default();
    for counters in cpus {
        total
            .iter_mut()
            .zip(counters)
            .for_each(|(total, counter)| *total += counter);
    }
    total
}
