//! A map of an earlier agent, whose rows are read as this agent's rows.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::maps::MapType;
use bytemuck::{Pod, pod_read_unaligned};
use mesh_common::abi::maps::MapDef;

use super::convert::convert;
use crate::dataplane::{Error, layout::Form, sys};

/// Rows per system call.
const BATCH: usize = 4096;
/// The kernel aligns the values of each CPU to this many bytes.
const ALIGN: usize = 8;

/// The directory of the maps of an earlier agent.
pub(super) struct OldMaps {
    pub(super) directory: PathBuf,
    /// Version of their layout.
    pub(super) version: u32,
    pub(super) cpus: usize,
}

impl OldMaps {
    /// Returns the converted rows of a map; for a per-CPU map, one row for each CPU. Rows that are
    /// written or deleted meanwhile may be missed or returned twice.
    pub(super) fn rows<K: Pod, V: Pod>(&self, map: MapDef<K, V>) -> Result<Vec<(K, V)>, Error> {
        let path = self.directory.join(map.name);
        self.read(&path, map.name, size_of::<V>())
            .map_err(|source| Error {
                map: map.name,
                action: format!("read {}", path.display()),
                source,
            })
    }

    fn read<K: Pod, V: Pod>(
        &self,
        path: &Path,
        name: &str,
        size: usize,
    ) -> io::Result<Vec<(K, V)>> {
        let form = Form::read(path).map_err(io::Error::other)?;
        let map = sys::obj_get(path)?;
        let (key_size, row_size) = (form.key_size as usize, form.row_size as usize);
        let (cpus, stride) = match form.kind {
            MapType::PerCpuArray => (self.cpus, row_size.next_multiple_of(ALIGN)),
            _ => (1, row_size),
        };
        let batch = BATCH / cpus + 1;
        let mut keys = vec![0; batch * key_size];
        let mut values = vec![0; batch * cpus * stride];
        let mut found = Vec::new();
        let mut cursor = sys::Cursor::default();
        loop {
            let (read, is_end) =
                sys::lookup_batch_bytes(&map, &mut cursor, batch, &mut keys, &mut values)?;
            let each = keys
                .chunks(key_size)
                .zip(values.chunks(cpus * stride))
                .take(read);
            for (key, of_cpus) in each {
                for value in of_cpus.chunks(stride) {
                    let (key, row) = convert(name, self.version, key, &value[..row_size], size);
                    found.push((pod_read_unaligned(&key), pod_read_unaligned(&row)));
                }
            }
            if is_end || read == 0 {
                return Ok(found);
            }
        }
    }
}
