//! Reads the annotations `mesh-agent.io/…` of a service, for settings that Kubernetes lacks. They
//! are assembled to a document in the native form, and read as such.

mod native_form;
mod value;

use std::time::Duration;

use crate::{
    model::{AffinityClient, LocalityLevel, LocalityPolicy, Origin, Traffic},
    source::{
        field::Field, form::ServiceForm, kubernetes_objects::Manifests, schema, setting,
        traffic::check_origin,
    },
};

/// Whether a service is to be served.
pub const ENABLED: &str = "mesh-agent.io/enabled";
/// Health checks.
pub const HEALTH: &str = "mesh-agent.io/health";
const LOCALITY: &str = "mesh-agent.io/locality";

/// Settings in the annotations of a service.
#[derive(Default)]
pub struct Annotations {
    /// Value of `enabled`, if set.
    pub enabled: Option<bool>,
    /// Client identity for session affinity.
    pub affinity_client: Option<AffinityClient>,
    /// See [`Service`](crate::model::Service).
    pub close_stale_tcp: Option<Duration>,
    traffic: Traffic,
    /// Whether they set the locality order.
    has_order: bool,
}

impl Annotations {
    /// Returns the traffic settings. If no annotation sets the locality order, hints and the order
    /// of `spec.trafficDistribution` apply.
    pub fn traffic_or_order(self, order: Vec<LocalityLevel>) -> Traffic {
        if self.has_order {
            return self.traffic;
        }
        Traffic {
            locality: LocalityPolicy {
                order,
                by_hints: true,
                ..self.traffic.locality
            },
            ..self.traffic
        }
    }
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
    let Some(annotations) = of(object) else {
        return Some(Annotations::default());
    };
    for unknown in annotations.children().filter(is_unknown) {
        let origin = origin.at(unknown.line());
        into.note(
            origin,
            format!(
                "annotation {} is not known",
                unknown.name().unwrap_or_default()
            ),
        );
    }
    let Some(document) = native_form::of(annotations) else {
        return Some(Annotations::default());
    };
    let settings = read_settings(Field::root(&document), annotations);
    annotations.report_all(document.problems.take());
    settings
}

fn read_settings(service: Field<'_>, annotations: Field<'_>) -> Option<Annotations> {
    let settings = setting::read::<ServiceForm>(service)?.take_settings(service)?;
    let client = settings
        .affinity
        .map_or(Some(None), |form| form.client.optional());
    Some(Annotations {
        enabled: settings.enabled,
        affinity_client: client?,
        close_stale_tcp: settings.close_stale_tcp,
        traffic: Traffic {
            health_origin: check_origin(annotations.get(HEALTH), true),
            ..settings.traffic
        },
        has_order: annotations.get(LOCALITY).is_some(),
    })
}

fn is_unknown(annotation: &Field<'_>) -> bool {
    annotation.name().is_some_and(|name| {
        name.starts_with(schema::PREFIX) && schema::annotations().iter().all(|it| it.name != name)
    })
}
