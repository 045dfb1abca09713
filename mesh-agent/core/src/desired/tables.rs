//! The rows of the kernel maps that are compiled from the configuration. Each such map is declared
//! once, in [`for_each_table`](crate::for_each_table). From its line follow its table here, its
//! operations and their place in the plan (`plan`), its text (`display`), and in the daemon how the
//! operations are carried out and the rows read back.

use std::net::SocketAddr;

use mesh_common::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot},
    addr::Addr,
};

use crate::{model::Protocol, table::Table};

/// Calls a macro with all tables, one line for each, in the order in which they are printed and read
/// back:
///
/// ```text
/// /// MAP: key → row.
/// field: Op<Key, Row>, map: MAP as Access, plan: rule, text: function, service: function;
/// ```
///
/// `Op` is the operation on a row, and `MAP` the line of [`for_each_map`](mesh_common::for_each_map).
/// The other words are looked up where the line is used:
///
/// - `Access` in `dataplane/tables.rs` of the daemon: how rows are written and read back.
/// - `rule` in `plan.rs`: the writes from one row to another, each with its stage. `referred` for rows
///   that a service row refers to.
/// - `text` in `display.rs`: the line of a row. `nothing` for rows that follow from other rows.
/// - `service` in `tables.rs`: the id of the service that the row belongs to, `key` where this is
///   the key. `none` for rows that are found or computed from rows of services.
#[macro_export]
macro_rules! for_each_table {
    ($callback:ident) => {
        $callback! {
            /// NAMES: service id → `namespace/name:port/PROTOCOL`
            names: Name<u32, String>, map: NAMES as Names, plan: name, text: name, service: key;
            /// SERVICES: frontend → service row
            services: Service<FrontendKey, ServiceRow>, map: SERVICES as Services, plan: service, text: service, service: id;
            /// ADDRESS_FILTER: the words that are not zero
            filter: Filter<u32, u64>, map: ADDRESS_FILTER as Words, plan: filter, text: nothing, service: none;
            /// SLOTS: slot index → slot
            slots: Slot<u32, Slot>, map: SLOTS as Slots, plan: referred, text: slot, service: none;
            /// BACKENDS: backend index → backend row
            backends: Backend<u32, BackendRow>, map: BACKENDS as Backends, plan: backend, text: backend, service: owner;
        }
    };
}

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        $table:ident: $op:ident<$key:ty, $row:ty>, map: $map:ident as $access:ident, plan: $plan:ident, text: $text:ident,
        service: $service:ident;
    )+) => {
        /// One ordered table for each kernel map: printable, comparable, and complete.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct Tables {
            $($(#[$doc])* pub $table: Table<$key, $row>,)+
        }

        impl Tables {
            /// Adds the rows that belong to services whose id `is_of` selects. Rows that are here stay.
            pub fn copy_services(&mut self, from: &Self, is_of: impl Fn(u32) -> bool) {
                $(copy(&mut self.$table, &from.$table, |key, row| $service(key, row).is_some_and(&is_of));)+
            }

            /// Removes the rows that belong to services whose id `is_of` selects.
            pub(super) fn remove_services(&mut self, is_of: impl Fn(u32) -> bool) {
                $(remove(&mut self.$table, |key, row| $service(key, row).is_some_and(&is_of));)+
            }
        }
    };
}

for_each_table!(define);

fn copy<K: Ord + Clone, V: Clone>(
    to: &mut Table<K, V>,
    from: &Table<K, V>,
    is_wanted: impl Fn(&K, &V) -> bool,
) {
    for (key, row) in from.iter().filter(|(key, row)| is_wanted(key, row)) {
        if !to.contains_key(key) {
            _ = to.insert(key.clone(), row.clone());
        }
    }
}

fn remove<K: Ord + Clone, V: Clone>(table: &mut Table<K, V>, is_unwanted: impl Fn(&K, &V) -> bool) {
    let rows = table.iter().filter(|(key, row)| is_unwanted(key, row));
    let keys: Vec<K> = rows.map(|(key, _)| key.clone()).collect();
    keys.iter().for_each(|key| _ = table.remove(key));
}

/// Returns `address:port/PROTOCOL` of a frontend.
pub fn frontend(key: &FrontendKey) -> String {
    let protocol = Protocol::of_number(key.protocol).unwrap_or(Protocol::Udp);
    format!("{}/{protocol}", socket_address(key.addr, key.port))
}

/// Returns `address:port` for a port in network byte order.
pub fn socket_address(addr: Addr, port: u16) -> String {
    SocketAddr::new(addr.into(), u16::from_be(port)).to_string()
}

fn key<V>(id: &u32, _: &V) -> Option<u32> {
    Some(*id)
}

fn id(_: &FrontendKey, row: &ServiceRow) -> Option<u32> {
    Some(row.id)
}

fn owner(_: &u32, row: &BackendRow) -> Option<u32> {
    Some(row.service)
}

fn none<K, V>(_: &K, _: &V) -> Option<u32> {
    None
}
