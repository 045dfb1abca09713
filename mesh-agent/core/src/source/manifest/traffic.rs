//! Reads `spec.trafficDistribution` of a Kubernetes service.

use crate::{
    model::{LocalityLevel, Origin},
    source::{field::Field, kubernetes_objects::Manifests},
};

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
            let origin = origin.at(field.line());
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
