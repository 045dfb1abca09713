//! Reads the annotations `mesh-agent.io/…` of a service, for settings that Kubernetes lacks. Their
//! values are text.

use std::time::Duration;

use super::traffic::{self, Annotated};
use crate::{
    model::{AffinityClient, Origin},
    source::{document::Value, field::Field, kubernetes_objects::Manifests, value},
};

const PREFIX: &str = "mesh-agent.io/";
/// Whether a service is to be served.
pub const ENABLED: &str = "mesh-agent.io/enabled";
const AFFINITY_CLIENT: &str = "mesh-agent.io/affinity-client";
const CLOSE_STALE_TCP: &str = "mesh-agent.io/close-stale-tcp";
const DRAIN_SECONDS: &str = "mesh-agent.io/drain-seconds";

/// Settings in the annotations of a service.
pub struct Annotations {
    /// Value of `enabled`, if set.
    pub enabled: Option<bool>,
    /// Client identity for session affinity.
    pub affinity_client: AffinityClient,
    /// See [`Service`](crate::model::Service).
    pub close_stale_tcp: Option<Duration>,
    /// Traffic settings.
    pub traffic: Annotated,
}

/// Returns the annotations of an object.
pub fn of(object: Field<'_>) -> Option<Field<'_>> {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
}

/// Reads the annotations of an object; nothing if one is wrong. Notes unknown ones, which may be of
/// a later version.
pub fn read(object: Field<'_>, origin: &Origin, into: &mut Manifests) -> Option<Annotations> {
    let annotations = of(object);
    for unknown in annotations
        .into_iter()
        .flat_map(Field::children)
        .filter(is_unknown)
    {
        let origin = origin.at(unknown.line());
        into.note(
            origin,
            format!(
                "annotation {} is not known",
                unknown.name().unwrap_or_default()
            ),
        );
    }
    let get = |name| annotations.and_then(|annotations| annotations.get(name));
    let enabled = get(ENABLED).map_or(Some(None), |field| boolean(field).map(Some));
    let client = get(AFFINITY_CLIENT).map_or(
        Some(AffinityClient::NetworkNamespace),
        value::affinity_client,
    );
    let close = get(CLOSE_STALE_TCP).map_or(Some(None), |field| boolean(field).map(Some));
    let drain = get(DRAIN_SECONDS).map_or(Some(None), |field| value::drain(field).map(Some));
    let traffic = traffic::read(annotations);
    let close_stale_tcp = value::close_stale_tcp(close?, drain?);
    Some(Annotations {
        enabled: enabled?,
        affinity_client: client?,
        close_stale_tcp,
        traffic: traffic?,
    })
}

fn is_unknown(annotation: &Field<'_>) -> bool {
    let known = |name| [ENABLED, AFFINITY_CLIENT, CLOSE_STALE_TCP, DRAIN_SECONDS].contains(&name);
    let known = |name| known(name) || traffic::KNOWN.contains(&name);
    annotation
        .name()
        .is_some_and(|name| name.starts_with(PREFIX) && !known(name))
}

fn boolean(field: Field<'_>) -> Option<bool> {
    match field.value() {
        Value::Text(text) if text == "true" => Some(true),
        Value::Text(text) if text == "false" => Some(false),
        _ => field.expected("\"true\" or \"false\", in quotes"),
    }
}
