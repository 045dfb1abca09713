//! Reads from the kernel what `meshctl doctor` shows: attached programs, and how full maps are.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::programs::loaded_programs;
use bytemuck::Pod;
use mesh_common::abi::{
    ABI_VERSION,
    maps::{self, MapDef},
};

use super::{Error, maps::Maps, pin::Cgroup, probe_rows::rows_of, sys};
use crate::{
    api::types::{CapacityUse, MapLayout},
    desired::Capacity,
    doctor::{Feature, HookPrograms, Program},
};

/// `enum bpf_attach_type`, `include/uapi/linux/bpf.h`.
const ATTACH_TYPES: [(&str, u32); 10] = [
    ("sock_release", 34),
    ("sock_ops", 3),
    ("getpeername4", 29),
    ("getpeername6", 30),
    ("recvmsg4", 19),
    ("recvmsg6", 20),
    ("sendmsg4", 14),
    ("sendmsg6", 15),
    ("connect4", 10),
    ("connect6", 11),
];

/// Reads maps and pins in parallel to the data plane.
pub struct Inspector {
    pub(super) maps: Arc<Maps>,
    pub(super) capacity: Capacity,
    pub(super) pins: PathBuf,
}

impl Inspector {
    /// Returns rows used and available of the hash maps that only the kernel programs and the node
    /// fill.
    pub fn map_use(&self) -> Result<Vec<CapacityUse>, Error> {
        Ok(vec![
            self.used(maps::SOCKETS)?,
            self.used(maps::AFFINITY)?,
            self.used(maps::SHARES)?,
            self.used(maps::GROUPS)?,
            self.used(maps::EXCLUDED)?,
        ])
    }

    fn used<K: Pod, V: Pod>(&self, map: MapDef<K, V>) -> Result<CapacityUse, Error> {
        Ok(CapacityUse {
            map: map.name.to_owned(),
            used: self.maps.of(map).scan()?.len() as u64,
            capacity: self.capacity.of(map.rows).into(),
        })
    }

    /// Returns kind and sizes of all maps.
    pub fn layouts(&self) -> Vec<MapLayout> {
        let layout = |map: &MapDef| MapLayout {
            map: map.name.to_owned(),
            kind: format!("{:?}", map.kind),
            key_size: map.key_size,
            row_size: map.row_size,
            rows: rows_of(map, self.capacity),
        };
        maps::ALL.iter().map(layout).collect()
    }

    /// Returns the row layouts of all maps that are pinned.
    pub fn pinned_abis(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.pins).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter_map(|name| abi_of(&name)).collect()
    }
}

/// Returns the row layout in the name of a directory of maps.
fn abi_of(name: &str) -> Option<u32> {
    let (version, _) = name.strip_prefix("maps-v")?.split_once('-')?;
    version.parse().ok()
}

/// Returns the row layout of this agent.
pub const fn abi() -> u32 {
    ABI_VERSION
}

/// Returns the features of the kernel that some kernels lack. Those without which the verifier
/// refuses the programs are there: the agent runs.
pub fn features() -> Vec<Feature> {
    vec![Feature {
        name: "bpf_set_retval".to_owned(),
        present: true,
        without:
            "a connect to a service without endpoints fails with EPERM instead of ECONNREFUSED"
                .to_owned(),
    }]
}

/// Returns the programs on a cgroup, by hook. `own` are the ids of this agent's.
pub fn programs(cgroup: &Path, own: &[u32]) -> Vec<HookPrograms> {
    let cgroup = Cgroup::open(cgroup).ok();
    let ids = |kind| {
        cgroup
            .as_ref()
            .and_then(|cgroup| sys::attached_programs(cgroup.as_fd(), kind).ok())
    };
    let attached = ATTACH_TYPES.map(|(hook, kind)| (hook, ids(kind)));
    let mut all = attached.iter().flat_map(|(_, ids)| ids).flatten();
    // Names of programs cost a system call for each program of the node.
    let names = if all.all(|id| own.contains(id)) {
        BTreeMap::new()
    } else {
        names()
    };
    let program = |id| Program {
        id,
        name: names.get(&id).cloned().unwrap_or_default(),
        is_own: own.contains(&id),
    };
    let hook = |(hook, ids): (&str, Option<Vec<u32>>)| HookPrograms {
        hook: hook.to_owned(),
        programs: ids.map(|ids| ids.into_iter().map(program).collect()),
    };
    attached.into_iter().map(hook).collect()
}

/// Returns the names of all programs of the node, as far as the kernel tells.
fn names() -> BTreeMap<u32, String> {
    loaded_programs()
        .map_while(Result::ok)
        .map(|program| {
            let name = program.name_as_str().unwrap_or_default().to_owned();
            (program.id(), name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_maps_tell_their_row_layout() {
        let names = [
            "maps-v8-131072-65536-524288-262144",
            "links",
            "maps-vx-1",
            "maps-v7",
        ];
        assert_eq!(names.map(abi_of), [Some(8), None, None, None]);
    }
}
