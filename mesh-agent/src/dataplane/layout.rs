//! Compares pinned maps with the definitions in [`mesh_common::abi::maps`]. aya opens a pin without a
//! check, and a row of another size would then end the process.

use std::path::Path;

use aya::maps::{MapInfo, MapType};
use mesh_common::abi::{
    ABI_VERSION,
    maps::{Kind, MapDef},
};

use super::probe_rows::rows_of;
use crate::desired::Capacity;

/// A pinned map does not have the layout of this agent.
#[derive(Debug, thiserror::Error)]
#[error(
    "pin {path} is not a map of this agent: {difference}; remove it with `mesh-agent uninstall`"
)]
pub struct ForeignPin {
    path: String,
    difference: String,
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

/// Checks a pin, if it exists.
pub(super) fn check(map: &MapDef, capacity: Capacity, path: &Path) -> Result<(), ForeignPin> {
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
    let expected = map_type(map.kind);
    if kind != expected {
        return Err(foreign(format!(
            "its type is {kind:?} instead of {expected:?}"
        )));
    }
    let fields = [
        ("key size", info.key_size(), map.key_size),
        ("value size", info.value_size(), map.row_size),
        ("row count", info.max_entries(), rows_of(map, capacity)),
        ("flags", info.map_flags(), map.kind.flags()),
    ];
    match fields.into_iter().find(|(_, is, should)| is != should) {
        Some((field, is, should)) => {
            Err(foreign(format!("its {field} is {is} instead of {should}")))
        }
        None => Ok(()),
    }
}

const fn map_type(kind: Kind) -> MapType {
    match kind {
        Kind::Hash | Kind::HashOnDemand => MapType::Hash,
        Kind::LruHash => MapType::LruHash,
        Kind::Array | Kind::MappedArray => MapType::Array,
        Kind::PerCpuArray => MapType::PerCpuArray,
        Kind::SkStorage => MapType::SkStorage,
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
