//! Plans the writes that lead from the tables that the kernel holds to the desired tables, one row
//! each.

use mesh_common::abi::{BackendRow, FrontendKey, ServiceRow, Slot, backend_state};

use super::Tables;
use crate::table::Table;

/// One write to one map.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Assigns a free service id: clears its counters, writes its name.
    TakeId {
        /// Service id.
        id: u32,
        /// `namespace/name:port/PROTOCOL`
        name: String,
    },
    /// Assigns a free index to an endpoint: clears its load, writes its row.
    TakeBackend(u32, BackendRow),
    /// Changes a backend's row; address and port stay.
    PutBackend(u32, BackendRow),
    /// Writes a slot that no service row refers to yet.
    PutSlot(u32, Slot),
    /// Writes a word of the filter. A bit stays set while a frontend needs it.
    PutFilter(u32, u64),
    /// Switches one frontend to a complete set of slots.
    PutService(FrontendKey, ServiceRow),
    /// Deletes a frontend.
    DeleteService(FrontendKey),
    /// Frees a slot, after a grace period.
    FreeSlot(u32),
    /// Frees a backend index, after a grace period.
    FreeBackend(u32),
    /// Frees a service id, after a grace period.
    FreeId(u32),
}

impl Op {
    /// Whether a lookup under way may still read the row, so that a grace period must pass first.
    pub const fn held_back(&self) -> bool {
        matches!(
            self,
            Self::FreeSlot(_) | Self::FreeBackend(_) | Self::FreeId(_)
        )
    }
}

impl Tables {
    /// Applies one operation to the tables.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::TakeId { id, name } => _ = self.names.insert(*id, name.clone()),
            Op::TakeBackend(index, row) | Op::PutBackend(index, row) => {
                _ = self.backends.insert(*index, *row);
            }
            Op::PutSlot(index, slot) => _ = self.slots.insert(*index, *slot),
            Op::PutFilter(word, 0) => _ = self.filter.remove(word),
            Op::PutFilter(word, bits) => _ = self.filter.insert(*word, *bits),
            Op::PutService(key, row) => _ = self.services.insert(*key, *row),
            Op::DeleteService(key) => _ = self.services.remove(key),
            Op::FreeSlot(index) => _ = self.slots.remove(index),
            Op::FreeBackend(index) => _ = self.backends.remove(index),
            Op::FreeId(id) => _ = self.names.remove(id),
        }
    }
}

/// Returns the writes that lead from `current` to `desired`, in an order in which every prefix is
/// safe: first rows that nothing refers to yet, then the one row per frontend that switches to
/// them, last rows that nothing refers to any more. A backend that stops taking connects is among
/// the last, because a frontend that still leads to it alone would refuse. Operations that are
/// [held back](Op::held_back) come at the end.
pub fn diff(current: &Tables, desired: &Tables) -> Vec<Op> {
    let mut ops = Vec::new();
    take_and_change(current, desired, &mut ops);
    switch(current, desired, &mut ops);
    rest(current, desired, &mut ops);
    retire(current, desired, &mut ops);
    free(current, desired, &mut ops);
    ops
}

fn take_and_change(current: &Tables, desired: &Tables, ops: &mut Vec<Op>) {
    ops.extend(
        changed(&current.names, &desired.names).map(|(&id, name)| Op::TakeId {
            id,
            name: name.clone(),
        }),
    );
    let serving = changed(&current.backends, &desired.backends)
        .filter(|(index, row)| !rests(current, **index, row));
    ops.extend(
        serving.map(|(&index, &row)| match current.backends.get(&index) {
            Some(old) if same_endpoint(old, &row) => Op::PutBackend(index, row),
            _ => Op::TakeBackend(index, row),
        }),
    );
    ops.extend(
        changed(&current.slots, &desired.slots).map(|(&index, &slot)| Op::PutSlot(index, slot)),
    );
}

