//! The Kubernetes objects of one file that describe services.

use std::{net::IpAddr, sync::Arc};

use super::document::MOST;
use crate::model::{Condition, ConfigNote, Hints, LeftOut, Origin, Protocol, Service, ServiceName};

/// The objects of a file that describe services.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifests {
    /// Services with an address.
    pub services: Vec<Declared>,
    /// Services that are left alone; their slices are not noted.
    pub left_out: Vec<(ServiceName, LeftOut)>,
    /// `EndpointSlice` objects and the subsets of `Endpoints` objects.
    pub slices: Vec<Slice>,
    /// The first notes.
    pub notes: Vec<ConfigNote>,
    /// Number of further notes.
    pub more_notes: usize,
}

/// A `Service`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declared {
    /// The service, still without endpoints.
    pub service: Service,
    /// `publishNotReadyAddresses`: every endpoint counts as ready.
    pub all_ready: bool,
}

/// Endpoints of a service with the same ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Service of the endpoints.
    pub service: ServiceName,
    /// Its own name, in the namespace of the service.
    pub name: Option<String>,
    /// Where it is written.
    pub origin: Origin,
    /// Kind of the object.
    pub kind: SliceKind,
    /// Ports of each endpoint.
    pub ports: Vec<SlicePort>,
    /// Endpoints with these ports.
    pub endpoints: Vec<SliceEndpoint>,
}

/// An endpoint of a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceEndpoint {
    /// Address.
    pub address: IpAddr,
    /// Whether it may take connections.
    pub condition: Condition,
    /// Name of the node it runs on.
    pub node: Option<Arc<str>>,
    /// Name of the zone it is in.
    pub zone: Option<Arc<str>>,
    /// Nodes and zones whose connects should go here.
    pub hints: Option<Arc<Hints>>,
}

/// Kind of object that a slice comes from. A cluster shows the same endpoints as both.
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

impl Manifests {
    /// Adds a note, or counts it if there are many.
    pub fn note(&mut self, origin: Origin, message: impl Into<String>) {
        if self.notes.len() < MOST {
            self.notes.push(ConfigNote {
                origin,
                message: message.into(),
            });
        } else {
            self.more_notes += 1;
        }
    }

    /// Adds the notes of another part.
    pub fn append_notes(&mut self, part: Self) {
        part.notes
            .into_iter()
            .for_each(|note| self.note(note.origin, note.message));
        self.more_notes += part.more_notes;
    }

    /// Leaves a service alone. A missing name was reported before.
    pub fn leave(&mut self, name: Option<ServiceName>, origin: Origin, reason: impl Into<String>) {
        self.left_out.extend(name.map(|name| {
            (
                name,
                LeftOut {
                    origin,
                    reason: reason.into(),
                },
            )
        }));
    }
}
