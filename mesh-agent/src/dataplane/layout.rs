//! Defines the layout of every map, and checks pinned maps against it. aya opens a pin without a
//! check, and a row of another size would then end the process.

use std::path::Path;

use aya::maps::{MapInfo, MapType};
use mesh_common::abi::{
    ABI_VERSION, AffinityKey, AffinityRow, BackendEntry, ClientRows, ExcludedKey, FrontendKey,
    MoreFlows, NameRow, OutcomeKey, OutcomeRow, ServiceCounters, ServiceLoad, ServiceRow, ShareKey,
    Slot, SocketFlows, SocketRow, capacity, maps,
};

use crate::desired::Capacity;

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`
const MMAPABLE: u32 = 1 << 10;

/// Layout of one map.
pub(super) struct MapLayout {
    pub(super) name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    pub(super) rows: u32,
    flags: u32,
}

/// A pinned map does not have the layout of this agent.
#[derive(Debug, thiserror::Error)]
#[error(
    "pin {path} is not a map of this agent: {difference}; remove it with `mesh-agent uninstall`"
)]
pub struct ForeignPin {
    path: String,
    difference: String,
}

/// Returns all maps. Sizes must match `mesh-ebpf/src/maps.rs`; loading fails in every test
/// otherwise.
pub(super) fn layout(rows: Capacity) -> [MapLayout; 20] {
    let Capacity {
        services,
        slots,
        backends,
        sockets,
        sockets_per_client: _,
    } = rows;
    [
        MapLayout::new::<FrontendKey, ServiceRow>(maps::SERVICES, MapType::Hash, services),
        MapLayout::new::<u32, Slot>(maps::SLOTS, MapType::Array, slots),
        MapLayout::new::<u32, BackendEntry>(maps::BACKENDS, MapType::Array, backends).mapped(),
        MapLayout::new::<u32, ServiceLoad>(maps::LOAD, MapType::Array, services),
        MapLayout::new::<u32, ServiceCounters>(maps::COUNTERS, MapType::PerCpuArray, services),
        MapLayout::new::<u32, NameRow>(maps::NAMES, MapType::Hash, services).grown_on_demand(),
        MapLayout::new::<u64, SocketRow>(maps::SOCKETS, MapType::Hash, sockets),
        MapLayout::new::<u32, u64>(maps::COOKIE_FILTER, MapType::Array, capacity::COOKIE_FILTER),
        MapLayout::new::<u32, u64>(
            maps::ADDRESS_FILTER,
            MapType::Array,
            capacity::ADDRESS_FILTER,
        ),
        MapLayout::new::<u32, SocketFlows>(maps::FLOWS, MapType::SkStorage, 0).grown_on_demand(),
        MapLayout::new::<u32, MoreFlows>(maps::MORE_FLOWS, MapType::SkStorage, 0).grown_on_demand(),
        MapLayout::new::<AffinityKey, AffinityRow>(
            maps::AFFINITY,
            MapType::Hash,
            capacity::AFFINITY,
        ),
        MapLayout::new::<u32, ClientRows>(maps::QUOTAS, MapType::Array, capacity::QUOTAS),
        MapLayout::new::<ShareKey, u64>(maps::SHARES, MapType::Hash, capacity::SHARES)
            .grown_on_demand(),
        MapLayout::new::<ExcludedKey, u64>(maps::EXCLUDED, MapType::Hash, capacity::EXCLUDED)
            .grown_on_demand(),
        MapLayout::new::<u64, u64>(maps::GROUPS, MapType::Hash, capacity::GROUPS).grown_on_demand(),
        MapLayout::new::<OutcomeKey, OutcomeRow>(
            maps::OUTCOMES,
            MapType::LruHash,
            capacity::OUTCOMES,
        ),
        MapLayout::new::<u32, u64>(maps::LATENCIES, MapType::Array, capacity::LATENCIES),
        MapLayout::new::<u32, u64>(maps::CLIENTS, MapType::Array, capacity::CLIENTS),
        MapLayout::new::<u32, u64>(maps::RANDOM, MapType::PerCpuArray, 1),
    ]
}

/// Returns the name of the directory of maps of this layout. An agent with another layout uses
/// another directory.
pub(super) fn directory_name(capacity: Capacity) -> String {
    let Capacity {
        services,
        slots,
        backends,
        sockets,
        sockets_per_client: _,
    } = capacity;
    format!("maps-v{ABI_VERSION}-{sockets}-{services}-{slots}-{backends}")
}

/// Whether maps in a directory of this name have more rows of any kind.
pub(super) fn has_more_rows(name: &str, capacity: Capacity) -> bool {
    let Capacity {
        services,
        slots,
        backends,
        ..
    } = capacity;
    let rows: Vec<u32> = name
        .rsplitn(4, '-')
        .take(3)
        .filter_map(|rows| rows.parse().ok())
        .collect();
    rows.into_iter()
        .zip([backends, slots, services])
        .any(|(theirs, ours)| theirs > ours)
}

impl MapLayout {
    const fn new<K, V>(name: &'static str, kind: MapType, rows: u32) -> Self {
        Self {
            name,
            kind,
            key: size_of::<K>(),
            value: size_of::<V>(),
            rows,
            flags: 0,
        }
    }

    /// Rows take memory only while they exist.
    const fn grown_on_demand(mut self) -> Self {
        self.flags = NO_PREALLOC;
        self
    }

    /// Rows can be mapped into memory.
    const fn mapped(mut self) -> Self {
        self.flags = MMAPABLE;
        self
    }

    /// Checks a pin, if it exists.
    pub(super) fn check(&self, path: &Path) -> Result<(), ForeignPin> {
        if !path.exists() {
            return Ok(());
        }
        let foreign = |difference| ForeignPin {
            path: path.display().to_string(),
            difference,
        };
        let info = MapInfo::from_pin(path).map_err(|error| foreign(error.to_string()))?;
        let kind = info
            .map_type()
            .map_err(|error| foreign(error.to_string()))?;
        if kind != self.kind {
            return Err(foreign(format!(
                "its type is {kind:?} instead of {:?}",
                self.kind
            )));
        }
        let size = |bytes: usize| u32::try_from(bytes).expect("rows are small");
        let fields = [
            ("key size", info.key_size(), size(self.key)),
            ("value size", info.value_size(), size(self.value)),
            ("row count", info.max_entries(), self.rows),
            ("flags", info.map_flags(), self.flags),
        ];
        match fields.into_iter().find(|(_, is, should)| is != should) {
            Some((field, is, should)) => {
                Err(foreign(format!("its {field} is {is} instead of {should}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_which_maps_have_more_rows() {
        let capacity = |services, slots, backends| Capacity {
            services,
            slots,
            backends,
            ..Capacity::default()
        };
        let name = directory_name(capacity(10, 40, 20));
        assert!(!has_more_rows(&name, capacity(10, 40, 20)));
        for smaller in [
            capacity(9, 40, 20),
            capacity(10, 39, 20),
            capacity(10, 40, 19),
        ] {
            assert!(has_more_rows(&name, smaller), "{smaller:?}");
        }
        assert!(!has_more_rows(&name, capacity(11, 41, 21)));
    }
}
