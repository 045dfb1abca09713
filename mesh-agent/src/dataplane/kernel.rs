//! Loads and attaches the programs, and opens their maps. Only this directory names aya.

use std::{collections::BTreeSet, os::fd::AsFd as _, sync::Arc};

use anyhow::Context as _;
use aya::{Ebpf, EbpfLoader, programs::SocketFilter};
use mesh_common::{
    abi::{ABI_VERSION, ExcludedKey, SocketRow, maps},
    occupancy::live,
};
use tracing::warn;

#[cfg(feature = "kernel-log")]
use super::kernel_log::{Decision, KernelLog};
use super::{
    ApplyError, Dataplane, Error, SharedMeter,
    carry::{Carry, Earlier},
    clients, exclude, features,
    generation::Generation,
    hooks::{self, CgroupHooks, HAS_ALL},
    inspect::Inspector,
    layout::{check, directory_name, has_more_rows},
    link::{Attached, Held},
    link_repair,
    maps::{self as open_maps, Maps},
    other_agents,
    pin::{Cgroup, PinDir},
    probe_rows::rows_of,
    probe_services::ProbeRows,
    sockets::{self, Sockets},
    switch::{SwitchFailed, switch_all},
    verify::verify,
};
use crate::desired::{Capacity, Tables, plan::Op};

/// The object with all programs and maps, which this crate's build script builds from `mesh-ebpf`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mesh"));

/// Name of the constant for whether refusals have their own error.
const HAS_SET_RETVAL: &str = "HAS_SET_RETVAL";
/// Name of the constant for whether EXCLUDED may have rows.
const EXCLUSIONS: &str = "EXCLUSIONS";
/// Name of the constant with the cookie of the node's network namespace.
const NODE_NETNS: &str = "NODE_NETNS";

/// Names of the constants with the most rows of one client.
const SOCKETS_PER_CLIENT: &str = "SOCKETS_PER_CLIENT";
const AFFINITY_PER_CLIENT: &str = "AFFINITY_PER_CLIENT";

/// The maps, and the programs that decide from them.
pub struct Kernel {
    pins: PinDir,
    programs: Ebpf,
    maps: Arc<Maps>,
    capacity: Capacity,
    generation: Generation,
    carry: Option<Carry>,
    replaces_other: bool,
    replaces_larger: bool,
    differences: Vec<String>,
    links: Vec<Held>,
}

impl Kernel {
    /// Opens or creates the maps, carries over what an earlier agent's maps hold, and lets the
    /// verifier check the programs. Attaches nothing.
    /// Without `excludes`, [`exclude`](Self::exclude) must not be called, and the programs skip
    /// that lookup.
    pub fn open(pins: PinDir, capacity: Capacity, excludes: bool) -> anyhow::Result<Self> {
        let adapted = features::probe()?;
        let mut generation = Generation::open(&pins, capacity, open_maps::cpus()?)?;
        let earlier = generation.earlier.take();
        let keeps_services = earlier.as_ref().is_some_and(Earlier::keeps_services);
        let replaces_other = generation.is_filling() && !keeps_services;
        let is_larger = |name: &String| has_more_rows(name, capacity);
        let replaces_larger = replaces_other && pins.all_maps().iter().any(is_larger);
        let directory = &generation.directory;
        let mut loader = EbpfLoader::new();
        for map in maps::ALL {
            let path = directory.join(map.name);
            check(map, capacity, &path)?;
            loader.map_pin_path(map.name, path);
            let rows = rows_of(map, capacity);
            if rows > 0 {
                loader.map_max_entries(map.name, rows);
            }
        }
        let has_set_retval = u32::from(adapted.has_set_retval);
        loader.override_global(HAS_SET_RETVAL, &has_set_retval, true);
        let exclusions = u32::from(excludes);
        loader.override_global(EXCLUSIONS, &exclusions, true);
        let netns =
            exclude::own_netns().context("cannot read the cookie of this network namespace")?;
        loader.override_global(NODE_NETNS, &netns, true);
        let affinity = capacity
            .sockets_per_client
            .min(maps::AFFINITY.capacity() / 4);
        loader.override_global(SOCKETS_PER_CLIENT, &capacity.sockets_per_client, true);
        loader.override_global(AFFINITY_PER_CLIENT, &affinity, true);
        let mut programs = loader.load(OBJECT).context("cannot create the maps")?;
        verify(&mut programs)?;
        let maps = Arc::new(Maps::open(directory)?);
        let mut kernel = Self {
            pins,
            programs,
            maps,
            capacity,
            generation,
            carry: None,
            replaces_other,
            replaces_larger,
            differences: adapted.differences,
            links: Vec::new(),
        };
        if let Some(earlier) = earlier {
            let (rows, directory) = (kernel.socket_rows()?, &kernel.generation.directory);
            kernel.carry = Some(match kernel.generation.is_filling() {
                true => Carry::start(earlier, rows, capacity)?,
                false => Carry::resume(earlier, rows, capacity, directory)?,
            });
        }
        Ok(kernel)
    }

    /// Returns what is different because the kernel lacks a feature, a line each.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// Whether programs are attached, by this agent or an earlier one.
    pub fn serves(&self) -> bool {
        self.pins.has_links()
    }

    /// Whether the programs of an earlier agent use maps of another layout, which attaching
    /// replaces by these.
    pub fn replaces_other(&self) -> bool {
        self.replaces_other
    }

    /// Whether those maps have more rows than these.
    pub fn replaces_larger(&self) -> bool {
        self.replaces_larger
    }

