//! The pins of a node, and the kernel objects behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use aya::{
    maps::{MapData, loaded_maps},
    programs::{ProgramInfo, loaded_links, loaded_programs},
};

/// Every pin below a directory, relative to it.
pub fn pins(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory).expect("found below it").into());
            }
        }
    }
    found
}

/// The pinned map of this name, wherever below the directory it is.
pub fn map(directory: &Path, name: &str) -> MapData {
    let pins = pins(directory);
    let pin = pins
        .iter()
        .find(|pin| pin.file_name().is_some_and(|found| found == name));
    let path = directory.join(pin.unwrap_or_else(|| panic!("no map {name} among {pins:?}")));
    MapData::from_pin(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Ids of all eBPF objects in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Programs, and the maps that each uses.
    pub programs: BTreeMap<u32, BTreeSet<u32>>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl Held {
    /// Lists the present objects. Objects that vanish meanwhile are skipped.
    pub fn now() -> Self {
        let maps = |program: &ProgramInfo| {
            program
                .map_ids()
                .ok()
                .flatten()
                .unwrap_or_default()
                .into_iter()
                .collect()
        };
        Self {
            programs: loaded_programs()
                .flatten()
                .map(|program| (program.id(), maps(&program)))
                .collect(),
            maps: loaded_maps().flatten().map(|map| map.id()).collect(),
            links: loaded_links().flatten().map(|link| link.id()).collect(),
        }
    }

    /// Maps that any of these programs uses.
    pub fn maps_of(&self, programs: &BTreeSet<u32>) -> BTreeSet<u32> {
        programs
            .iter()
            .filter_map(|program| self.programs.get(program))
            .flatten()
            .copied()
            .collect()
    }

    /// Returns which of these still exist.
    #[must_use]
    pub fn only(
        mut self,
        programs: &BTreeSet<u32>,
        maps: &BTreeSet<u32>,
        links: &BTreeSet<u32>,
    ) -> Self {
        self.programs.retain(|id, _| programs.contains(id));
        self.maps.retain(|id| maps.contains(id));
        self.links.retain(|id| links.contains(id));
        self
    }
}
