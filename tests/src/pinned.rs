//! The pins of a node, and what the kernel holds behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use aya::{
    maps::{MapData, loaded_maps},
    programs::{loaded_links, loaded_programs},
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
    let pin = pins.iter().find(|pin| pin.file_name().is_some_and(|found| found == name));
    let path = directory.join(pin.unwrap_or_else(|| panic!("no map {name} among {pins:?}")));
    MapData::from_pin(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Ids of everything the kernel holds for eBPF, of all owners.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Programs.
    pub programs: BTreeMap<u32, String>,
    /// Maps.
    pub maps: BTreeMap<u32, String>,
    /// Links and the program of each.
    pub links: BTreeMap<u32, u32>,
}

impl Held {
    /// By the kernel, now.
    pub fn now() -> Self {
        let text = |name: Option<&str>| name.unwrap_or_default().to_owned();
        Self {
            // What vanishes while it is listed is left out.
            programs: loaded_programs().flatten().map(|program| (program.id(), text(program.name_as_str()))).collect(),
            maps: loaded_maps().flatten().map(|map| (map.id(), text(map.name_as_str()))).collect(),
            links: loaded_links().flatten().map(|link| (link.id(), link.program_id())).collect(),
        }
    }
}
