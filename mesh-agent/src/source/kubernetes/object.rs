//! Objects as an API server sends them.

use kube::{
    api::{ApiResource, DynamicObject, TypeMeta},
    core::GroupVersionKind,
};

use crate::{
    model::ServiceName,
    source::{Key, Kind},
};

/// Holds a copy of the whole object, which nothing here needs.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns the resource of a kind in the API.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, version, kind) = match kind {
        Kind::Service => ("", "v1", "Service"),
        Kind::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice"),
        Kind::Endpoints => ("", "v1", "Endpoints"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Returns the key of an object, and the JSON of what may matter in it.
pub fn read(mut object: DynamicObject, kind: Kind) -> Option<(Key, Vec<u8>)> {
    let key = key(&object, kind)?;
    // Objects of a list do not name their kind.
    let ApiResource {
        api_version, kind, ..
    } = resource(kind);
    object.types = Some(TypeMeta { api_version, kind });
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let json = serde_json::to_vec(&object).ok()?;
    Some((key, json))
}

/// Returns the key of an object; nothing if it has no name, which an API server never sends.
pub fn key(object: &DynamicObject, kind: Kind) -> Option<Key> {
    let name = ServiceName {
        namespace: object.metadata.namespace.clone()?,
        name: object.metadata.name.clone()?,
    };
    Some(match kind {
        Kind::Service => Key::Service(name),
        Kind::EndpointSlice => Key::EndpointSlice(name),
        Kind::Endpoints => Key::Endpoints(name),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn object_of_a_list_gets_its_kind_and_loses_what_nothing_needs() {
        let object = json!({
            "metadata": {
                "name": "cart",
                "namespace": "shop",
                "annotations": {LAST_APPLIED: "{}", "mesh-agent.io/enabled": "true"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"clusterIP": "10.96.0.1"},
        });
        let object = serde_json::from_value(object).unwrap();
        let (key, json) = read(object, Kind::Service).unwrap();
        assert_eq!(key.to_string(), "service shop/cart");
        let expected = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "cart",
                "namespace": "shop",
                "annotations": {"mesh-agent.io/enabled": "true"},
            },
            "spec": {"clusterIP": "10.96.0.1"},
        });
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected);
    }
}
