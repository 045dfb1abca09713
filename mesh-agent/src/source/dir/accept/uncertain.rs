//! Services that may be more than what is known of them.

use std::sync::Arc;

use crate::{
    model::{Service, ServiceName, Update},
    source::object::Kind,
};

/// Notes services of which an object is left out: what an earlier agent made of them may be right. One that is served
/// by other objects is known well enough.
pub fn note_uncertain(missing: Vec<(ServiceName, Kind)>, update: &mut Update) {
    let is_bare = |service: &Arc<Service>| service.ports.iter().all(|port| port.endpoints.is_empty());
    for (name, kind) in missing {
        let unknown = match update.services.get(&name) {
            Some(service) => kind != Kind::Service && is_bare(service),
            None => !update.left_out.contains_key(&name),
        };
        if unknown {
            update.uncertain.insert(name);
        }
    }
}
