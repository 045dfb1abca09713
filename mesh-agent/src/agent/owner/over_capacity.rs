//! Refuses services that do not fit: no address in the pools, or no rows in the maps. All others
//! apply.

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{
        OverLimit,
        vips::{Vips, allocate},
    },
    model::{Effect, Refused, Services, Update},
    source::bound_refused,
};

impl<D: Dataplane> Owner<D> {
    /// Allocates addresses from the pools. Leaves out services that get none.
    pub(super) fn allocate(
        &self,
        services: &mut Services,
        certain: bool,
        update: &mut Update,
    ) -> Vips {
        let (vips, exhausted) =
            allocate(services, &self.pools, self.addresses.remembered(), certain);
        let mut refused = Refused::default();
        for error in &exhausted {
            let effect = if vips.contains_key(&error.service) {
                Effect::Part
            } else {
                Effect::LeftOut
            };
            if let Some(service) = services.get(&error.service) {
                refused.add(service, "address", error.to_string(), effect);
            }
        }
        for error in exhausted
            .iter()
            .filter(|error| !vips.contains_key(&error.service))
        {
            services.remove(&error.service);
        }
        refused.tell(update);
        vips
    }

    /// Returns whether everything in the last update fit.
    pub(in crate::agent) fn has_capacity(&self) -> bool {
        self.over_capacity.errors.is_empty() && !self.is_cut
    }

    /// Returns the errors of services that do not fit into the maps, and what is in force instead.
    pub(super) fn refuse_over_capacity(&self, over_capacity: &[OverLimit]) -> Refused {
        let mut refused = Refused::default();
        for OverLimit {
            service,
            reason,
            effect,
        } in over_capacity
        {
            if let Some(service) = self.world.services.get(service) {
                refused.add(service, "", reason.clone(), effect.clone());
            }
        }
        bound_refused(&mut refused);
        refused
    }
}
