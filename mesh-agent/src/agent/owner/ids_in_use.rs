//! Returns the service ids that a new service must not get.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tracing::warn;

use super::Owner;
use crate::{dataplane::Dataplane, desired::World, model::Service};

impl<D: Dataplane> Owner<D> {
    /// Returns the ids that connections still count for; nothing when no new service port needs an id.
    pub(super) fn ids_in_use(&self) -> BTreeSet<u32> {
        let is_known = |(world, _): &(Arc<World>, Duration)| {
            let mut edited = world.services.differences(&self.world.services);
            edited.all(|(_, before, after)| {
                after.is_none_or(|after| before.is_some_and(|it| has_ports_of(it, after)))
            })
        };
        if self.compiled.as_ref().is_some_and(is_known) {
            return BTreeSet::new();
        }
        self.dataplane.busy().unwrap_or_else(|error| {
            warn!(
                "cannot see which service ids are in use, so a new service may be charged for a removed one: {error}"
            );
            BTreeSet::new()
        })
    }
}

/// Returns whether a service has all ports of another, by their identity.
fn has_ports_of(service: &Service, other: &Service) -> bool {
    let mut ports = other.ports.iter();
    ports.all(|port| {
        service
            .ports
            .iter()
            .any(|it| (it.label(), it.protocol) == (port.label(), port.protocol))
    })
}
