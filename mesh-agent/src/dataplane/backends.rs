//! The map BACKENDS. One half of each row is written by the agent, the other by the kernel
//! programs.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    ptr::{self, NonNull},
};

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
            let mapped = self
                .map(page[0].0 / ROWS_PER_PAGE)
                .map_err(|error| (done, error))?;
            page.iter()
                .for_each(|(index, row)| mapped.patch(index % ROWS_PER_PAGE, row));
            done += page.len();
        }
        Ok(())
    }

    /// Ends what clients agreed on about these backends.
    pub(super) fn lift(&self, indexes: &[u32]) -> Result<(), Error> {
        indexes.iter().try_for_each(|index| {
            self.map(index / ROWS_PER_PAGE)?.lift(index % ROWS_PER_PAGE);
            Ok(())
        })
    }

    /// Returns the rows below `end` that are not free.
    pub(super) fn scan(&self, end: u32) -> Result<Table<u32, BackendRow>, Error> {
        let rows = self
            .0
            .scan()?
            .into_iter()
            .map(|(index, entry)| (index, entry.row));
        Ok(rows
            .filter(|(index, row)| *index < end && row.state != backend_state::FREE)
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

    fn map(&self, page: u32) -> Result<Page, Error> {
        let length = NonZeroUsize::new(PAGE).expect("a page is not empty");
        let offset = i64::from(page) * PAGE as i64;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of a descriptor that is open.
        let mapped = unsafe {
            mmap(
                None,
                length,
                protection,
                MapFlags::MAP_SHARED,
                self.0.fd(),
                offset,
            )
        };
        mapped
            .map(|address| Page(address.cast()))
            .map_err(|errno| self.0.error("map rows", errno.into()))
    }
}

/// A page of rows in memory.
struct Page(NonNull<BackendEntry>);

impl Page {
    fn patch(&self, at: u32, row: &BackendRow) {
        assert!(at < ROWS_PER_PAGE, "a row of this page");
        // SAFETY: within the page, which is mapped until this is dropped. Programs read these words,
        // each whole, at any time; so each is written whole.
        unsafe {
            let to = ptr::addr_of_mut!((*self.0.as_ptr().add(at as usize)).row);
            ptr::addr_of_mut!((*to).weight).write_volatile(row.weight);
            ptr::addr_of_mut!((*to).drain_seconds).write_volatile(row.drain_seconds);
            ptr::addr_of_mut!((*to).state).write_volatile(row.state);
        }
    }
}

impl Page {
    fn lift(&self, at: u32) {
        assert!(at < ROWS_PER_PAGE, "a row of this page");
        // SAFETY: within the page, which is mapped until this is dropped. Programs change the words
        // beside the row, which are atomic here, too.
        evidence::lift(unsafe { &*self.0.as_ptr().add(at as usize).cast::<Backend>() });
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and nothing else has the address. It cannot fail for a whole
        // mapping.
        _ = unsafe { munmap(self.0.cast(), PAGE) };
    }
}
