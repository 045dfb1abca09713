//! Rows in the maps that an earlier agent or another process left. The input is a list of rows, each
//! after a byte that selects the map.

use bytemuck::{Pod, pod_read_unaligned};
use mesh_common::{
    abi::{BackendLoad, BackendRow, FrontendKey, ServiceRow},
    connect::{Verdict, connect},
};
use mesh_core::{
    dataplane::memory::Memory,
    desired::{
        Tables, filter, frontend, identified, slot_tiers,
        vips::{self, Vips},
    },
};

use crate::serve;

/// Most rows of one input.
const ROWS: usize = 300;
/// Indexes are small unless this bit of the first byte is set.
const ANY_INDEX: u8 = 0x40;
/// A row of SERVICES has its key unless this bit is set.
const OTHER_KEY: u8 = 0x80;

/// Checks that any rows can be printed, walked and decided over, and that the agent replaces them by
/// correct ones.
pub fn check(data: &[u8]) {
    let mut left = Left::default();
    let mut input = Input(data);
    for _ in 0..ROWS {
        if left.add(&mut input).is_none() {
            break;
        }
    }
    left.tables.filter = filter(&left.tables.services);
    walk(&left.tables);
    decide(&left);
    for is_uncertain in [false, true] {
        replace(&left.tables, is_uncertain);
    }
}

/// The rows that were left.
#[derive(Default)]
struct Left {
    tables: Tables,
    loads: Vec<(u32, BackendLoad)>,
}

impl Left {
    /// Adds the next row; nothing at the end of the input.
    fn add(&mut self, input: &mut Input<'_>) -> Option<()> {
        let tag: u8 = input.take()?;
        // The maps have no other indexes.
        let index = |any: u32| match tag & ANY_INDEX {
            0 => any & 0xff,
            _ => any % Memory::CAPACITY.services,
        };
        match tag % 5 {
            0 => {
                let (key, mut row): (FrontendKey, ServiceRow) = (input.take()?, input.take()?);
                if tag & OTHER_KEY == 0 {
                    row.key = key;
                }
                self.tables.services.insert(key, row);
            }
            1 => {
                let (at, slot) = (index(input.take()?), input.take()?);
                self.tables.slots.insert(at, slot);
            }
            2 => {
                let (at, row) = (index(input.take()?), input.take::<BackendRow>()?);
                self.tables.backends.insert(at, row);
            }
            3 => {
                let (id, length) = (index(input.take()?), input.take::<u8>()?);
                let name = input.bytes(usize::from(length))?;
                let name = String::from_utf8_lossy(name).into_owned();
                self.tables.names.insert(id, name);
            }
            _ => self.loads.push((index(input.take()?), input.take()?)),
        }
        Some(())
    }
}

/// Reads values from bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<T: Pod>(&mut self) -> Option<T> {
        self.bytes(size_of::<T>()).map(pod_read_unaligned)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }
}

fn walk(tables: &Tables) {
    assert!(tables.to_string().lines().count() >= tables.backends.len());
    for row in tables.services.values() {
        let tiers = slot_tiers(&tables.slots, row).count();
        assert!(tiers <= tables.slots.len() + 1, "{tiers} tiers");
        tables.leads_to_active(row);
    }
    for name in tables.names.values() {
        if let Some(service) = identified(name) {
            assert!(name.starts_with(&format!("{service}:")), "{name}");
        }
    }
}

/// Decides connects over the rows. An answer is one of the backends, whatever the rows are.
fn decide(left: &Left) {
    let mut memory = Memory::default();
    memory.rows = left.tables.clone();
    for (index, row) in left.tables.backends.iter() {
        memory.assign_backend(*index, *row);
    }
    left.tables
        .names
        .keys()
        .for_each(|id| memory.assign_id(*id));
    for (index, load) in &left.loads {
        memory.set_load(*index, *load);
    }
    for (socket, key) in (1..).zip(left.tables.services.keys()) {
        memory.set_socket(socket);
        memory.set_seed(socket);
        if let Verdict::Backend { addr, port } = connect(&memory, key) {
            let mut rows = left.tables.backends.values();
            let is_there = rows.any(|row| (row.addr, row.port) == (addr, port));
            assert!(is_there, "{} leads to no backend", frontend(key));
        }
    }
}

fn replace(current: &Tables, is_uncertain: bool) {
    let services = serve::services();
    let mut world = serve::world(services.clone());
    world.vips = vips::allocate(&services, &serve::pools(), &Vips::new(), true).0;
    if is_uncertain {
        world.uncertain = services.keys().take(2).cloned().collect();
    }
    serve::check_world(&world, current);
}

/// Returns the input that has these rows.
#[cfg(test)]
pub fn input(tables: &Tables) -> Vec<u8> {
    use bytemuck::bytes_of;
    let mut bytes = Vec::new();
    let mut add = |tag: u8, parts: &[&[u8]]| {
        bytes.push(tag);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
    };
    for (key, row) in tables.services.iter() {
        add(0, &[bytes_of(key), bytes_of(row)]);
    }
    for (index, slot) in tables.slots.iter() {
        add(1, &[bytes_of(index), bytes_of(slot)]);
    }
    for (index, row) in tables.backends.iter() {
        add(2, &[bytes_of(index), bytes_of(row)]);
    }
    for (id, name) in tables.names.iter() {
        let length = u8::try_from(name.len()).expect("a name is short");
        add(3, &[bytes_of(id), &[length], name.as_bytes()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_agent_written_as_input_are_read_back() {
        let tables = serve::check_world(&serve::world(serve::services()), &Tables::default());
        let bytes = input(&tables);
        let (mut left, mut rest) = (Left::default(), Input(&bytes));
        while left.add(&mut rest).is_some() {}
        left.tables.filter = filter(&left.tables.services);
        assert_eq!(left.tables, tables);
        check(&bytes);
    }
}
