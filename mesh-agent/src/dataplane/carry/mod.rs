//! Carries over what the maps of an earlier agent hold, so that another layout or capacity loses
//! nothing.
//!
//! ```text
//! forms of old and new maps ──plan()──► kept:   the new programs use the old map
//!                                  ├──► copied: rows ──convert()──► Snapshot ──difference──► new map
//!                                  └──► empty
//! ```
//!
//! The old programs count until their links are switched. So copying is a comparison of two
//! snapshots, and it is repeated: at the start, with nothing before; right before the switch; and
//! after it, until the last old program has ended. Each event is counted by either the old or the new
//! programs, so the sums of both are right; a row moves without being counted again.

mod convert;
mod difference;
mod old_map;
mod plan;
mod snapshot;

use std::{
    collections::{BTreeMap, HashSet},
    hash::Hash,
    path::Path,
    thread,
    time::Duration,
};

use bytemuck::Pod;
use mesh_common::{
    abi::{
        ABI_VERSION, SocketRow,
        maps::{self, MapDef},
    },
    settle::Request,
};
use tracing::{info, warn};

use self::{
    difference::{Change, changes, counted, sums, uncounted, unseen},
    old_map::OldMaps,
    plan::{Fate, Forms},
    snapshot::{Snapshot, read_sockets},
};
use super::{
    Error,
    layout::{self, Form},
    sockets::Sockets,
};
use crate::desired::Capacity;

/// Time after which no program is running that was replaced before.
const GRACE: Duration = Duration::from_millis(20);

/// The maps of an earlier agent, and what becomes of each.
pub(super) struct Earlier {
    old: OldMaps,
    fates: BTreeMap<&'static str, Fate>,
}

impl Earlier {
    /// Looks at the maps in `directory`. Returns nothing if their layout is not understood.
    pub(super) fn look(directory: &Path, capacity: Capacity, cpus: usize) -> Option<Self> {
        let version = layout::version(&directory.file_name()?.to_string_lossy())?;
        if !plan::is_understood(version) {
            return None;
        }
        let form = |name| Form::read(&directory.join(name)).ok();
        let old = maps::ALL
            .iter()
            .filter_map(|map| Some((map.name, form(map.name)?)));
        let new: Forms = maps::ALL
            .iter()
            .map(|map| (map.name, Form::of(map, capacity)))
            .collect();
        Some(Self {
            fates: plan::plan(version, &old.collect(), &new),
            old: OldMaps {
                directory: directory.to_owned(),
                version,
                cpus,
            },
        })
    }

    /// Returns the version of the layout.
    pub(super) fn version(&self) -> u32 {
        self.old.version
    }

    /// Returns its directory.
    pub(super) fn directory(&self) -> &Path {
        &self.old.directory
    }

    /// Returns the maps that old and new programs share.
    pub(super) fn kept(&self) -> impl Iterator<Item = &'static str> {
        let kept = self.fates.iter().filter(|(_, fate)| **fate == Fate::Kept);
        kept.map(|(name, _)| *name)
    }

    /// Returns whether the services of the earlier agent stay in the maps.
    pub(super) fn keeps_services(&self) -> bool {
        self.fates.get(maps::SERVICES.name) == Some(&Fate::Kept)
    }
}

/// Which programs follow TCP states.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attached {
    Old,
    New,
}

/// Copying under way.
pub(super) struct Carry {
    earlier: Earlier,
    new: Sockets,
    capacity: Capacity,
    /// The old maps at the last comparison.
    before: Snapshot,
    attached: Attached,
}

impl Carry {
    /// Copies all rows into new maps.
    pub(super) fn start(earlier: Earlier, new: Sockets, capacity: Capacity) -> Result<Self, Error> {
        let now = Snapshot::read(&earlier.old, &earlier.fates)?;
        let mut carry = Self {
            earlier,
            new,
            capacity,
            before: Snapshot::default(),
            attached: Attached::Old,
        };
        carry.put_rows(&now)?;
        // They came with the rows.
        carry.before.backends.clone_from(&now.backends);
        carry.catch_up(now)?;
        let (sockets, backends) = (carry.before.sockets.len(), carry.before.backends.len());
        let version = carry.earlier.version();
        info!(
            version,
            sockets, backends, "carried over the rows of an earlier agent"
        );
        Ok(carry)
    }

    /// Continues after an agent that ended during the switch, with its maps in `directory`. What was
    /// copied before is not known: sums become at least as high as the old ones, and rows that only
    /// one of the maps has are added or looked for.
    pub(super) fn resume(
        earlier: Earlier,
        new: Sockets,
        capacity: Capacity,
        directory: &Path,
    ) -> Result<Self, Error> {
        let maps = OldMaps {
            directory: directory.to_owned(),
            version: ABI_VERSION,
            cpus: earlier.old.cpus,
        };
        let there = Snapshot::read(&maps, &earlier.fates)?;
        let now = Snapshot::read(&earlier.old, &earlier.fates)?;
        let is_only_there = |cookie: &&u64| !now.sockets.contains_key(cookie);
        let ended: Vec<u64> = there
            .sockets
            .keys()
            .filter(is_only_there)
            .copied()
            .collect();
        let mut carry = Self {
            earlier,
            new,
            capacity,
            before: there.at_most(&now),
            attached: Attached::New,
        };
        carry.settle(ended.into_iter().map(Request::Suspect))?;
        carry.catch_up(now)?;
        Ok(carry)
    }

