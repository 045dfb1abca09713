//! What of an earlier agent's services stays in the kernel, because the configuration cannot be
//! read whole. A service is uncertain until an update tells all of it; from then on what updates do
//! not tell is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    desired::vips::Vips,
    model::{LeftOut, ServiceName, Services, Update},
};

/// Whether an update tells everything there is.
pub(super) fn is_certain(update: &Update) -> bool {
    update.complete && update.uncertain.is_empty()
}

/// Which of the strangers an update does not tell all of.
pub(super) fn uncertain(
    strangers: &BTreeSet<ServiceName>,
    update: &Update,
    services: &Services,
    left_out: &BTreeMap<ServiceName, LeftOut>,
) -> BTreeSet<ServiceName> {
    let is_told = |name: &ServiceName| services.contains_key(name) || left_out.contains_key(name);
    let is_uncertain = |name: &&ServiceName| {
        update.uncertain.contains(*name) || !(update.complete || is_told(name))
    };
    strangers.iter().filter(is_uncertain).cloned().collect()
}

/// The addresses to remember. Services that are missing may come back, and want theirs.
pub(super) fn addresses(vips: &Vips, remembered: &Vips, certain: bool) -> Vips {
    let mut all = if certain {
        Vips::new()
    } else {
        remembered.clone()
    };
    all.extend(vips.iter().map(|(name, at)| (name.clone(), at.clone())));
    all
}
