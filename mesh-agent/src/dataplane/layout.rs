//! Compares pinned maps with the definitions in [`mesh_common::abi::maps`]. aya opens a pin without a
//! check, and a row of another size would then end the process.
//!
//! A directory of maps is named after the version of the layout and the numbers of rows:
//! `maps-v7-131072-…`.

use std::path::Path;

use aya::maps::{MapError, MapInfo, MapType};
use mesh_common::abi::{
    ABI_VERSION,
    maps::{Kind, MapDef},
};

use super::probe_rows::{self, rows_of};
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

/// Name of the directory of maps that no program uses yet.
pub(super) const FILLING: &str = "filling";

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
    let [services, backends] = [services, backends].map(|rows| rows + probe_rows::ROWS);
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
    let [services, backends] = [services, backends].map(|rows| rows + probe_rows::ROWS);
    let rows: Vec<u32> = name
        .rsplitn(4, '-')
        .take(3)
        .filter_map(|rows| rows.parse().ok())
        .collect();
    rows.into_iter()
        .zip([backends, slots, services])
        .any(|(theirs, ours)| theirs > ours)
}

/// Returns the version of the layout of maps in a directory of this name.
pub(super) fn version(name: &str) -> Option<u32> {
    let (version, _) = name.strip_prefix("maps-v")?.split_once('-')?;
    version.parse().ok()
}

/// What two maps must have in common so that programs can use either.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Form {
    pub(super) kind: MapType,
    pub(super) key_size: u32,
    pub(super) row_size: u32,
    pub(super) rows: u32,
    pub(super) flags: u32,
}

impl Form {
    /// Returns the form of a map of this agent.
    pub(super) fn of(map: &MapDef, capacity: Capacity) -> Self {
        Self {
            kind: map_type(map.kind),
            key_size: map.key_size,
            row_size: map.row_size,
            rows: rows_of(map, capacity),
            flags: map.kind.flags(),
        }
    }

    /// Reads the form of a pinned map.
    pub(super) fn read(path: &Path) -> Result<Self, MapError> {
        let info = MapInfo::from_pin(path)?;
        Ok(Self {
            kind: info.map_type()?,
            key_size: info.key_size(),
            row_size: info.value_size(),
            rows: info.max_entries(),
            flags: info.map_flags(),
        })
    }
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
    let is = Form::read(path).map_err(|error| foreign(error.to_string()))?;
    let should = Form::of(map, capacity);
    if is.kind != should.kind {
        return Err(foreign(format!(
            "its type is {:?} instead of {:?}",
            is.kind, should.kind
        )));
    }
    let fields = [
        ("key size", is.key_size, should.key_size),
        ("value size", is.row_size, should.row_size),
        ("row count", is.rows, should.rows),
        ("flags", is.flags, should.flags),
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
    fn names_tell_the_version_of_the_layout() {
        assert_eq!(
            version(&directory_name(Capacity::default())),
            Some(ABI_VERSION)
        );
        for other in ["maps-v-1", "maps-7-1", "links", "maps-v7"] {
            assert_eq!(version(other), None, "{other}");
        }
    }

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
