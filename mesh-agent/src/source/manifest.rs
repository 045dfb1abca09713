//! Kubernetes objects as `kubectl get -o yaml` prints them. Only what matters here is read, the rest is not looked at.
//!
//! A service and its endpoints are different objects and may be in different files; [`join`](super::join) brings them
//! together.

mod annotation;
mod frontend;
mod service;
mod slice;
mod traffic;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use super::field::Field;
use crate::{
    config::Serve,
    model::{Condition, ConfigNote, Hints, LeftOut, Origin, Protocol, Service, ServiceName},
};

/// The objects of a file that say something about services.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifests {
    /// Services with an address.
    pub services: Vec<Declared>,
    /// Services that are left alone; their slices are no mistake.
    pub left_out: Vec<(ServiceName, LeftOut)>,
    /// `EndpointSlice` objects and the subsets of `Endpoints` objects.
    pub slices: Vec<Slice>,
    /// What was left out.
    pub notes: Vec<ConfigNote>,
}

/// A `Service`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declared {
    /// Still without endpoints.
    pub service: Service,
    /// `publishNotReadyAddresses`: every endpoint counts as ready.
    pub all_ready: bool,
}

/// Endpoints of a service that have the same ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Whose endpoints these are.
    pub service: ServiceName,
    /// Where it is written.
    pub origin: Origin,
    /// Kind of the object.
    pub kind: SliceKind,
    /// The ports of each endpoint.
    pub ports: Vec<SlicePort>,
    /// Who has these ports.
    pub endpoints: Vec<SliceEndpoint>,
}

/// An endpoint of a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceEndpoint {
    /// Address.
    pub address: IpAddr,
    /// May it be given connections.
    pub condition: Condition,
    /// Name of the node it runs on.
    pub node: Option<Arc<str>>,
    /// Name of the zone it is in.
    pub zone: Option<Arc<str>>,
    /// Nodes and zones that should send their connects here.
    pub hints: Option<Arc<Hints>>,
}

/// Which object a slice comes from. A cluster shows the same endpoints as both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceKind {
    /// `discovery.k8s.io` `EndpointSlice`.
    EndpointSlice,
    /// A subset of a `v1` `Endpoints`.
    Endpoints,
}

/// A port of the endpoints of a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlicePort {
    /// Name of the service's port.
    pub name: String,
    /// Protocol of the service's port.
    pub protocol: Protocol,
    /// Port on the endpoint.
    pub port: u16,
}

/// Reads an object, or all objects of a list.
pub fn read(object: Field<'_>, file: &Arc<PathBuf>, serve: Serve, into: &mut Manifests) {
    read_as(object, None, file, serve, into);
}

/// Elements of a `ServiceList` may leave out their own kind.
fn read_as(object: Field<'_>, of_list: Option<Kind<'_>>, file: &Arc<PathBuf>, serve: Serve, into: &mut Manifests) {
    let Some(object) = object.mapping() else { return };
    let Some(kind) = Kind::of(object).or(of_list).or_else(|| object.error(NO_KIND)) else { return };
    if object.get("apiVersion").is_some_and(|version| kind.check_version(version).is_none()) {
        return;
    }
    let origin = Origin { file: Arc::clone(file), line: object.line() };
    match kind {
        Kind { group: "", kind: "Service" } => service::read(object, origin, serve, into),
        Kind { group: "", kind: "Endpoints" } => slice::read_endpoints(object, &origin, into),
        Kind { group: "discovery.k8s.io", kind: "EndpointSlice" } => slice::read_slice(object, origin, into),
        Kind { group, kind } => match kind.strip_suffix("List") {
            Some(kind) => {
                let of_list = (!kind.is_empty()).then_some(Kind { group, kind });
                object.list("items").for_each(|item| read_as(item, of_list, file, serve, into));
            }
            None if versions(kind).is_empty() => into.note(origin, format!("objects of kind {kind} are not used")),
            None => into.note(origin, format!("objects of kind {kind} of {group} are not used")),
        },
    }
}

const NO_KIND: &str = "expected `services`, or the `apiVersion` and `kind` of a Kubernetes object";

/// Kind of an object and its API group, whatever the version.
#[derive(Clone, Copy)]
struct Kind<'a> {
    group: &'a str,
    kind: &'a str,
}

impl<'a> Kind<'a> {
    fn of(object: Field<'a>) -> Option<Self> {
        let kind = object.get("kind")?.text()?;
        let version = object.required("apiVersion")?.text()?;
        Some(Self { group: group(version), kind })
    }

    /// Reports an `apiVersion` that this kind does not have.
    fn check_version(self, version: Field<'_>) -> Option<()> {
        let (versions, text) = (versions(self.kind), version.text()?);
        // A kind of the same name in another group is another kind.
        let is_ours = self.group.is_empty() || versions.iter().any(|known| group(known) == self.group);
        match versions {
            _ if text.is_empty() => version.expected("an API version"),
            [_, ..] if is_ours && !versions.contains(&text) => version.expected(&versions.join(" or ")),
            _ => Some(()),
        }
    }
}

/// The API group of an `apiVersion`; the core group is empty.
fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// What `apiVersion` may be of a kind that is used, or of a list of it; nothing for other kinds.
fn versions(kind: &str) -> &'static [&'static str] {
    match kind.strip_suffix("List").unwrap_or(kind) {
        "" | "Service" | "Endpoints" => &["v1"],
        "EndpointSlice" => &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"],
        _ => &[],
    }
}

impl Manifests {
    fn note(&mut self, origin: Origin, message: impl Into<String>) {
        self.notes.push(ConfigNote { origin, message: message.into() });
    }

    /// Leaves a service alone; one without a name has its problem reported already.
    fn leave(&mut self, name: Option<ServiceName>, origin: Origin, reason: impl Into<String>) {
        self.left_out.extend(name.map(|name| (name, LeftOut { origin, reason: reason.into() })));
    }
}
