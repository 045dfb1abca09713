//! Joins the contents of all files of one source: Kubernetes services get the endpoints of their
//! slices.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    contents::Contents,
    error_limit::more_notes,
    kubernetes_objects::{Declared, Slice, SliceEndpoint, SliceKind, SlicePort},
};
use crate::{
    model::{
        Condition, ConfigNote, Endpoint, LeftOut, Locality, Origin, Service, ServiceName,
        ServicePort,
    },
    source::{Definitions, Source},
};

/// Slices by service.
pub struct Slices<'a>(HashMap<&'a ServiceName, Vec<&'a Slice>>);

/// Joins files of one source, which must not conflict. With `only`, all other services are skipped.
pub fn join(
    files: &[Arc<Contents>],
    source: &Source,
    only: Option<&HashSet<ServiceName>>,
) -> Definitions {
    let wanted = |service: &Service| only.is_none_or(|only| only.contains(&service.name));
    let slices = Slices::of(files);
    let native = files
        .iter()
        .flat_map(|file| &file.services)
        .filter(|service| wanted(service))
        .cloned();
    let declared = || {
        files
            .iter()
            .flat_map(|file| &file.manifests.services)
            .filter(|it| wanted(&it.service))
    };
    let served = declared().map(|declared| Arc::new(serve(declared, &slices, source)));
    let bare = declared()
        .map(|it| &it.service.name)
        .filter(|name| slices.of_service(name).is_empty());
    let services = native.chain(served);
    Definitions {
        services: services
            .map(|service| (service.name.clone(), service))
            .collect(),
        bare: bare.cloned().collect(),
        left_out: files
            .iter()
            .flat_map(|file| left_out(file))
            .cloned()
            .collect(),
        notes: files
            .iter()
            .flat_map(|file| notes(file))
            .chain(strays(files, &slices))
            .collect(),
        files: files.to_vec(),
    }
}

fn left_out(file: &Contents) -> impl Iterator<Item = &(ServiceName, LeftOut)> {
    file.left_out.iter().chain(&file.manifests.left_out)
}

/// Returns the notes of a file in the order of lines.
fn notes(file: &Contents) -> Vec<ConfigNote> {
    let left_out = left_out(file).map(|(name, LeftOut { origin, reason })| ConfigNote {
        origin: origin.clone(),
        message: format!("service {name} is left alone: {reason}"),
    });
    let mut notes: Vec<_> = file
        .manifests
        .notes
        .iter()
        .cloned()
        .chain(left_out)
        .collect();
    notes.sort_unstable();
    let more = file.manifests.more_notes;
    notes.extend(
        notes
            .last()
            .filter(|_| more > 0)
            .map(|last| more_notes(&last.origin, more)),
    );
    notes
}

impl<'a> Slices<'a> {
    /// A cluster shows the same endpoints in both forms; where both are given, the newer one
    /// counts.
    pub fn of(files: impl IntoIterator<Item = &'a Arc<Contents>>) -> Self {
        let mut slices: HashMap<&ServiceName, Vec<&Slice>> = HashMap::new();
        for slice in files.into_iter().flat_map(|file| &file.manifests.slices) {
            slices.entry(&slice.service).or_default().push(slice);
        }
        for slices in slices.values_mut() {
            if slices
                .iter()
                .any(|slice| slice.kind == SliceKind::EndpointSlice)
            {
                slices.retain(|slice| slice.kind == SliceKind::EndpointSlice);
            }
        }
        Self(slices)
    }

    fn of_service(&self, service: &ServiceName) -> &[&'a Slice] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }

    /// Where the first slice is that lists an endpoint.
    pub fn listing(&self, service: &ServiceName, endpoint: &Endpoint) -> Option<&'a Origin> {
        let lists = |slice: &&&Slice| {
            slice.ports.iter().any(|it| it.port == endpoint.port)
                && slice
                    .endpoints
                    .iter()
                    .any(|it| it.address == endpoint.address)
        };
        self.of_service(service)
            .iter()
            .find(lists)
            .map(|slice| &slice.origin)
    }
}

