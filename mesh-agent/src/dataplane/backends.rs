//! The map BACKENDS. One half of each row is written by the agent, the other by the kernel
//! programs.

use std::{collections::BTreeSet, num::NonZeroUsize, ptr::NonNull};

use bytemuck::Zeroable as _;
use mesh_common::{
    abi::{Backend, BackendEntry, BackendLoad, BackendRow, backend_state},
    evidence, occupancy,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::{Error, pinned_map::Map};
use crate::table::Table;

/// Size of a page, which is also the unit of mapping.
const PAGE: usize = 4096;
#[expect(clippy::cast_possible_truncation, reason = "64")]
const ROWS_PER_PAGE: u32 = (PAGE / size_of::<BackendEntry>()) as u32;

/// BACKENDS.
pub(super) struct BackendMap<'a>(pub(super) Map<'a, u32, BackendEntry>);

impl BackendMap<'_> {
    /// Writes whole rows with zero load, for indexes that are taken or freed.
    pub(super) fn take(&self, rows: &[(u32, BackendRow)]) -> Result<(), (usize, Error)> {
        let entry = |row| BackendEntry {
            row,
            load: BackendLoad::zeroed(),
        };
        let entries: Vec<(u32, BackendEntry)> = rows
            .iter()
            .map(|&(index, row)| (index, entry(row)))
            .collect();
        self.0.update(&entries)
    }

    /// Changes state, weight and drain of rows in use. Does not touch what the kernel programs
    /// count, which is possible only through mapped memory.
    pub(super) fn patch(&self, rows: &[(u32, BackendRow)]) -> Result<(), (usize, Error)> {
        let mut done = 0;
        for page in
            rows.chunk_by(|(one, _), (other, _)| one / ROWS_PER_PAGE == other / ROWS_PER_PAGE)
        {
            let mapped = self.map_page(page[0].0).map_err(|error| (done, error))?;
            page.iter()
                .for_each(|(index, row)| mapped.patch(index % ROWS_PER_PAGE, row));
            done += page.len();
        }
        Ok(())
    }

    /// Ends what clients agreed on about these backends.
    pub(super) fn lift(&self, indexes: &[u32]) -> Result<(), Error> {
        indexes.iter().try_for_each(|index| {
            self.map_page(*index)?.lift(index % ROWS_PER_PAGE);
            Ok(())
        })
    }

    /// Returns the rows below `end` that are not free. Reads mapped memory, which is many times faster
    /// than system calls: most rows are free.
    pub(super) fn scan(&self, end: u32) -> Result<Table<u32, BackendRow>, Error> {
        let mapped = self.map(0, end)?;
        Ok((0..end)
            .map(|index| (index, mapped.row(index)))
            .filter(|(_, row)| row.state != backend_state::FREE)
            .collect())
    }

    /// Returns the first `count` rows with their load.
    pub(super) fn entries(&self, count: usize) -> Result<Vec<BackendEntry>, Error> {
        Ok(self
            .0
            .range(0, count)?
            .into_iter()
            .map(|(_, entry)| entry)
            .collect())
    }

    /// Returns the load of the first `count` rows.
    pub(super) fn loads(&self, count: usize) -> Result<Vec<(u32, BackendLoad)>, Error> {
        Ok(self
            .0
            .range(0, count)?
            .into_iter()
            .map(|(index, entry)| (index, entry.load))
            .collect())
    }

    /// Returns the loads that `keep` selects among the first `count` rows.
    pub(super) fn loads_where(
        &self,
        count: usize,
        keep: impl Fn(&BackendLoad) -> bool,
    ) -> Result<Vec<(u32, BackendLoad)>, Error> {
        let kept = self.0.filtered(count, |entry| keep(&entry.load))?;
        Ok(kept
            .into_iter()
            .map(|(index, entry)| (index, entry.load))
            .collect())
    }

    /// Returns which of these rows sockets hold.
    pub(super) fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        let indexes: Vec<u32> = backends.iter().copied().collect();
        let mut held = BTreeSet::new();
        // Rows of one page are read in one call.
        for near in indexes.chunk_by(|one, other| one / ROWS_PER_PAGE == other / ROWS_PER_PAGE) {
            let rows = self
                .0
                .range(near[0], (near[near.len() - 1] - near[0] + 1) as usize)?;
            let live = rows
                .into_iter()
                .filter(|(_, entry)| occupancy::live(entry.load.live) != 0)
                .map(|(index, _)| index);
            held.extend(live.filter(|index| backends.contains(index)));
        }
        Ok(held)
    }

    /// Maps the page that has a row.
    fn map_page(&self, index: u32) -> Result<Mapped, Error> {
        self.map(index - index % ROWS_PER_PAGE, ROWS_PER_PAGE)
    }

    /// Maps rows from the first one of a page on. The last page of the map is whole.
    fn map(&self, start: u32, rows: u32) -> Result<Mapped, Error> {
        let length = (rows as usize * size_of::<BackendEntry>()).next_multiple_of(PAGE);
        let offset = i64::from(start / ROWS_PER_PAGE) * PAGE as i64;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of a descriptor that is open.
        let mapped = unsafe {
            mmap(
                None,
                NonZeroUsize::new(length).expect("a map has rows"),
                protection,
                MapFlags::MAP_SHARED,
                self.0.fd(),
                offset,
            )
        };
        mapped
            .map(|address| Mapped {
                start: address.cast(),
                rows,
                length,
            })
            .map_err(|errno| self.0.error("map rows", errno.into()))
    }
}

/// Rows in memory, the first at the start of a page.
struct Mapped {
    start: NonNull<BackendEntry>,
    rows: u32,
    /// Bytes, whole pages.
    length: usize,
}

impl Mapped {
    fn entry(&self, at: u32) -> *mut BackendEntry {
        assert!(at < self.rows, "a mapped row");
        // SAFETY: within the mapping, which lasts until this is dropped.
        unsafe { self.start.as_ptr().add(at as usize) }
    }

    /// Returns what the agent wrote. Nothing else writes this half.
    fn row(&self, at: u32) -> BackendRow {
        // SAFETY: a mapped row.
        unsafe { (&raw const (*self.entry(at)).row).read_volatile() }
    }

    fn patch(&self, at: u32, row: &BackendRow) {
        // SAFETY: a mapped row. Programs read these words, each whole, at any time; so each is written
        // whole.
        unsafe {
            let to = &raw mut (*self.entry(at)).row;
            (&raw mut (*to).weight).write_volatile(row.weight);
            (&raw mut (*to).drain_seconds).write_volatile(row.drain_seconds);
            (&raw mut (*to).state).write_volatile(row.state);
        }
    }

    fn lift(&self, at: u32) {
        // SAFETY: a mapped row. Programs change the words beside the agent's half, which are atomic
        // here, too.
        evidence::lift(unsafe { &*self.entry(at).cast::<Backend>() });
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped here, and nothing else has the address. It cannot fail for a whole
        // mapping.
        _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}
