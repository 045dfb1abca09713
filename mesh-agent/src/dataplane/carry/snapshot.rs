//! The rows of an earlier agent's maps at one moment, as this agent's rows.

use std::collections::{BTreeMap, HashMap};

use mesh_common::{
    abi::{
        AffinityKey, AffinityRow, BackendEntry, ClientRows, NameRow, OutcomeKey, OutcomeRow,
        Resource, ServiceCounters, ShareKey, SocketRow, backend_state, maps,
    },
    occupancy::{CONNECTING, LIVE, connecting, live},
};

use super::{old_map::OldMaps, plan::Fate};
use crate::dataplane::Error;

/// Rows by their keys. Rows of arrays that are zero are left out, and so are maps that are not
/// copied.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) names: BTreeMap<u32, NameRow>,
    pub(super) backends: BTreeMap<u32, BackendEntry>,
    /// Occupancy words of LOAD.
    pub(super) loads: BTreeMap<u32, u64>,
    pub(super) counters: BTreeMap<u32, ServiceCounters>,
    pub(super) quotas: BTreeMap<u32, ClientRows>,
    pub(super) shares: BTreeMap<ShareKey, u64>,
    pub(super) sockets: HashMap<u64, SocketRow>,
    pub(super) affinity: HashMap<AffinityKey, AffinityRow>,
    pub(super) outcomes: HashMap<OutcomeKey, OutcomeRow>,
}

impl Snapshot {
    /// Reads the maps that are copied.
    pub(super) fn read(old: &OldMaps, fates: &BTreeMap<&'static str, Fate>) -> Result<Self, Error> {
        /// Reads a map whose fate is to be copied.
        macro_rules! copied {
            ($map:expr) => {
                match fates.get($map.name) {
                    Some(Fate::Copied) => old.rows($map)?,
                    _ => Vec::new(),
                }
            };
        }
        let backends = copied!(maps::BACKENDS).into_iter();
        let loads = copied!(maps::LOAD).into_iter();
        let rows = copied!(maps::QUOTAS).into_iter();
        let quotas = rows.map(|(row, used)| (row, given_back(used, fates)));
        Ok(Self {
            names: copied!(maps::NAMES).into_iter().collect(),
            backends: backends
                .filter(|(_, entry)| entry.row.state != backend_state::FREE)
                .collect(),
            loads: loads
                .map(|(id, load)| (id, load.connections))
                .filter(|(_, word)| *word != 0)
                .collect(),
            counters: summed(copied!(maps::COUNTERS)),
            quotas: quotas.filter(|(_, rows)| *rows != [0; 4]).collect(),
            shares: copied!(maps::SHARES).into_iter().collect(),
            affinity: copied!(maps::AFFINITY).into_iter().collect(),
            outcomes: copied!(maps::OUTCOMES).into_iter().collect(),
            // Last, because the programs use these rows the moment that they are switched.
            sockets: read_sockets(old, fates)?,
        })
    }

    /// Returns the sums, none above that of `now`, without rows of sockets and clients.
    pub(super) fn at_most(mut self, now: &Self) -> Self {
        for (index, entry) in &mut self.backends {
            let Some(other) = now.backends.get(index) else {
                continue;
            };
            if other.row.generation != entry.row.generation {
                // Another backend by now: nothing of it is added.
                *entry = *other;
                continue;
            }
            let (load, most) = (&mut entry.load, other.load);
            let lives = live(load.live).min(live(most.live));
            let connects = connecting(load.live).min(connecting(most.live));
            load.live = lives * LIVE + connects * CONNECTING;
            load.connects = load.connects.min(most.connects);
        }
        let lower = |word: &mut u64, most: Option<&u64>| {
            *word = live(*word).min(most.map_or(0, |&most| live(most)));
        };
        for (id, word) in &mut self.loads {
            lower(word, now.loads.get(id));
        }
        for (of, word) in &mut self.shares {
            lower(word, now.shares.get(of));
        }
        limit(&mut self.counters, &now.counters);
        limit(&mut self.quotas, &now.quotas);
        Self {
            sockets: HashMap::new(),
            affinity: HashMap::new(),
            outcomes: HashMap::new(),
            ..self
        }
    }
}

/// Returns the counts of rows that the new programs give back: without flows of maps that they do not
/// share with the old ones.
fn given_back(mut used: ClientRows, fates: &BTreeMap<&'static str, Fate>) -> ClientRows {
    for (resource, map) in [
        (Resource::Flows, maps::FLOWS.name),
        (Resource::MoreFlows, maps::MORE_FLOWS.name),
    ] {
        if fates.get(map) != Some(&Fate::Kept) {
            used[resource as usize] = 0;
        }
    }
    used
}

/// Lowers words that are above those in `most`.
fn limit<const N: usize>(rows: &mut BTreeMap<u32, [u64; N]>, most: &BTreeMap<u32, [u64; N]>) {
    for (key, row) in rows {
        let most = most.get(key).copied().unwrap_or([0; N]);
        row.iter_mut()
            .zip(most)
            .for_each(|(word, most)| *word = most.min(*word));
    }
}

/// Reads SOCKETS where it is copied, or where its rows have to be counted again.
pub(super) fn read_sockets(
    old: &OldMaps,
    fates: &BTreeMap<&'static str, Fate>,
) -> Result<HashMap<u64, SocketRow>, Error> {
    let fate = |name| fates.get(name).copied();
    let is_counted = fate(maps::COOKIE_FILTER.name) == Some(Fate::Empty);
    if is_counted && fate(maps::SOCKETS.name) != Some(Fate::Empty) {
        return Ok(old.rows(maps::SOCKETS)?.into_iter().collect());
    }
    Ok(HashMap::new())
}

/// Adds up the rows of all CPUs.
fn summed(rows: Vec<(u32, ServiceCounters)>) -> BTreeMap<u32, ServiceCounters> {
    let mut sums: BTreeMap<u32, ServiceCounters> = BTreeMap::new();
    for (id, row) in rows.into_iter().filter(|(_, row)| *row != [0; 16]) {
        let sum = sums.entry(id).or_default();
        sum.iter_mut().zip(row).for_each(|(sum, it)| *sum += it);
    }
    sums
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    fn sums(live: u64, connects: u64) -> Snapshot {
        let mut entry = BackendEntry::zeroed();
        (entry.load.live, entry.load.connects) = (live * LIVE, connects);
        Snapshot {
            backends: [(1, entry)].into(),
            loads: [(2, live)].into(),
            counters: [(2, [connects; 16])].into(),
            quotas: [(3, [live; 4])].into(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn flows_that_new_programs_do_not_see_have_no_quota() {
        let kept = BTreeMap::from([("FLOWS", Fate::Kept), ("MORE_FLOWS", Fate::Kept)]);
        assert_eq!(given_back([1, 2, 3, 4], &kept), [1, 2, 3, 4]);
        let lost = BTreeMap::from([("FLOWS", Fate::Kept), ("MORE_FLOWS", Fate::Empty)]);
        assert_eq!(given_back([1, 2, 3, 4], &lost), [1, 2, 0, 4]);
    }

    #[test]
    fn lower_sums_are_kept_and_rows_are_not() {
        let rows = Snapshot {
            sockets: [(1, SocketRow::zeroed())].into(),
            ..sums(3, 9)
        };
        assert_eq!(rows.clone().at_most(&sums(5, 7)), sums(3, 7));
        assert_eq!(rows.clone().at_most(&sums(2, 9)), sums(2, 9));
        let mut other = sums(2, 9);
        other.backends.get_mut(&1).unwrap().row.generation = 7;
        assert_eq!(rows.at_most(&other), other);
    }
}
