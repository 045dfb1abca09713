//! The contents of all files to services: Kubernetes services are given the endpoints of their slices.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    file::Contents,
    manifest::{Declared, Slice, SliceEndpoint, SliceKind, SlicePort},
};
use crate::model::{Condition, ConfigNote, Endpoint, LeftOut, Service, ServiceName, ServicePort, Update};

/// Slices by service.
type Slices<'a> = HashMap<&'a ServiceName, Vec<&'a Slice>>;

/// What files that do not contradict each other say together, added to an update. While files are missing (the update
/// is not complete), a service without any slice is left out: saying that it has no endpoints would refuse what may
/// well be served.
pub fn join(files: &[&Contents], update: &mut Update) {
    let slices = slices(files);
    let native = files.iter().flat_map(|file| file.services.iter().map(Arc::clone));
    let declared = files.iter().flat_map(|file| &file.manifests.services);
    let known = declared.filter(|declared| update.complete || slices.contains_key(&declared.service.name));
    let served = known.map(|declared| Arc::new(serve(declared, &slices)));
    update.services = native.chain(served).map(|service| (service.name.clone(), service)).collect();
    update.left_out = files.iter().flat_map(|file| left_out(file)).cloned().collect();
    update.notes.extend(files.iter().flat_map(|file| notes(file)));
    update.notes.extend(strays(files, &slices));
}

fn left_out(file: &Contents) -> impl Iterator<Item = &(ServiceName, LeftOut)> {
    file.left_out.iter().chain(&file.manifests.left_out)
}

/// In the order of lines.
fn notes(file: &Contents) -> Vec<ConfigNote> {
    let left_out = left_out(file).map(|(name, LeftOut { origin, reason })| ConfigNote {
        origin: origin.clone(),
        message: format!("service {name} is left alone: {reason}"),
    });
    let mut notes: Vec<_> = file.manifests.notes.iter().cloned().chain(left_out).collect();
    notes.sort_unstable();
    notes
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
    let mut endpoints: BTreeMap<(IpAddr, u16), Endpoint> = BTreeMap::new();
    for slice in slices {
        let same = |other: &&_| same_port(port, other);
        for &SlicePort { port, .. } in slice.ports.iter().filter(same) {
            for SliceEndpoint { address, condition, node } in &slice.endpoints {
                let condition = if all_ready { Condition::Ready } else { *condition };
                let endpoint = || Endpoint { condition, node: node.clone(), ..Endpoint::new(*address, port) };
                let known = endpoints.entry((*address, port)).or_insert_with(endpoint);
                if condition < known.condition || (condition == known.condition && known.node.is_none()) {
                    *known = endpoint();
                }
            }
        }
    }
    endpoints.into_values().collect()
}

fn same_port(port: &ServicePort, target: &SlicePort) -> bool {
    port.name == target.name && port.protocol == target.protocol
}

/// Slices that nobody asks for.
fn strays(files: &[&Contents], slices: &Slices<'_>) -> Vec<ConfigNote> {
    let declared = files.iter().flat_map(|file| file.manifests.services.iter().map(|it| &it.service.name));
    let left_out = files.iter().flat_map(|file| left_out(file).map(|(name, _)| name));
    let known: HashSet<&ServiceName> = declared.chain(left_out).collect();
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
