//! Reads from the kernel what `meshctl doctor` shows: attached programs, and how full maps are.

use std::{
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytemuck::Pod;
use mesh_common::abi::{
    ABI_VERSION,
    maps::{self, MapDef},
};

use super::{Error, layout, maps::Maps, pin::Cgroup, probe_rows::rows_of, sys};
use crate::{
    api::types::{CapacityUse, MapLayout},
    desired::Capacity,
    doctor::{HookPrograms, Program},
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
        names.filter_map(|name| layout::version(&name)).collect()
    }
}

/// Returns the row layout of this agent.
pub const fn abi() -> u32 {
    ABI_VERSION
}

/// Returns the programs on a cgroup, by hook. `own` are the ids of this agent's. Their names need
/// capabilities that the agent gave up.
pub fn programs(cgroup: &Path, own: &[u32]) -> Vec<HookPrograms> {
    let cgroup = Cgroup::open(cgroup).ok();
    let ids = |kind| {
        cgroup
            .as_ref()
            .and_then(|cgroup| sys::attached_programs(cgroup.as_fd(), kind).ok())
    };
    let attached = ATTACH_TYPES.map(|(hook, kind)| (hook, ids(kind)));
    let program = |id| Program {
        id,
        is_own: own.contains(&id),
    };
    let hook = |(hook, ids): (&str, Option<Vec<u32>>)| HookPrograms {
        hook: hook.to_owned(),
        programs: ids.map(|ids| ids.into_iter().map(program).collect()),
    };
    attached.into_iter().map(hook).collect()
}
