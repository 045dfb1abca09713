//! Plans the writes that lead from the tables that the kernel holds to the desired tables, one row
//! each.

use std::mem::discriminant;

use mesh_common::abi::{BackendRow, FrontendKey, ServiceRow, Slot, backend_state};

use super::Tables;
use crate::{
    for_each_table,
    table::{Difference, Table},
};

/// A write to a row.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Write<V> {
    /// Assigns a free index or id: clears what programs count for it, and writes its row.
    Take(V),
    /// Writes or changes a row.
    Put(V),
    /// Deletes a row.
    Delete,
    /// Frees a row that a lookup under way may still read, after a grace period.
    Free,
}

/// The order of writes: every prefix of the plan is safe. First rows that nothing refers to yet, then the
/// one row for each frontend that switches to them, last rows that nothing refers to any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Writes the names of new ids, by which a restarted agent knows the rows that follow.
    Names,
    /// Writes new backends, and those that take connects.
    Backends,
    /// Writes other rows that service rows refer to.
    Referred,
    /// Sets filter bits that frontends need.
    Open,
    /// Switches each frontend to a complete set of slots.
    Switch,
    /// Deletes frontends.
    Remove,
    /// Clears filter bits that no frontend needs any more.
    Close,
    /// Updates backends that take no more connects. Before the switch, a frontend that leads to such
    /// a backend alone would refuse. Sockets that stick to a backend check its state, and must see at
    /// once that it left.
    Rest,
    /// Frees rows that service rows referred to.
    FreeReferred,
    /// Frees backends.
    FreeBackends,
    /// Frees ids.
    FreeNames,
}

/// All stages, in order.
const STAGES: [Stage; 11] = [
    Stage::Names,
    Stage::Backends,
    Stage::Referred,
    Stage::Open,
    Stage::Switch,
    Stage::Remove,
    Stage::Close,
    Stage::Rest,
    Stage::FreeReferred,
    Stage::FreeBackends,
    Stage::FreeNames,
];

/// The number of writes of each stage.
type Counts = [usize; STAGES.len()];

/// The writes that lead from one row to another, at most two, each with its stage.
type Steps<T> = [Option<(Stage, Write<T>)>; 2];

fn name<T>(_: Option<&String>, new: Option<&String>, copy: impl Fn(&String) -> T) -> Steps<T> {
    let step = match new {
        Some(name) => (Stage::Names, Write::Take(copy(name))),
        None => (Stage::FreeNames, Write::Free),
    };
    [Some(step), None]
}

fn backend<T>(
    old: Option<&BackendRow>,
    new: Option<&BackendRow>,
    copy: impl Fn(&BackendRow) -> T,
) -> Steps<T> {
    let rests = |old: &BackendRow, new: &BackendRow| {
        old.state == backend_state::ACTIVE && new.state != backend_state::ACTIVE
    };
    match (old, new) {
        (Some(old), Some(new)) if same_endpoint(old, new) => {
            let stage = if rests(old, new) {
                Stage::Rest
            } else {
                Stage::Backends
            };
            [Some((stage, Write::Put(copy(new)))), None]
        }
        (_, Some(new)) => [Some((Stage::Backends, Write::Take(copy(new)))), None],
        (Some(&old), None) => {
            let retired = BackendRow {
                state: backend_state::RETIRED,
                ..old
            };
            let retire = (old != retired).then(|| (Stage::Rest, Write::Put(copy(&retired))));
            [retire, Some((Stage::FreeBackends, Write::Free))]
        }
        (None, None) => [None, None],
    }
}

/// Rows that a service row refers to. A new row is in use only after the switch. The row of a key in
/// use changes in place, before the switch, so it must suit the old service row as well.
fn referred<V, T>(_: Option<&V>, new: Option<&V>, copy: impl Fn(&V) -> T) -> Steps<T> {
    let step = match new {
        Some(row) => (Stage::Referred, Write::Put(copy(row))),
        None => (Stage::FreeReferred, Write::Free),
    };
    [Some(step), None]
}

/// A bit is set as long as a frontend needs it.
fn filter<T>(old: Option<&u64>, new: Option<&u64>, copy: impl Fn(&u64) -> T) -> Steps<T> {
    let bits = |word: Option<&u64>| word.copied().unwrap_or_default();
    let (had, both) = (bits(old), bits(old) | bits(new));
    let last = || new.map_or(Write::Delete, |wanted| Write::Put(copy(wanted)));
    [
        (both != had).then(|| (Stage::Open, Write::Put(copy(&both)))),
        (both != bits(new)).then(|| (Stage::Close, last())),
    ]
}

