//! The directories of maps below the pin directory: that of this agent, and that of an earlier agent
//! with another layout or capacity.
//!
//! ```text
//! maps-v6-…            filling           only the old maps are used: a new agent starts over
//! maps-v6-…            maps-v7-…         programs are being switched: a new agent continues
//!                      maps-v7-…         the switch is done
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    carry::Earlier,
    layout::{FILLING, directory_name},
    pin::{Error, PinDir, io_error},
    sys,
};
use crate::desired::Capacity;

/// The maps of this agent.
pub(super) struct Generation {
    /// Where the maps are pinned while they are opened.
    pub(super) directory: PathBuf,
    /// Where they are pinned while programs use them.
    home: PathBuf,
    /// The maps that they replace, if their layout is understood.
    pub(super) earlier: Option<Earlier>,
    /// Version of the layout of those maps.
    pub(super) replaced_version: Option<u32>,
    /// Whether the maps start empty: this agent creates them, and there are none to carry over.
    pub(super) is_fresh: bool,
}

impl Generation {
    /// Finds or creates the directory. New maps get the pins of those that are kept.
    pub(super) fn open(pins: &PinDir, capacity: Capacity, cpus: usize) -> Result<Self, Error> {
        let name = directory_name(capacity);
        let is_new = pins.has_links() && !pins.has_maps(&name);
        let others = pins.all_maps().into_iter().filter(|other| *other != name);
        let look = |other: String| Earlier::look(&pins.path().join(other), capacity, cpus);
        let earlier = others.filter_map(look).max_by_key(Earlier::version);
        let is_fresh = earlier.is_none() && !pins.has_maps(&name);
        pins.remove_filling()?;
        let home = pins.path().join(&name);
        let directory = pins.maps(if is_new { FILLING } else { &name })?;
        if let Some(earlier) = earlier.as_ref().filter(|_| is_new) {
            for map in earlier.kept() {
                keep(&earlier.directory().join(map), &directory.join(map))?;
            }
        }
        Ok(Self {
            directory,
            home,
            replaced_version: earlier.as_ref().map(Earlier::version),
            earlier,
            is_fresh,
        })
    }

    /// Whether no program uses these maps yet.
    pub(super) fn is_filling(&self) -> bool {
        self.directory != self.home
    }

    /// Marks that programs use these maps from now on.
    pub(super) fn begin(&self) -> Result<(), Error> {
        if self.is_filling() {
            rename(&self.directory, &self.home)?;
        }
        Ok(())
    }

    /// Undoes [`begin`](Self::begin): the programs of an earlier agent serve, from its maps.
    pub(super) fn withdraw(&self) -> Result<(), Error> {
        if self.is_filling() {
            rename(&self.home, &self.directory)?;
        }
        Ok(())
    }
}

fn keep(old: &Path, new: &Path) -> Result<(), Error> {
    let map = sys::obj_get(old).map_err(io_error("open", old))?;
    sys::obj_pin(std::os::fd::AsFd::as_fd(&map), new).map_err(io_error("pin", new))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(io_error("rename", from))
}
