//! The contents of all files to services: Kubernetes services are given the endpoints of their slices.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    file::Contents,
    manifest::{Declared, Slice, SliceKind},
};
use crate::model::{Condition, ConfigNote, Endpoint, Service, ServiceName, ServicePort};

/// Slices by service.
type Slices<'a> = HashMap<&'a ServiceName, Vec<&'a Slice>>;

/// Files that do not contradict each other to what they say together. While files are missing (not `complete`), a
/// service without any slice is left out: saying that it has no endpoints would refuse what may well be served.
pub fn join(files: &[&Contents], complete: bool) -> (BTreeMap<ServiceName, Arc<Service>>, Vec<ConfigNote>) {
    let slices = slices(files);
    let native = files.iter().flat_map(|file| file.services.iter().map(Arc::clone));
    let declared = files.iter().flat_map(|file| &file.manifests.services);
    let known = declared.filter(|declared| complete || slices.contains_key(&declared.service.name));
    let served = known.map(|declared| Arc::new(serve(declared, &slices)));
    let services = native.chain(served).map(|service| (service.name.clone(), service)).collect();
    let mut notes: Vec<_> = files.iter().flat_map(|file| file.manifests.notes.iter().cloned()).collect();
    notes.extend(strays(files, &slices));
    (services, notes)
}

/// A cluster shows the same endpoints in both forms; where both are given, the newer one counts.
fn slices<'a>(files: &[&'a Contents]) -> Slices<'a> {
    let mut slices = Slices::new();
    for slice in files.iter().flat_map(|file| &file.manifests.slices) {
        slices.entry(&slice.service).or_default().push(slice);
    }
    for slices in slices.values_mut() {
        if slices.iter().any(|slice| slice.kind == SliceKind::EndpointSlice) {
            slices.retain(|slice| slice.kind == SliceKind::EndpointSlice);
        }
    }
    slices
}

fn serve(declared: &Declared, slices: &Slices<'_>) -> Service {
    let Declared { service, all_ready } = declared;
    let slices = slices.get(&service.name).map_or(&[][..], Vec::as_slice);
    let serve = |port: &ServicePort| ServicePort { endpoints: endpoints(port, slices, *all_ready), ..port.clone() };
    Service { ports: service.ports.iter().map(serve).collect(), ..service.clone() }
}

/// Endpoints that several slices list are one; while they move from slice to slice, the ready one is right.
fn endpoints(port: &ServicePort, slices: &[&Slice], all_ready: bool) -> Vec<Endpoint> {
    let mut endpoints: BTreeMap<(IpAddr, u16), Condition> = BTreeMap::new();
    for slice in slices {
        let same = |other: &&_| same_port(port, other);
        for target in slice.ports.iter().filter(same) {
            for (address, condition) in &slice.endpoints {
                let condition = if all_ready { Condition::Ready } else { *condition };
                let known = endpoints.entry((*address, target.port)).or_insert(condition);
                *known = condition.min(*known);
            }
        }
    }
    let endpoint = |((address, port), condition)| Endpoint { address, port, weight: 1, condition };
    endpoints.into_iter().map(endpoint).collect()
}

fn same_port(port: &ServicePort, target: &super::manifest::SlicePort) -> bool {
    port.name == target.name && port.protocol == target.protocol
}

/// Slices that nobody asks for.
fn strays(files: &[&Contents], slices: &Slices<'_>) -> Vec<ConfigNote> {
    let declared = files.iter().flat_map(|file| file.manifests.services.iter().map(|it| &it.service.name));
    let untouched = files.iter().flat_map(|file| &file.manifests.untouched);
    let known: HashSet<&ServiceName> = declared.chain(untouched).collect();
    let strays = slices.iter().filter(|(service, _)| !known.contains(*service));
    let note = |slice: &&Slice| ConfigNote {
        origin: slice.origin.clone(),
        message: format!("endpoints of service {}, which is not configured, are not used", slice.service),
    };
    let mut notes: Vec<_> = strays.flat_map(|(_, slices)| slices.iter().map(note)).collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}
