//! From the model to the rows of the kernel maps. Pure: nothing here touches the world.

mod compile;
mod ids;
pub mod plan;
mod slots;

use std::collections::BTreeMap;

use mesh_common::abi::{BackendRow, FrontendKey, ServiceRow, Slot};

pub use self::{
    compile::{CapacityError, World, compile},
    ids::Ids,
};

/// One ordered map per kernel map: printable, comparable, and complete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// SERVICES
    pub services: BTreeMap<FrontendKey, ServiceRow>,
    /// SLOTS
    pub slots: BTreeMap<u32, Slot>,
    /// BACKENDS
    pub backends: BTreeMap<u32, BackendRow>,
    /// NAMES: service id → `namespace/name:port/PROTOCOL`
    pub names: BTreeMap<u32, String>,
}
