//! Names the objects of a file, and copies objects from one version of a file to another.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use super::{
    contents::Contents,
    field::Field,
    kubernetes_objects::{Declared, Slice, SliceKind},
    value::is_name,
};
use crate::model::{LeftOut, Origin, Service, ServiceName};

/// Key of an object within its source. A service has the same key in either form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// A service.
    Service(ServiceName),
    /// An `EndpointSlice`, by its own name.
    EndpointSlice(ServiceName),
    /// An `Endpoints`.
    Endpoints(ServiceName),
}

impl Key {
    /// Returns the kind of the object.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Endpoints(_) => Kind::Endpoints,
        }
    }

    /// Returns the name of the object.
    pub const fn name(&self) -> &ServiceName {
        match self {
            Self::Service(name) | Self::EndpointSlice(name) | Self::Endpoints(name) => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name}"),
            Self::EndpointSlice(name) => write!(f, "EndpointSlice {name}"),
            Self::Endpoints(name) => write!(f, "Endpoints {name}"),
        }
    }
}

/// Kind of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A service of either form.
    Service,
    /// A `discovery.k8s.io` `EndpointSlice`.
    EndpointSlice,
    /// A `v1` `Endpoints`.
    Endpoints,
}

/// An object that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongObject {
    /// Its line.
    pub line: u32,
    /// Its kind, if readable.
    pub kind: Option<Kind>,
    /// Its key, if readable.
    pub key: Option<Key>,
    /// The service that it belongs to, if readable.
    pub service: Option<ServiceName>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Service, Self::EndpointSlice, Self::Endpoints];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "a service",
            Self::EndpointSlice => "an EndpointSlice",
            Self::Endpoints => "an Endpoints",
        })
    }
}

impl WrongObject {
    /// Creates the record of a native service or a `Service`. The name is next to the other fields,
    /// or in the metadata.
    pub fn service(object: Field<'_>, name_in: Option<Field<'_>>) -> Self {
        let service = name_in.and_then(|field| name(field, "name"));
        Self {
            line: object.line(),
            kind: Some(Kind::Service),
            key: service.clone().map(Key::Service),
            service,
        }
    }

    /// Creates the record of an `Endpoints`, which has the name of its service.
    pub fn endpoints(object: Field<'_>) -> Self {
        let service = object.get("metadata").and_then(|field| name(field, "name"));
        Self {
            line: object.line(),
            kind: Some(Kind::Endpoints),
            key: service.clone().map(Key::Endpoints),
            service,
        }
    }

    /// Creates the record of an `EndpointSlice`, whose label names the service.
    pub fn slice(object: Field<'_>, label: &str) -> Self {
        let metadata = object.get("metadata");
        let namespace = metadata.and_then(namespace);
        let service = metadata.and_then(|it| {
            it.get("labels")?
                .get(label)?
                .value()
                .text()
                .map(str::to_owned)
        });
        let key = metadata.and_then(|it| it.get("name")?.value().text().map(str::to_owned));
        let named = |name: String| {
            Some(ServiceName {
                namespace: namespace.clone()?,
                name,
            })
        };
        Self {
            line: object.line(),
            kind: Some(Kind::EndpointSlice),
            key: key.and_then(named).map(Key::EndpointSlice),
            service: service.filter(|name| is_name(name)).and_then(named),
        }
    }

    /// Creates the record of any other object.
    pub fn unknown(line: u32) -> Self {
        Self {
            line,
            kind: None,
            key: None,
            service: None,
        }
    }
}

fn namespace(field: Field<'_>) -> Option<String> {
    let Some(namespace) = field.get("namespace") else {
        return Some("default".to_owned());
    };
    namespace
        .value()
        .text()
        .filter(|name| is_name(name))
        .map(str::to_owned)
}

/// Returns the name in a field of this mapping; reports nothing if it is missing.
fn name(field: Field<'_>, of: &str) -> Option<ServiceName> {
    let name = field.get(of)?.value().text().filter(|name| is_name(name))?;
    Some(ServiceName {
        namespace: namespace(field)?,
        name: name.to_owned(),
    })
}