fn serve(declared: &Declared, slices: &Slices<'_>, source: &Source) -> Service {
    let Declared { service, all_ready } = declared;
    let slices = slices.of_service(&service.name);
    let endpoints = |port: &ServicePort| endpoints(port, slices, *all_ready, source);
    let serve = |port: &ServicePort| ServicePort {
        endpoints: endpoints(port),
        ..port.clone()
    };
    Service {
        ports: service.ports.iter().map(serve).collect(),
        ..service.clone()
    }
}

/// Merges endpoints that several slices list. While an endpoint moves from slice to slice, its
/// ready entry counts. Entries in the same condition may each add a node.
fn endpoints(
    port: &ServicePort,
    slices: &[&Slice],
    all_ready: bool,
    source: &Source,
) -> Vec<Endpoint> {
    let mut endpoints: BTreeMap<(IpAddr, u16), Endpoint> = BTreeMap::new();
    for slice in slices {
        let same = |other: &&_| same_port(port, other);
        for &SlicePort { port, .. } in slice.ports.iter().filter(same) {
            for listed in &slice.endpoints {
                let condition = if all_ready {
                    Condition::Ready
                } else {
                    listed.condition
                };
                let endpoint = || Endpoint {
                    condition,
                    source: source.clone(),
                    ..endpoint(listed, port)
                };
                let known = endpoints
                    .entry((listed.address, port))
                    .or_insert_with(endpoint);
                match condition.cmp(&known.condition) {
                    Ordering::Less => *known = endpoint(),
                    Ordering::Equal => add_places(known, listed),
                    Ordering::Greater => {}
                }
            }
        }
    }
    endpoints.into_values().collect()
}

/// Adds the locations of an endpoint that another slice lists.
fn add_places(known: &mut Endpoint, listed: &SliceEndpoint) {
    let SliceEndpoint {
        address: _,
        condition: _,
        node,
        zone,
        hints,
    } = listed;
    if let Some(node) = node.as_ref().filter(|node| !known.is_on(node)) {
        match &known.node {
            None => known.node = Some(Arc::clone(node)),
            Some(_) => {
                let nodes = known.other_nodes.get_or_insert_default();
                Arc::make_mut(nodes).push(Arc::clone(node));
            }
        }
    }
    known.locality.zone = known.locality.zone.take().or_else(|| zone.clone());
    known.hints = known.hints.take().or_else(|| hints.clone());
}

fn endpoint(listed: &SliceEndpoint, port: u16) -> Endpoint {
    let SliceEndpoint {
        address,
        condition,
        node,
        zone,
        hints,
    } = listed;
    Endpoint {
        condition: *condition,
        node: node.clone(),
        locality: Locality {
            zone: zone.clone(),
            ..Locality::default()
        },
        hints: hints.clone(),
        ..Endpoint::new(*address, port)
    }
}

fn same_port(port: &ServicePort, target: &SlicePort) -> bool {
    port.name == target.name && port.protocol == target.protocol
}

/// Returns the note about slices without a service.
pub fn stray(service: &ServiceName) -> String {
    format!("endpoints of service {service}, which is not configured, are not used")
}

/// Notes slices without a service.
fn strays(files: &[Arc<Contents>], slices: &Slices<'_>) -> Vec<ConfigNote> {
    let declared = files
        .iter()
        .flat_map(|file| file.manifests.services.iter().map(|it| &it.service.name));
    let left_out = files
        .iter()
        .flat_map(|file| left_out(file).map(|(name, _)| name));
    let known: HashSet<&ServiceName> = declared.chain(left_out).collect();
    let strays = slices
        .0
        .iter()
        .filter(|(service, _)| !known.contains(*service));
    let note = |slice: &&Slice| ConfigNote {
        origin: slice.origin.clone(),
        message: stray(&slice.service),
    };
    let mut notes: Vec<_> = strays
        .flat_map(|(_, slices)| slices.iter().map(note))
        .collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}
