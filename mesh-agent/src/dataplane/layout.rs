//! The shape of every map, and whether a pin has it. aya opens a pin without looking, and a row of another size then
//! ends the process; so every pin is compared before it is used.

use std::path::Path;

use aya::maps::{MapInfo, MapType};
use mesh_common::abi::{
    ABI_VERSION, BackendLoad, BackendRow, FrontendKey, NameRow, ServiceCounters, ServiceRow, Slot, SocketRecord, maps,
};

use super::Capacity;

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;

/// What one map must look like.
pub(super) struct MapLayout {
    pub(super) name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    pub(super) rows: u32,
    flags: u32,
}

/// A pinned map is not what this agent would have made.
#[derive(Debug, thiserror::Error)]
#[error("pin {path} is not a map of this agent: {difference}; remove it with `mesh-agent uninstall`")]
pub struct ForeignPin {
    path: String,
    difference: String,
}

/// All maps. Sizes must match `mesh-ebpf/src/maps.rs`; loading fails in every test when they do not.
pub(super) fn layout(capacity: Capacity) -> [MapLayout; 7] {
    let Capacity { services, slots, backends } = capacity;
    let array = |name, value, rows| MapLayout { name, kind: MapType::Array, key: 4, value, rows, flags: 0 };
    [
        MapLayout {
            name: maps::SERVICES,
            kind: MapType::Hash,
            key: size_of::<FrontendKey>(),
            value: size_of::<ServiceRow>(),
            rows: services,
            flags: 0,
        },
        array(maps::SLOTS, size_of::<Slot>(), slots),
        array(maps::BACKENDS, size_of::<BackendRow>(), backends),
        array(maps::LOAD, size_of::<BackendLoad>(), backends),
        MapLayout { kind: MapType::PerCpuArray, ..array(maps::COUNTERS, size_of::<ServiceCounters>(), services) },
        MapLayout { kind: MapType::Hash, flags: NO_PREALLOC, ..array(maps::NAMES, size_of::<NameRow>(), services) },
        MapLayout {
            kind: MapType::SkStorage,
            flags: NO_PREALLOC,
            ..array(maps::SOCKETS, size_of::<SocketRecord>(), 0)
        },
    ]
}

/// Name of the directory that holds maps of this layout; an agent with another layout makes its own beside it.
pub(super) fn directory_name(capacity: Capacity) -> String {
    let Capacity { services, slots, backends } = capacity;
    format!("maps-v{ABI_VERSION}-{services}-{slots}-{backends}")
}

impl MapLayout {
    /// Compares a pin, if there is one.
    pub(super) fn check(&self, path: &Path) -> Result<(), ForeignPin> {
        if !path.exists() {
            return Ok(());
        }
        let foreign = |difference| ForeignPin { path: path.display().to_string(), difference };
        let info = MapInfo::from_pin(path).map_err(|error| foreign(error.to_string()))?;
        let kind = info.map_type().map_err(|error| foreign(error.to_string()))?;
        if kind != self.kind {
            return Err(foreign(format!("its type is {kind:?} instead of {:?}", self.kind)));
        }
        let size = |bytes: usize| u32::try_from(bytes).expect("rows are small");
        let fields = [
            ("key size", info.key_size(), size(self.key)),
            ("value size", info.value_size(), size(self.value)),
            ("row count", info.max_entries(), self.rows),
            ("flags", info.map_flags(), self.flags),
        ];
        match fields.into_iter().find(|(_, is, should)| is != should) {
            Some((field, is, should)) => Err(foreign(format!("its {field} is {is} instead of {should}"))),
            None => Ok(()),
        }
    }
}
