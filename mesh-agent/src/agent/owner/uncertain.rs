//! Keeps services of an earlier agent in the kernel while the configuration cannot be read
//! completely. A service is uncertain until an update holds all of it; from then on it is removed
//! when updates do not have it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    desired::vips::Vips,
    model::{LeftOut, ServiceName, Services, Update},
};

/// Returns whether an update is complete and has no uncertain service.
pub(super) fn is_certain(update: &Update) -> bool {
    update.complete && update.uncertain.is_empty()
}

/// Returns which of the unconfirmed services the update does not hold completely.
pub(super) fn uncertain(
    unconfirmed: &BTreeSet<ServiceName>,
    update: &Update,
    services: &Services,
    left_out: &BTreeMap<ServiceName, LeftOut>,
) -> BTreeSet<ServiceName> {
    let is_known = |name: &ServiceName| services.contains_key(name) || left_out.contains_key(name);
    let is_uncertain = |name: &&ServiceName| {
        update.uncertain.contains(*name) || !(update.complete || is_known(name))
    };
    unconfirmed.iter().filter(is_uncertain).cloned().collect()
}

/// Returns the addresses to remember. Uncertain services keep theirs, because they may come back.
pub(super) fn addresses(vips: &Vips, remembered: &Vips, certain: bool) -> Vips {
    let mut all = if certain {
        Vips::new()
    } else {
        remembered.clone()
    };
    all.extend(vips.iter().map(|(name, at)| (name.clone(), at.clone())));
    all
}
