//! Services for which there is no room: no address in the pools, or no rows in the maps. All others
//! apply.

use super::Owner;
use crate::{
    dataplane::Dataplane,
    desired::{
        OverLimit,
        vips::{Vips, allocate},
    },
    model::{Effect, Refused, Services, Update},
    source::dir::bound_refused,
};

impl<D: Dataplane> Owner<D> {
    /// Gives services addresses from the pools. One that gets none at all is left out.
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

    /// Whether there was room for everything that the last update says.
    pub(in crate::agent) fn has_capacity(&self) -> bool {
        self.over_capacity.errors.is_empty() && !self.is_cut
    }

    /// Says which services the maps have no room for, and what is in force instead.
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