    /// Copies what happened since the start. The programs are about to be switched.
    pub(super) fn before_switch(&mut self) -> Result<(), Error> {
        let now = Snapshot::read(&self.earlier.old, &self.earlier.fates)?;
        self.catch_up(now)?;
        self.catch_up_sockets()
    }

    /// Copies what happened until the last old program ended.
    pub(super) fn after_switch(mut self) -> Result<(), Error> {
        self.attached = Attached::New;
        self.catch_up_sockets()?;
        for pause in [Duration::ZERO, GRACE] {
            thread::sleep(pause);
            let now = Snapshot::read(&self.earlier.old, &self.earlier.fates)?;
            self.catch_up(now)?;
        }
        Ok(())
    }

    /// Writes the rows that nothing else writes yet.
    fn put_rows(&self, now: &Snapshot) -> Result<(), Error> {
        let below = |rows: u32| move |index: &u32| *index < rows;
        let (is_id, is_index) = (below(self.capacity.services), below(self.capacity.backends));
        let of_ids = now.names.iter().filter(|(id, _)| is_id(id));
        let names: Vec<_> = of_ids.map(|(&id, &name)| (id, name)).collect();
        let of_indexes = now.backends.iter().filter(|(index, _)| is_index(index));
        let backends: Vec<_> = of_indexes.map(|(&index, &entry)| (index, entry)).collect();
        let maps = &self.new.maps;
        let write = |result: Result<(), (usize, Error)>| result.map_err(|(_, error)| error);
        write(maps.of(maps::NAMES).update(&names))?;
        write(maps.of(maps::BACKENDS).update(&backends))
    }

    /// Brings the new maps from the last comparison to `now`.
    fn catch_up(&mut self, now: Snapshot) -> Result<(), Error> {
        let shares = now.shares.keys().map(|&of| Change {
            key: of,
            before: None,
            now: Some(0),
        });
        self.write(maps::SHARES, &shares.collect::<Vec<_>>())?;
        self.settle(sums(&self.before, &now))?;
        self.move_sockets(changes(&self.before.sockets, &now.sockets))?;
        let affinity = changes(&self.before.affinity, &now.affinity);
        self.write(maps::AFFINITY, &affinity)?;
        let outcomes = changes(&self.before.outcomes, &now.outcomes);
        self.write(maps::OUTCOMES, &outcomes)?;
        self.before = now;
        Ok(())
    }

    fn catch_up_sockets(&mut self) -> Result<(), Error> {
        let now = read_sockets(&self.earlier.old, &self.earlier.fates)?;
        self.move_sockets(changes(&self.before.sockets, &now))?;
        self.before.sockets = now;
        Ok(())
    }

    /// Counts rows in COOKIE_FILTER before they are written, and takes back what was counted for rows
    /// that are not there afterwards.
    fn move_sockets(&self, mut sockets: Vec<Change<u64, SocketRow>>) -> Result<(), Error> {
        let is_new = |change: &&Change<_, _>| change.before.is_none();
        self.settle(sockets.iter().filter(is_new).map(|it| counted(it.key)))?;
        if self.earlier.fates.get(maps::SOCKETS.name) != Some(&Fate::Copied) {
            return Ok(());
        }
        let mut all = Vec::new();
        for change in &mut sockets {
            if let (Attached::New, None, Some(row)) = (self.attached, change.before, change.now) {
                let (row, more) = unseen(row);
                change.now = Some(row);
                all.push((change.key, more));
            }
        }
        let done: HashSet<u64> = self.write(maps::SOCKETS, &sockets)?.into_iter().collect();
        let is_gone = |change: &&Change<_, _>| match (change.before, change.now) {
            (None, _) => !done.contains(&change.key),
            (_, None) => done.contains(&change.key),
            _ => false,
        };
        self.settle(sockets.iter().filter(is_gone).map(|it| uncounted(it.key)))?;
        let requests = all.into_iter().filter(|(key, _)| done.contains(key));
        self.settle(requests.flat_map(|(_, more)| more))
    }

    /// Writes and deletes rows that are in the new map as they were in the old one before. Returns
    /// their keys.
    fn write<K: Pod + Eq + Hash, V: Pod + PartialEq>(
        &self,
        map: MapDef<K, V>,
        rows: &[Change<K, V>],
    ) -> Result<Vec<K>, Error> {
        let to = self.new.maps.of(map);
        let mut done = Vec::new();
        let mut left_out = 0;
        for &Change { key, before, now } in rows {
            if to.get(&key)? != before {
                continue;
            }
            match now {
                Some(row) => match to.update(&[(key, row)]) {
                    Ok(()) => done.push(key),
                    Err((_, error)) if is_full(&error) => left_out += 1,
                    Err((_, error)) => return Err(error),
                },
                None if to.delete_known(&key)? => done.push(key),
                None => {}
            }
        }
        if left_out > 0 {
            warn!(
                map = map.name,
                rows = left_out,
                "rows of an earlier agent do not fit; raise the --max- setting"
            );
        }
        Ok(done)
    }

    fn settle(&self, requests: impl IntoIterator<Item = Request>) -> Result<(), Error> {
        requests
            .into_iter()
            .try_for_each(|request| self.new.settle(request))
    }
}

fn is_full(error: &Error) -> bool {
    matches!(
        error.source.raw_os_error(),
        Some(libc::E2BIG | libc::ENOMEM)
    )
}
