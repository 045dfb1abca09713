//! Compiles services to tables: those that changed, or all.

use std::{collections::BTreeMap, time::Duration};

use mesh_common::{
    abi::{FrontendKey, ServiceRow},
    filter,
};

use super::{
    Allocatable, Base, Partial, Tables, World, capacity::fit, changes::Changes, compiler::Compiler,
    partial_compile::partial_compile, retain_unknown::retain_unknown,
};
use crate::table::Table;

/// Returns the tables for `world`, given the rows that the kernel holds and the rows that can be
/// allocated. Only services that changed since the last compile are compiled again. When not all fit,
/// returns the tables of those that do. `now` is the monotonic clock.
pub fn compile<'a>(
    world: &World,
    now: Duration,
    base: impl Into<Base<'a>>,
    allocatable: impl Into<Allocatable<'a>>,
) -> Result<Tables, Box<Partial>> {
    let (base, allocatable) = (base.into(), allocatable.into());
    let Changes {
        kept,
        services,
        ids,
    } = Changes::of(world, now, base);
    let mut compiler = Compiler::new(base.current, now, allocatable, kept, |id| ids.has(id));
    for service in services {
        compiler.add(world, service);
    }
    let mut tables = compiler.tables;
    retain_unknown(base.current, &mut tables, &world.uncertain);
    tables.filter = filter(&tables.services);
    let fits = fit(base.current, &tables, allocatable.capacity);
    if fits && allocatable.quotas.hold(&tables, allocatable.capacity) {
        return Ok(tables);
    }
    let mut partial = partial_compile(world, now, base.current, allocatable);
    partial.tables.filter = filter(&partial.tables.services);
    Err(Box::new(partial))
}

/// Returns the words of ADDRESS_FILTER that let connects to these frontends through.
pub fn filter(services: &Table<FrontendKey, ServiceRow>) -> Table<u32, u64> {
    let mut words = BTreeMap::<u32, u64>::new();
    for key in services.keys() {
        let (word, bit) = filter::place(&key.addr);
        *words.entry(word).or_default() |= bit;
    }
    words.into_iter().collect()
}
