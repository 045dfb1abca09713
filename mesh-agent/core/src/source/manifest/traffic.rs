//! Reads the traffic settings of a Kubernetes service: `spec.trafficDistribution`, and annotations
//! for the rest. The text of an annotation has the form of the native field of the same meaning.

use crate::{
    model::{Limits, LocalityLevel, LocalityPolicy, Origin, Outlier, Traffic},
    source::{
        annotation_value::annotation_value,
        document::Value,
        field::Field,
        kubernetes_objects::Manifests,
        traffic::{balance, check_origin, health, limits, locality, outlier, ramp},
    },
};

const BALANCE: &str = "mesh-agent.io/balance";
const HASH_KEY: &str = "mesh-agent.io/hash-key";
const OUTLIER: &str = "mesh-agent.io/outlier";
const MAX_CONNECTIONS: &str = "mesh-agent.io/max-connections";
const MAX_CONNECTIONS_PER_ENDPOINT: &str = "mesh-agent.io/max-connections-per-endpoint";
const MAX_CONNECTIONS_PER_CLIENT_PERCENT: &str = "mesh-agent.io/max-connections-per-client-percent";
const LOCALITY: &str = "mesh-agent.io/locality";
const SOURCE_PREFERENCE: &str = "mesh-agent.io/source-preference";
const SLOW_START: &str = "mesh-agent.io/slow-start";
const DRAIN: &str = "mesh-agent.io/drain";
/// Health checks.
pub const HEALTH: &str = "mesh-agent.io/health";

/// Annotations that this module reads.
pub const KNOWN: [&str; 11] = [
    BALANCE,
    HASH_KEY,
    OUTLIER,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ENDPOINT,
    MAX_CONNECTIONS_PER_CLIENT_PERCENT,
    LOCALITY,
    SOURCE_PREFERENCE,
    SLOW_START,
    DRAIN,
    HEALTH,
];

/// Reads the annotations, if any.
pub fn read(annotations: Option<Field<'_>>) -> Option<Annotated> {
    let annotations = Annotations(annotations);
    let policy = annotations.read(BALANCE, Default::default(), balance::read);
    let balance = balance::with_key(policy, annotations.get(HASH_KEY), |field| {
        annotation_value(field, balance::key)
    });
    let outlier = annotations.read(OUTLIER, Outlier::default(), outlier::read);
    let connections = annotations.read(MAX_CONNECTIONS, None, limits::limit);
    let connections_per_endpoint =
        annotations.read(MAX_CONNECTIONS_PER_ENDPOINT, None, limits::limit);
    let share = annotations.get(MAX_CONNECTIONS_PER_CLIENT_PERCENT);
    let percent_per_client = limits::of_connections(
        [connections, connections_per_endpoint],
        share,
        &format!("{MAX_CONNECTIONS} or {MAX_CONNECTIONS_PER_ENDPOINT}"),
        |field| annotation_value(field, limits::percent),
    );
    let locality = annotations.read(LOCALITY, LocalityPolicy::default(), locality);
    let sources = annotations.read(SOURCE_PREFERENCE, None, |field| {
        locality::sources(field).map(Some)
    });
    let slow_start = annotations.read(SLOW_START, None, |field| ramp::slow_start(field).map(Some));
    let drain = annotations.read(DRAIN, None, |field| ramp::drain(field).map(Some));
    let health = annotations.read(HEALTH, None, |field| health::read(field).map(Some));
    let (locality, sources) = (locality?, sources?);
    let traffic = Traffic {
        balance: balance?,
        outlier: outlier?,
        limits: Limits {
            connections: connections?,
            connections_per_endpoint: connections_per_endpoint?,
            percent_per_client: percent_per_client?,
        },
        locality: LocalityPolicy {
            sources: sources.unwrap_or(locality.sources),
            ..locality
        },
        slow_start: slow_start?,
        drain: drain?,
        health: health?,
        health_origin: check_origin(annotations.get(HEALTH), true),
    };
    Some(Annotated {
        traffic,
        has_order: annotations.get(LOCALITY).is_some(),
    })
}

/// Traffic settings in the annotations of a service.
pub struct Annotated {
    traffic: Traffic,
    /// Whether they set the locality order.
    has_order: bool,
}

impl Annotated {
    /// Returns the settings. If no annotation sets the locality order, hints and the order of
    /// `spec.trafficDistribution` apply.
    pub fn or_order(self, order: Vec<LocalityLevel>) -> Traffic {
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

/// Reads `spec.trafficDistribution`. Notes an unknown value, which may be of a later Kubernetes.
/// <https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution>
pub fn distribution(
    spec: Field<'_>,
    origin: &Origin,
    into: &mut Manifests,
) -> Option<Vec<LocalityLevel>> {
    let Some(field) = spec.get("trafficDistribution") else {
        return Some(Vec::new());
    };
    match field.text()? {
        "PreferClose" | "PreferSameZone" => Some(vec![LocalityLevel::Zone]),
        "PreferSameNode" => Some(vec![LocalityLevel::Node, LocalityLevel::Zone]),
        word => {
            let origin = Origin {
                line: field.line(),
                ..origin.clone()
            };
            into.note(
                origin,
                format!(
                    "trafficDistribution {word} is not known, so all endpoints are equally near"
                ),
            );
            Some(Vec::new())
        }
    }
}

/// Reads levels separated by commas, or the form of the native field.
fn locality(field: Field<'_>) -> Option<LocalityPolicy> {
    match field.value() {
        Value::Map => locality::read(field),
        _ => Some(LocalityPolicy {
            order: locality::listed(field)?,
            ..LocalityPolicy::default()
        }),
    }
}

/// The annotations of an object, if it has any.
struct Annotations<'a>(Option<Field<'a>>);

impl<'a> Annotations<'a> {
    fn get(&self, name: &str) -> Option<Field<'a>> {
        self.0?.get(name)
    }

    fn read<T>(
        &self,
        name: &str,
        absent: T,
        read: impl FnOnce(Field<'_>) -> Option<T>,
    ) -> Option<T> {
        self.get(name)
            .map_or(Some(absent), |field| annotation_value(field, read))
    }
}
