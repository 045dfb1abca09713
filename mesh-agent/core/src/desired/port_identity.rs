//! Names of service ports in NAMES, under which they keep their ids.

use crate::model::{ServiceName, ServicePort};

/// Returns `namespace/name:port/PROTOCOL`, the name under which a service port keeps its id.
pub fn port_identity(service: &ServiceName, port: &ServicePort) -> String {
    format!("{service}:{}/{}", port.label(), port.protocol)
}

/// Returns the service that a [`port_identity`] names.
pub fn identified(identity: &str) -> Option<ServiceName> {
    let (namespace, rest) = identity.split_once('/')?;
    let (name, _) = rest.split_once(':')?;
    Some(ServiceName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}