/// Sets filter bits before the frontends that need them are written, and clears bits after
/// frontends are deleted.
fn switch(current: &Tables, desired: &Tables, ops: &mut Vec<Op>) {
    let bits = |tables: &Tables, word: u32| tables.filter.get(&word).copied().unwrap_or_default();
    let more = desired
        .filter
        .iter()
        .map(|(&word, &wanted)| (word, bits(current, word) | wanted));
    ops.extend(
        more.filter(|(word, all)| *all != bits(current, *word))
            .map(|(word, all)| Op::PutFilter(word, all)),
    );
    ops.extend(
        changed(&current.services, &desired.services).map(|(&key, &row)| Op::PutService(key, row)),
    );
    ops.extend(gone(&current.services, &desired.services).map(|(&key, _)| Op::DeleteService(key)));
    let fewer = current
        .filter
        .iter()
        .map(|(&word, &had)| (word, had, bits(desired, word)));
    ops.extend(
        fewer
            .filter(|(_, had, wanted)| had & !wanted != 0)
            .map(|(word, _, wanted)| Op::PutFilter(word, wanted)),
    );
}

/// Updates endpoints that stay but take no more connects.
fn rest(current: &Tables, desired: &Tables, ops: &mut Vec<Op>) {
    let resting = changed(&current.backends, &desired.backends)
        .filter(|(index, row)| rests(current, **index, row));
    ops.extend(resting.map(|(&index, &row)| Op::PutBackend(index, row)));
}

fn rests(current: &Tables, index: u32, row: &BackendRow) -> bool {
    let took = |old: &&BackendRow| old.state == backend_state::ACTIVE && same_endpoint(old, row);
    row.state != backend_state::ACTIVE && current.backends.get(&index).is_some_and(|old| took(&old))
}

/// Retires endpoints that leave. Sockets that stick to an endpoint check its state and must see at
/// once that it left.
fn retire(current: &Tables, desired: &Tables, ops: &mut Vec<Op>) {
    let leaving = gone(&current.backends, &desired.backends)
        .filter(|(_, row)| row.state != backend_state::RETIRED);
    ops.extend(leaving.map(|(&index, &row)| {
        Op::PutBackend(
            index,
            BackendRow {
                state: backend_state::RETIRED,
                ..row
            },
        )
    }));
}

fn free(current: &Tables, desired: &Tables, ops: &mut Vec<Op>) {
    ops.extend(gone(&current.slots, &desired.slots).map(|(&index, _)| Op::FreeSlot(index)));
    ops.extend(
        gone(&current.backends, &desired.backends).map(|(&index, _)| Op::FreeBackend(index)),
    );
    ops.extend(gone(&current.names, &desired.names).map(|(&id, _)| Op::FreeId(id)));
}

fn same_endpoint(old: &BackendRow, new: &BackendRow) -> bool {
    (old.service, old.addr, old.port, old.generation)
        == (new.service, new.addr, new.port, new.generation)
}

/// Returns the rows of `desired` that are missing or different in `current`.
fn changed<'a, K: Ord, V: PartialEq>(
    current: &'a Table<K, V>,
    desired: &'a Table<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    current
        .differences(desired)
        .filter_map(|(key, _, new)| Some((key, new?)))
}