    /// Attaches every program, or puts it into the link of an earlier agent. Fails if another agent
    /// attached its own programs to the cgroup, unless this agent `may_be_second`. After a failure
    /// the programs of the earlier agent serve, from its maps.
    pub fn attach(
        &mut self,
        cgroup: &Cgroup,
        may_be_second: bool,
    ) -> anyhow::Result<Vec<(&'static str, Attached)>> {
        if !may_be_second {
            other_agents::check(cgroup, self.pins.path())?;
        }
        if let Some(carry) = &mut self.carry {
            carry.before_switch()?;
        }
        self.generation.begin()?;
        if let Err(error) = self.switch(cgroup, may_be_second) {
            // Where a hook is stuck, the maps are in use, and the next agent continues.
            if error.is_undone() {
                self.generation.withdraw()?;
            }
            return Err(error.into());
        }
        if let Some(carry) = self.carry.take()
            && let Err(error) = carry.after_switch()
        {
            warn!("cannot carry over what happened during the switch: {error}");
        }
        self.pins
            .remove_other_maps(&directory_name(self.capacity))?;
        Ok(self
            .links
            .iter()
            .map(|held| (held.hook, held.attached))
            .collect())
    }

    fn switch(&mut self, cgroup: &Cgroup, may_be_second: bool) -> Result<(), SwitchFailed> {
        let serves = self.pins.has_links();
        let previous = serves.then(|| self.generation.replaced_version.unwrap_or(ABI_VERSION));
        let mut target = CgroupHooks {
            pins: &self.pins,
            programs: &mut self.programs,
            cgroup,
            may_be_second,
        };
        let switched = switch_all(&mut target, hooks::all(), previous)?;
        self.links = switched.into_iter().map(|switched| switched.held).collect();
        Ok(())
    }

    /// Pins again what another process unpinned. Returns what is wrong with the links of the attached
    /// programs.
    pub fn repair_links(&self, cgroup: &Cgroup) -> Vec<String> {
        link_repair::repair(&self.links, &self.pins, cgroup)
    }

    /// Returns the rows of open sockets with a backend that `wanted` selects, by socket cookie.
    pub fn sockets(
        &self,
        wanted: impl Fn(&SocketRow) -> bool,
    ) -> Result<Vec<(u64, SocketRow)>, Error> {
        self.maps.of(maps::SOCKETS).select(|_, row| wanted(row))
    }

    /// Returns access to the same rows and their counts, in parallel to the data plane.
    pub fn socket_rows(&self) -> anyhow::Result<Sockets> {
        let loaded: &SocketFilter = self
            .programs
            .program(sockets::PROGRAM)
            .and_then(|program| program.try_into().ok())
            .expect(HAS_ALL);
        let program = loaded.fd()?.as_fd().try_clone_to_owned()?;
        Ok(Sockets {
            maps: Arc::clone(&self.maps),
            program,
        })
    }

    /// Returns access to the rows of the self-probe, in parallel to the data plane.
    pub fn probe_rows(&self) -> ProbeRows {
        ProbeRows {
            maps: Arc::clone(&self.maps),
            capacity: self.capacity,
        }
    }

    /// Returns a reader of maps and pins, in parallel to the data plane.
    pub fn inspector(&self) -> Inspector {
        Inspector {
            maps: Arc::clone(&self.maps),
            capacity: self.capacity,
            pins: self.pins.path().to_owned(),
        }
    }

    /// Replaces the cgroups and namespaces that are not served. Only for an agent that was opened
    /// with `excludes`.
    pub fn exclude(&self, excluded: &[ExcludedKey]) -> Result<(), Error> {
        self.maps.exclude(excluded)
    }

    /// Replaces the cgroups that contain clients.
    pub fn set_groups(&self, groups: &BTreeSet<u64>) -> Result<(), Error> {
        clients::set_groups(&self.maps, groups)
    }

    /// Ends what clients agreed on about these backends, by their indexes.
    pub fn lift(&self, backends: &[u32]) -> Result<(), Error> {
        self.maps.backends().lift(backends)
    }

    /// Takes the log of the programs. Each decision goes to `tell`.
    #[cfg(feature = "kernel-log")]
    pub fn take_log<F: Fn(Decision) + Send + Sync>(
        &mut self,
        tell: F,
    ) -> anyhow::Result<KernelLog<F>> {
        KernelLog::new(&mut self.programs, tell)
    }

    /// Returns a reader of the counters of these maps, in parallel to the data plane.
    pub fn meter(&self) -> SharedMeter {
        Arc::clone(&self.maps) as SharedMeter
    }
}

impl Dataplane for Kernel {
    fn dump(&self) -> Result<Tables, Error> {
        self.maps.dump(self.capacity)
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), ApplyError> {
        let mut done = 0;
        for run in ops.chunk_by(Op::is_like) {
            self.maps
                .apply_run(run)
                .map_err(|(more, error)| ApplyError {
                    done: done + more,
                    all: ops.len(),
                    error,
                })?;
            done += run.len();
        }
        Ok(())
    }

    fn busy(&self) -> Result<BTreeSet<u32>, Error> {
        if self.generation.is_fresh && self.links.is_empty() {
            // No program has counted yet. Reading all rows would delay the first attachment.
            return Ok(BTreeSet::new());
        }
        let loads = self
            .maps
            .of(maps::LOAD)
            .range(0, self.capacity.services as usize)?;
        Ok(loads
            .into_iter()
            .filter(|(_, load)| live(load.connections) != 0)
            .map(|(id, _)| id)
            .collect())
    }

    fn held(&self, backends: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Error> {
        self.maps.backends().held(backends)
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_types_and_lines_of_source_and_nothing_for_debuggers() {
        let has = |text: &str| {
            OBJECT
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert_eq!(
            [".BTF.ext", "kernel.count(service.id, Counter::Failovers);"].map(has),
            [true; 2]
        );
        assert_eq!([".debug_info", ".debug_str"].map(has), [false; 2]);
    }
}