/// One object of a version of a file, or a part of one.
#[derive(Clone)]
pub enum Item<'a> {
    /// A native service.
    Native(&'a Arc<Service>),
    /// A native service that is left alone.
    NativeLeftOut(&'a (ServiceName, LeftOut)),
    /// A `Service`.
    Declared(&'a Declared),
    /// A `Service` that is left alone.
    LeftOut(&'a (ServiceName, LeftOut)),
    /// An `EndpointSlice`, or a subset of an `Endpoints`.
    Slice(&'a Slice),
}

impl<'a> Item<'a> {
    /// Its line.
    pub fn line(&self) -> u32 {
        match self {
            Self::Native(service) => service.origin.line(),
            Self::NativeLeftOut((_, it)) | Self::LeftOut((_, it)) => it.origin.line(),
            Self::Declared(it) => it.service.origin.line(),
            Self::Slice(slice) => slice.origin.line(),
        }
    }

    /// Returns the service, if it is one that is served.
    pub fn service(&self) -> Option<&'a Service> {
        match self {
            Self::Native(service) => Some(service),
            Self::Declared(declared) => Some(&declared.service),
            Self::NativeLeftOut(_) | Self::LeftOut(_) | Self::Slice(_) => None,
        }
    }
}

/// The objects of a version of a file, by key.
pub type Items<'a> = HashMap<Key, Vec<Item<'a>>>;

impl Slice {
    /// Returns the key of its object, or nothing if the object has no name.
    pub fn key(&self) -> Option<Key> {
        match self.kind {
            SliceKind::Endpoints => Some(Key::Endpoints(self.service.clone())),
            SliceKind::EndpointSlice => {
                let (namespace, name) = (self.service.namespace.clone(), self.name.clone()?);
                Some(Key::EndpointSlice(ServiceName { namespace, name }))
            }
        }
    }
}

impl Contents {
    /// Returns all objects that have a name.
    pub fn objects(&self) -> impl Iterator<Item = (Key, Item<'_>)> {
        let service = |name: &ServiceName| Key::Service(name.clone());
        let manifests = &self.manifests;
        let native = self
            .services
            .iter()
            .map(move |it| (service(&it.name), Item::Native(it)));
        let off = self
            .left_out
            .iter()
            .map(move |it| (service(&it.0), Item::NativeLeftOut(it)));
        let declared = manifests
            .services
            .iter()
            .map(move |it| (service(&it.service.name), Item::Declared(it)));
        let alone = manifests
            .left_out
            .iter()
            .map(move |it| (service(&it.0), Item::LeftOut(it)));
        let slices = manifests
            .slices
            .iter()
            .filter_map(|it| Some((it.key()?, Item::Slice(it))));
        native.chain(off).chain(declared).chain(alone).chain(slices)
    }

    /// Returns all objects by key.
    pub fn items(&self) -> Items<'_> {
        let mut items = Items::new();
        for (key, item) in self.objects() {
            items.entry(key).or_default().push(item);
        }
        items
    }

    /// Removes the services at these positions, counted over the native ones and then the others.
    pub fn leave_out(&mut self, positions: &BTreeSet<usize>) {
        let natives = self.services.len();
        let mut native = 0..;
        self.services
            .retain(|_| native.next().is_none_or(|at| !positions.contains(&at)));
        let mut other = natives..;
        self.manifests
            .services
            .retain(|_| other.next().is_none_or(|at| !positions.contains(&at)));
    }

    /// Adds an object of another version. `newer` is the origin of its newer version.
    pub fn add(&mut self, item: &Item<'_>, newer: Option<&Origin>) {
        let at = |origin: &mut Origin| _ = newer.map(|newer| origin.clone_from(newer));
        match (*item).clone() {
            Item::Native(it) => {
                let mut it = Arc::clone(it);
                at(&mut Arc::make_mut(&mut it).origin);
                self.services.push(it);
            }
            Item::NativeLeftOut(it) => self.left_out.push(moved(it, at)),
            Item::LeftOut(it) => self.manifests.left_out.push(moved(it, at)),
            Item::Declared(it) => {
                let mut it = it.clone();
                at(&mut it.service.origin);
                self.manifests.services.push(it);
            }
            Item::Slice(it) => {
                let mut it = it.clone();
                at(&mut it.origin);
                self.manifests.slices.push(it);
            }
        }
    }
}

fn moved((name, it): &(ServiceName, LeftOut), at: impl Fn(&mut Origin)) -> (ServiceName, LeftOut) {
    let mut it = it.clone();
    at(&mut it.origin);
    (name.clone(), it)
}
