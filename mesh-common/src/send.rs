//! The decision behind `sendmsg` on a socket that is not connected: as for `connect`, but a socket that has sent to a
//! service before stays with its endpoint for as long as that serves.

use crate::{
    abi::{Flow, FrontendKey, ServiceRow, SocketFlows, backend_state, capacity::FLOWS_PER_SOCKET, service_flags},
    addr::Addr,
    connect::{Verdict, answer},
    counter::Counter,
    kernel::Kernel,
    pick::Picked,
    reply::reverse,
};

/// Entries of a socket, as they are counted in [`SocketFlows::last`].
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
const FLOWS: u32 = FLOWS_PER_SOCKET as u32;

/// Bit of [`SocketFlows::last`]: the socket sent to the endpoint of that entry by itself, not by way of the service.
const DIRECT: u32 = 1 << 31;

/// Decides one datagram to `dest`. Only the first to an endpoint counts as a connect.
#[inline(always)]
pub fn send<K: Kernel>(kernel: &K, dest: &FrontendKey) -> Verdict {
    let Some(service) = kernel.service(dest) else {
        note_direct(kernel, dest);
        return Verdict::Untouched;
    };
    // A socket that is connected to a v4-mapped address comes by for every datagram, with the address that its connect
    // was given.
    let connected = kernel.recorded().is_some_and(|record| reverse(record, dest.addr, dest.port).is_some());
    if connected || kernel.excluded() {
        return Verdict::Untouched;
    }
    let Some(flows) = flows(kernel, true) else {
        return unrecorded(kernel, dest, &service);
    };
    if let Some((index, flow)) = find(flows, |flow| asks_for(flow, dest))
        && service.slot_count > 0
        && serves(kernel, &flow, &service)
    {
        flows.last = index;
        return Verdict::Backend { addr: flow.backend, port: flow.backend_port };
    }
    match answer(kernel, dest, &service) {
        Ok(picked) => {
            keep(flows, dest, &service, picked);
            Verdict::Backend { addr: picked.1.addr, port: picked.1.port }
        }
        Err(refused) => refused,
    }
}

#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the flows are not part of what `kernel` refers to")]
fn flows<K: Kernel>(kernel: &K, create: bool) -> Option<&mut SocketFlows> {
    // SAFETY: the flows belong to the calling socket, live as long as it and are ours alone: see [`Flow`].
    unsafe { kernel.flows(create).as_mut() }
}

/// Without room for the flow every datagram is balanced anew.
#[inline(always)]
fn unrecorded<K: Kernel>(kernel: &K, dest: &FrontendKey, service: &ServiceRow) -> Verdict {
    match answer(kernel, dest, service) {
        Ok(picked) => {
            kernel.count(service.id, Counter::Unrecorded);
            Verdict::Backend { addr: picked.1.addr, port: picked.1.port }
        }
        Err(refused) => refused,
    }
}

/// A socket may also talk to an endpoint that a service gave it; then the answer comes from the endpoint, not from the
/// service. Costs a socket without flows next to nothing.
#[inline(always)]
fn note_direct<K: Kernel>(kernel: &K, dest: &FrontendKey) {
    if let Some(flows) = flows(kernel, false)
        && let Some((index, _)) = find(flows, |flow| leads_to(flow, dest.addr, dest.port))
    {
        flows.last = index | DIRECT;
    }
}

/// The service address that a socket asked for when it sent to `peer`, to be shown as the source of the reply. When it
/// reaches one endpoint in several ways, the one it sent to last.
#[inline(always)]
pub fn asked_for(flows: &SocketFlows, peer: Addr, port: u16) -> Option<(Addr, u16)> {
    let last = flows.flows.get((flows.last & !DIRECT) as usize % FLOWS_PER_SOCKET)?;
    if leads_to(last, peer, port) {
        return (flows.last & DIRECT == 0).then_some((last.frontend, last.frontend_port));
    }
    let (_, flow) = find(flows, |flow| leads_to(flow, peer, port))?;
    Some((flow.frontend, flow.frontend_port))
}

#[inline(always)]
fn asks_for(flow: &Flow, dest: &FrontendKey) -> bool {
    flow.frontend == dest.addr && flow.frontend_port == dest.port
}

#[inline(always)]
fn leads_to(flow: &Flow, peer: Addr, port: u16) -> bool {
    flow.backend == peer && flow.backend_port == port
}

/// The first entry that `wanted` takes, and its index.
#[inline(always)]
fn find(flows: &SocketFlows, wanted: impl Fn(&Flow) -> bool) -> Option<(u32, Flow)> {
    for index in 0..FLOWS {
        let flow = flows.flows.get(index as usize)?;
        if flow.backend_port == 0 {
            return None;
        }
        if wanted(flow) {
            return Some((index, *flow));
        }
    }
    None
}

/// Whether the endpoint a flow goes to still serves this service, from where the program asks.
#[inline(always)]
fn serves<K: Kernel>(kernel: &K, flow: &Flow, service: &ServiceRow) -> bool {
    let Some(row) = kernel.backend(flow.backend_index) else { return false };
    row.generation == flow.generation
        && row.service == service.id
        && (row.state == backend_state::ACTIVE || row.state == backend_state::DRAINING)
        && flow.local == service.flags & service_flags::LOCAL
}

/// Keeps where datagrams to `dest` go: in the entry for `dest`, else in a free one, else in the one after the last that
/// was used, whose service is then balanced anew.
#[inline(always)]
fn keep(flows: &mut SocketFlows, dest: &FrontendKey, service: &ServiceRow, (index, backend): Picked<'_>) {
    let place = place(flows, dest);
    if let Some(entry) = flows.flows.get_mut(place as usize % FLOWS_PER_SOCKET) {
        *entry = Flow {
            backend_index: index,
            generation: backend.generation,
            frontend_port: dest.port,
            backend_port: backend.port,
            local: service.flags & service_flags::LOCAL,
            frontend: dest.addr,
            backend: backend.addr,
        };
        flows.last = place;
    }
}

#[inline(always)]
fn place(flows: &SocketFlows, dest: &FrontendKey) -> u32 {
    for index in 0..FLOWS {
        match flows.flows.get(index as usize) {
            Some(flow) if flow.backend_port != 0 && !asks_for(flow, dest) => {}
            _ => return index,
        }
    }
    (flows.last & !DIRECT).wrapping_add(1) % FLOWS
}
