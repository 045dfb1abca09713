//! Finds the services that changed since the last compile; the rows of the others are kept. Services
//! are compiled independently of each other, except where node ports compete with addresses; then
//! everything counts as changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{Tables, Target, World, slot_ranges::slot_ranges, unhealthy::leaves_at};
use crate::model::{Service, ServiceName};

/// A full compile costs less when more than one in this many services changed.
const MANY: usize = 4;

/// The last compile: its input and its result.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// Input.
    pub world: &'a World,
    /// Time of the compile, by the monotonic clock.
    pub at: Duration,
    /// Result. The kernel holds all of it.
    pub tables: &'a Tables,
}

/// Rows that a compile builds on.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// The rows that the kernel holds.
    pub current: &'a Tables,
    /// The last compile. Without it, everything counts as changed.
    pub earlier: Option<Earlier<'a>>,
}

impl<'a> From<&'a Tables> for Base<'a> {
    fn from(current: &'a Tables) -> Self {
        Self {
            current,
            earlier: None,
        }
    }
}

/// The services to compile, and the rows of all others.
pub(super) struct Changes<'a> {
    /// Rows that stay.
    pub(super) kept: Tables,
    /// Services that are compiled.
    pub(super) services: Vec<&'a Service>,
    /// Ids of these services.
    pub(super) ids: Ids,
}

impl<'a> Changes<'a> {
    /// Compares with the last compile.
    pub(super) fn of(world: &'a World, now: Duration, base: Base<'_>) -> Self {
        let earlier = base.earlier.and_then(|earlier| {
            let changed = changed((earlier.world, earlier.at), (world, now))?;
            let names: BTreeSet<ServiceName> = changed.into_iter().cloned().collect();
            Some((earlier.tables, names))
        });
        let Some((tables, names)) = earlier else {
            return Self::all(world);
        };
        let ids = Ids::of(&names, base.current);
        let mut kept = tables.clone();
        remove(&mut kept, &ids);
        let services = names.iter().filter_map(|name| world.services.get(name));
        Self {
            kept,
            services: services.map(AsRef::as_ref).collect(),
            ids,
        }
    }

    /// Everything changed. Services that are only partly known stay as the kernel has them.
    pub(super) fn all(world: &'a World) -> Self {
        let services = world.services.values().map(AsRef::as_ref);
        Self {
            kept: Tables::default(),
            services: services
                .filter(|service: &&Service| !world.uncertain.contains(&service.name))
                .collect(),
            ids: Ids(None),
        }
    }
}

/// Returns the services whose rows may differ from before, or nothing if a full compile is needed.
fn changed<'a>(
    (earlier, earlier_at): (&'a World, Duration),
    (world, now): (&'a World, Duration),
) -> Option<BTreeSet<&'a ServiceName>> {
    let World {
        services,
        vips,
        complete: _,
        check_policy: _,
        uncertain,
        node_name,
        node_addresses,
        admission,
        locality,
        failing,
        overrides,
        usable_since,
    } = world;
    let node = (node_name, node_addresses, locality, admission);
    let is_same_node = node
        == (
            &earlier.node_name,
            &earlier.node_addresses,
            &earlier.locality,
            &earlier.admission,
        );
    if !(is_same_node && uncertain.is_empty() && earlier.uncertain.is_empty()) {
        return None;
    }
    let edited = earlier
        .services
        .differences(services)
        .map(|(name, _, _)| name);
    let moved = earlier
        .vips
        .iter()
        .filter(|(name, at)| vips.get(*name) != Some(*at));
    let placed = vips
        .iter()
        .filter(|(name, _)| !earlier.vips.contains_key(*name));
    let other = |of: &'a BTreeMap<Target, Duration>, than: &'a BTreeMap<Target, Duration>| {
        of.iter()
            .filter(|(target, since)| than.get(*target) != Some(*since))
            .map(|(target, _)| target)
    };
    let checked = other(&earlier.failing, failing).chain(other(failing, &earlier.failing));
    let leaving = failing.iter().filter(|(_, since)| {
        let at = leaves_at(**since);
        at > earlier_at && at <= now
    });
    let left = leaving.map(|(target, _)| target);
    // Weights that ramp change as time passes.
    let ramps = [&earlier.usable_since, usable_since]
        .into_iter()
        .flat_map(|it| it.keys());
    let orders = [&earlier.overrides, overrides]
        .into_iter()
        .flat_map(|it| it.keys());
    let of = |target: &'a Target| &target.service;
    let targets = checked.chain(left).chain(ramps).chain(orders).map(of);
    let changed: BTreeSet<&ServiceName> = edited
        .chain(moved.chain(placed).map(|(name, _)| name))
        .chain(targets)
        .collect();
    let shares = |name: &&ServiceName| [earlier, world].iter().any(|world| shares(world, name));
    let is_much = changed.len() > services.len() / MANY || changed.iter().any(shares);
    (!is_much).then_some(changed)
}

/// Whether the node ports of this service may collide with an address of another one, or its
/// addresses with node ports.
fn shares(world: &World, name: &ServiceName) -> bool {
    let shares = |service: &Arc<Service>| {
        let external = service.external.iter().map(|external| &external.address);
        let mut addresses = world.addresses(service).iter().chain(external);
        service.ports.iter().any(|port| port.node_port.is_some())
            || addresses.any(|address| world.node_addresses.contains(address))
    };
    world.services.get(name).is_some_and(shares)
}

/// A set of service ids as a bitmap by id, because it is queried once per row; nothing for all ids.
pub(super) struct Ids(Option<Vec<bool>>);

impl Ids {
    /// Returns the ids of all ports of these services.
    fn of(services: &BTreeSet<ServiceName>, current: &Tables) -> Self {
        let services: HashSet<String> = services.iter().map(ToString::to_string).collect();
        // A name is `namespace/name:port/PROTOCOL`.
        let is_of = |name: &str| {
            name.rsplit_once(':')
                .is_some_and(|(service, _)| services.contains(service))
        };
        let mut ids = Vec::with_capacity(current.names.len());
        for (&id, name) in current.names.iter() {
            ids.resize(id as usize, false);
            ids.push(is_of(name));
        }
        Self(Some(ids))
    }

    pub(super) fn has(&self, id: u32) -> bool {
        let is_marked = |ids: &Vec<bool>| ids.get(id as usize).is_some_and(|marked| *marked);
        self.0.as_ref().is_none_or(is_marked)
    }
}

/// Removes the rows of these services.
fn remove(tables: &mut Tables, ids: &Ids) {
    let services = tables.services.values().filter(|row| ids.has(row.id));
    for row in services.copied().collect::<Vec<_>>() {
        for index in slot_ranges(&tables.slots, &row).into_iter().flatten() {
            tables.slots.remove(&index);
        }
    }
    tables.remove_services(|id| ids.has(id));
}

#[cfg(test)]
mod tests;
