//! Services whose configuration is only partly known.

use std::sync::Arc;

use crate::{
    model::{Service, ServiceName, Update},
    source::object::Kind,
};

/// Marks services with an object that is left out as uncertain: the rows of an earlier agent may be
/// right. A service that other objects define is not uncertain.
pub fn note_uncertain(missing: &[(ServiceName, Kind)], update: &mut Update) {
    let is_bare =
        |service: &Arc<Service>| service.ports.iter().all(|port| port.endpoints.is_empty());
    for (name, kind) in missing {
        let unknown = match update.services.get(name) {
            Some(service) => *kind != Kind::Service && is_bare(service),
            None => !update.left_out.contains_key(name),
        };
        if unknown {
            update.uncertain.insert(name.clone());
        }
    }
}