/// Returns the rows of `current` that are missing in `desired`.
fn gone<'a, K: Ord, V: PartialEq>(
    current: &'a Table<K, V>,
    desired: &'a Table<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    current.differences(desired).filter_map(|(key, old, new)| {
        if new.is_none() {
            Some((key, old?))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        net::SocketAddr,
        time::Duration,
    };

    use mesh_common::connect::{Verdict, connect};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        dataplane::{Dataplane, memory::Memory},
        desired::{World, compile, fixture},
        model::{Balance, Service},
    };

    /// Endpoints by service name; each service has the address 10.0.0.x of its name.
    type Config = BTreeMap<u8, Vec<(u8, u32)>>;

    fn configs() -> impl Strategy<Value = Config> {
        let endpoints = prop::collection::btree_map(1_u8..9, 0_u32..4, 0..6);
        prop::collection::btree_map(
            1_u8..6,
            endpoints.prop_map(|map| map.into_iter().collect()),
            0..5,
        )
    }

    fn world(config: &Config) -> World {
        let service = |(name, endpoints): (&u8, &Vec<(u8, u32)>)| {
            let endpoints: Vec<_> = endpoints
                .iter()
                .map(|(host, w)| (format!("10.1.{name}.{host}:80"), *w))
                .collect();
            let endpoints: Vec<_> = endpoints
                .iter()
                .map(|(address, weight)| (address.as_str(), *weight))
                .collect();
            random(fixture::with(
                fixture::fixed(&name.to_string(), &format!("10.0.0.{name}")),
                &endpoints,
            ))
        };
        World {
            services: fixture::services(config.iter().map(service)),
            complete: true,
            ..World::default()
        }
    }

    /// With this policy some draw reaches every endpoint, whatever the load.
    fn random(mut service: Service) -> Service {
        service.traffic.balance = Balance::Random;
        service
    }

    fn tables(config: &Config, current: &Tables) -> Tables {
        compile(
            &world(config),
            Duration::from_secs(1),
            current,
            Memory::CAPACITY,
        )
        .unwrap()
    }

    /// Returns the endpoints that a connect to a frontend may reach, or nothing if the service is
    /// not configured.
    fn targets(config: &Config, name: u8) -> Option<BTreeSet<SocketAddr>> {
        let usable = config.get(&name)?.iter().filter(|(_, weight)| *weight > 0);
        Some(
            usable
                .map(|(host, _)| format!("10.1.{name}.{host}:80").parse().unwrap())
                .collect(),
        )
    }

    /// Checks that every frontend leads to the complete endpoints of the old or of the new
    /// configuration.
    fn assert_serves_one_of(
        memory: &Memory,
        old: &Config,
        new: &Config,
    ) -> Result<(), TestCaseError> {
        for name in 1..6_u8 {
            let mut reached = BTreeSet::new();
            let mut verdicts = BTreeSet::new();
            for draw in 0..256_u32 {
                memory.set_random(draw << 24);
                let key = fixture::key(&format!("10.0.0.{name}:80"));
                match connect(memory, &key) {
                    Verdict::Backend { addr, port } => {
                        reached.insert(SocketAddr::new(addr.into(), u16::from_be(port)));
                        verdicts.insert("backend");
                    }
                    Verdict::Refused => _ = verdicts.insert("refused"),
                    Verdict::Untouched => _ = verdicts.insert("untouched"),
                }
            }
            prop_assert_eq!(verdicts.len(), 1, "a frontend has one kind of verdict");
            let seen = if verdicts.contains("untouched") {
                None
            } else {
                Some(reached)
            };
            let allowed = [targets(old, name), targets(new, name)];
            prop_assert!(
                allowed.contains(&seen),
                "service {} reaches {:?}, allowed {:?}",
                name,
                seen,
                allowed
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_prefix_serves_the_old_or_the_new_services(old in configs(), new in configs()) {
            let mut memory = Memory::default();
            memory.apply(&diff(&Tables::default(), &tables(&old, &Tables::default()))).unwrap();
            let current = memory.dump().unwrap();
            let ops = diff(&current, &tables(&new, &current));
            assert_serves_one_of(&memory, &old, &new)?;
            for op in ops {
                memory.apply(&[op]).unwrap();
                assert_serves_one_of(&memory, &old, &new)?;
            }
            assert_serves_one_of(&memory, &new, &new)?;
        }

        #[test]
        fn applying_the_plan_gives_the_desired_tables(configs in prop::collection::vec(configs(), 1..6)) {
            let mut memory = Memory::default();
            for config in &configs {
                let current = memory.dump().unwrap();
                let desired = tables(config, &current);
                memory.apply(&diff(&current, &desired)).unwrap();
                prop_assert_eq!(memory.dump().unwrap(), desired.clone());
                prop_assert_eq!(diff(&desired, &desired), []);
                prop_assert_eq!(tables(config, &desired), desired, "compiling again changes nothing");
            }
        }
    }

    #[test]
    fn frees_come_last_and_only_they_are_held_back() {
        let old = tables(
            &Config::from([(1, vec![(1, 1), (2, 2)]), (2, vec![(1, 1)])]),
            &Tables::default(),
        );
        let new = tables(&Config::from([(1, vec![(2, 1)])]), &old);
        let ops = diff(&old, &new);
        let first = ops.iter().position(Op::held_back).unwrap();
        assert!(ops[first..].iter().all(Op::held_back));
        let slots = ops
            .iter()
            .filter(|op| matches!(op, Op::FreeSlot(_)))
            .count();
        let backends = ops
            .iter()
            .filter(|op| matches!(op, Op::FreeBackend(_)))
            .count();
        let ids = ops.iter().filter(|op| matches!(op, Op::FreeId(_))).count();
        assert_eq!((slots, backends, ids), (2, 2, 1));
    }
}