fn service<T>(
    _: Option<&ServiceRow>,
    new: Option<&ServiceRow>,
    copy: impl Fn(&ServiceRow) -> T,
) -> Steps<T> {
    let step = match new {
        Some(row) => (Stage::Switch, Write::Put(copy(row))),
        None => (Stage::Remove, Write::Delete),
    };
    [Some(step), None]
}

fn same_endpoint(old: &BackendRow, new: &BackendRow) -> bool {
    (old.service, old.addr, old.port, old.generation)
        == (new.service, new.addr, new.port, new.generation)
}

impl<V: Clone> Write<V> {
    fn apply<K: Ord + Clone>(&self, key: &K, table: &mut Table<K, V>) {
        match self {
            Self::Take(row) | Self::Put(row) => _ = table.insert(key.clone(), row.clone()),
            Self::Delete | Self::Free => _ = table.remove(key),
        }
    }
}

/// The rows of one table that differ, and the number of their writes in each stage.
struct Changes<'a, K, V> {
    rows: Vec<Difference<'a, K, V>>,
    counts: Counts,
}

impl<'a, K: Ord + Clone, V: PartialEq> Changes<'a, K, V> {
    /// Compares two tables. `steps` is the rule of the table, without copies of rows.
    fn new(
        current: &'a Table<K, V>,
        desired: &'a Table<K, V>,
        steps: impl Fn(Option<&V>, Option<&V>) -> Steps<()>,
    ) -> Self {
        let rows: Vec<_> = current.differences(desired).collect();
        let mut counts = Counts::default();
        for (_, old, new) in &rows {
            for (stage, _) in steps(*old, *new).into_iter().flatten() {
                counts[stage as usize] += 1;
            }
        }
        Self { rows, counts }
    }

    /// Adds the writes of one stage. `steps` is the rule of the table. It is applied a second time,
    /// because writes that wait for their stage would take as much memory as the plan itself.
    fn add(
        &self,
        stage: Stage,
        steps: impl Fn(Option<&V>, Option<&V>) -> Steps<V>,
        op: impl Fn(K, Write<V>) -> Op,
        ops: &mut Vec<Op>,
    ) {
        if self.counts[stage as usize] == 0 {
            return;
        }
        for (key, old, new) in &self.rows {
            for (of, write) in steps(*old, *new).into_iter().flatten() {
                if of == stage {
                    ops.push(op((*key).clone(), write));
                }
            }
        }
    }
}

macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $table:ident: $op:ident<$key:ty, $row:ty>, map: $map:ident as $access:ident, plan: $plan:ident, text: $text:ident,
        service: $service:ident;
    )+) => {
        /// One write to one map.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Op {
            $($(#[$doc])* $op($key, Write<$row>),)+
        }

        impl Op {
            /// Whether a lookup under way may still read the row, so that a grace period must pass first.
            pub const fn held_back(&self) -> bool {
                match self {
                    $(Self::$op(_, write) => matches!(write, Write::Free),)+
                }
            }

            /// Whether both do the same with rows of the same map.
            pub fn is_like(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$op(_, one), Self::$op(_, other)) => discriminant(one) == discriminant(other),)+
                    _ => false,
                }
            }
        }

        impl Tables {
            /// Applies one operation to the tables.
            pub fn apply(&mut self, op: &Op) {
                match op {
                    $(Op::$op(key, write) => write.apply(key, &mut self.$table),)+
                }
            }
        }

        /// Returns the writes that lead from `current` to `desired`, in the order of `Stage`, in which
        /// every prefix is safe. Operations that are [held back](Op::held_back) come at the end.
        pub fn diff(current: &Tables, desired: &Tables) -> Vec<Op> {
            $(let $table = Changes::new(&current.$table, &desired.$table, |old, new| self::$plan(old, new, |_| ()));)+
            let counts: [&Counts; _] = [$(&$table.counts),+];
            let mut ops = Vec::with_capacity(counts.into_iter().flatten().sum());
            for stage in STAGES {
                $($table.add(stage, |old, new| self::$plan(old, new, Clone::clone), Op::$op, &mut ops);)+
            }
            ops
        }
    };
}

for_each_table!(operations);

#[cfg(test)]
mod tests;
