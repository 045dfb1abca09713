//! The decision behind `sendmsg` on a socket that is not connected: as for `connect`, but a socket that has sent to a
//! service before stays with its endpoint for as long as that serves.

use core::mem::MaybeUninit;

use crate::{
    abi::{
        Flow, FrontendKey, ServiceRow, SocketFlows, SocketRecord, backend_state, capacity::FLOWS_PER_SOCKET,
        flow_state, service_flags, socket_state,
    },
    addr::Addr,
    connect::{Verdict, answer, let_go, verdict},
    kernel::{Caller, Kernel},
    occupancy,
    pick::{Choose, Picked},
    reply::reverse,
    socket,
};

/// Entries of a socket, as they are counted in [`SocketFlows::last`].
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
const FLOWS: u32 = FLOWS_PER_SOCKET as u32;

/// Bit of [`SocketFlows::last`]: the socket sent to the endpoint of that entry by itself, not by way of the service.
const DIRECT: u32 = 1 << 31;

/// The functions that the kernel programs call by themselves; see [`search`](crate::search). They return an index, of which
/// the verifier then knows nothing: inline it would follow what comes after for each of the entries.
pub trait Datagrams: Caller + Choose {
    /// [`flow_of`]
    fn flow_of(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        flow_of(flows, dest)
    }

    /// [`flow_to`]
    fn flow_to(&self, flows: &SocketFlows, peer: &FrontendKey) -> u32 {
        flow_to(flows, peer)
    }

    /// [`place`]
    fn place(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        place(flows, dest)
    }
}

/// Decides one datagram to `dest`. Only the first to an endpoint counts as a connect.
#[inline(always)]
pub fn send<C: Datagrams>(caller: &C, dest: &FrontendKey) -> Verdict {
    let mut service = MaybeUninit::uninit();
    let Some(service) = caller.service(dest, &mut service) else {
        note_direct(caller, dest);
        return Verdict::Untouched;
    };
    // The hook of a socket that is connected to a v4-mapped address runs for every datagram, with the address that its
    // connect was given.
    let connected = connected(caller).is_some_and(|record| reverse(record, dest.addr, dest.port).is_some());
    if connected || caller.excluded() {
        return Verdict::Untouched;
    }
    let Some(flows) = flows(caller, true) else {
        return unrecorded(caller, service);
    };
    let index = caller.flow_of(flows, dest);
    if let Some(flow) = flows.flows.get_mut(index as usize) {
        if service.slot_count > 0 && serves(caller, flow, service) {
            let verdict = Verdict::Backend { addr: flow.backend.copy(), port: flow.backend_port };
            flows.last = index;
            return verdict;
        }
        // Before the choice, so that what the flow holds does not count as load in it.
        give_back(caller, flow);
        flow.flags &= !(flow_state::HELD | flow_state::LIMITED);
    }
    match answer(caller, service) {
        Ok((picked, limited)) => {
            keep(caller, flows, service, picked, limited);
            verdict(caller, picked)
        }
        Err(refused) => refused,
    }
}

/// How the last connect of the calling socket was answered, if it still is connected. `connect(AF_UNSPEC)` passes no hook;
/// what a disconnected socket holds is given back at the first hook that sees it.
#[inline(always)]
pub fn connected<C: Caller>(caller: &C) -> Option<&SocketRecord> {
    let cookie = caller.cookie();
    let record = socket::record(caller, cookie)?;
    if caller.is_connected() {
        return Some(record);
    }
    socket::end(caller, record);
    caller.forget(cookie);
    None
}

#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the flows are not part of what `kernel` refers to")]
fn flows<C: Caller>(caller: &C, create: bool) -> Option<&mut SocketFlows> {
    // SAFETY: the flows belong to the calling socket, live as long as it and are ours alone: see [`Flow`].
    unsafe { caller.flows(create).as_mut() }
}

/// Without room for the flow every datagram is balanced anew.
#[inline(always)]
fn unrecorded<C: Datagrams>(caller: &C, service: &ServiceRow) -> Verdict {
    match answer(caller, service) {
        Ok((picked, limited)) => {
            let_go(caller, service, picked, limited);
            verdict(caller, picked)
        }
        Err(refused) => refused,
    }
}

/// A socket may also talk to an endpoint that a service gave it; then the answer comes from the endpoint, not from the
/// service. Costs a socket without flows next to nothing.
#[inline(always)]
fn note_direct<C: Datagrams>(caller: &C, dest: &FrontendKey) {
    if let Some(flows) = flows(caller, false) {
        let index = caller.flow_to(flows, dest);
        if index < FLOWS {
            flows.last = index | DIRECT;
        }
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
fn serves<C: Caller>(caller: &C, flow: &Flow, service: &ServiceRow) -> bool {
    let Some(row) = caller.backend(flow.backend_index).map(|backend| &backend.row) else { return false };
    // A flow that holds nothing was refused since: its next datagram is counted and limited like the first.
    flow.flags & flow_state::HELD != 0
        && row.generation == flow.generation
        && row.service == service.id
        && (row.state == backend_state::ACTIVE || row.state == backend_state::DRAINING)
        && flow.flags & service_flags::LOCAL == service.flags & service_flags::LOCAL
}

/// Keeps where datagrams to the service go: in the entry for its address, else in a free one, else in the one after the last that
/// was used, whose service is then balanced anew.
#[inline(always)]
fn keep<C: Datagrams>(caller: &C, flows: &mut SocketFlows, service: &ServiceRow, picked: Picked, limited: u64) {
    let dest = &service.key;
    let place = caller.place(flows, dest);
    let Some(row) = caller.backend(picked.index).map(|backend| &backend.row) else { return };
    if let Some(entry) = flows.flows.get_mut(place as usize % FLOWS_PER_SOCKET) {
        give_back(caller, entry);
        *entry = Flow {
            backend_index: picked.index,
            generation: row.generation,
            frontend_port: dest.port,
            backend_port: row.port,
            flags: service.flags & service_flags::LOCAL
                | service.id << flow_state::SERVICE
                | held(picked.holds | limited),
            frontend: dest.addr.copy(),
            backend: row.addr.copy(),
        };
        flows.last = place;
    }
}

/// Bits of [`flow_state`] for those of [`socket_state`].
#[inline(always)]
const fn held(state: u64) -> u32 {
    let held = if state & socket_state::HELD != 0 { flow_state::HELD } else { 0 };
    held | if state & socket_state::LIMITED != 0 { flow_state::LIMITED } else { 0 }
}

/// A socket is closed: its flows end.
#[inline(always)]
pub fn released<K: Kernel>(kernel: &K, flows: &SocketFlows) {
    for index in 0..FLOWS {
        let Some(flow) = flows.flows.get(index as usize) else { return };
        if flow.backend_port == 0 {
            return;
        }
        give_back(kernel, flow);
    }
}

/// The flow's service and its endpoint have one socket less; the endpoint unless its index is another's by now.
#[inline(always)]
fn give_back<K: Kernel>(kernel: &K, flow: &Flow) {
    if flow.flags & flow_state::LIMITED != 0
        && let Some(service) = kernel.live_service((flow.flags & flow_state::SERVICE_BITS) >> flow_state::SERVICE)
    {
        occupancy::remove(&service.connections, occupancy::LIVE);
    }
    if flow.flags & flow_state::HELD != 0
        && let Some(backend) = kernel.backend(flow.backend_index)
        && backend.row.generation == flow.generation
    {
        occupancy::remove(&backend.live, occupancy::LIVE);
    }
}

/// Index of the flow to the service address `dest`; the number of entries when there is none.
#[inline(always)]
pub fn flow_of(flows: &SocketFlows, dest: &FrontendKey) -> u32 {
    find(flows, |flow| asks_for(flow, dest)).map_or(FLOWS, |(index, _)| index)
}

/// Index of the first flow to the endpoint `peer`; the number of entries when there is none.
#[inline(always)]
pub fn flow_to(flows: &SocketFlows, peer: &FrontendKey) -> u32 {
    find(flows, |flow| leads_to(flow, peer.addr, peer.port)).map_or(FLOWS, |(index, _)| index)
}

/// Index of the entry that a flow to `dest` is kept in.
#[inline(always)]
pub fn place(flows: &SocketFlows, dest: &FrontendKey) -> u32 {
    for index in 0..FLOWS {
        match flows.flows.get(index as usize) {
            Some(flow) if flow.backend_port != 0 && !asks_for(flow, dest) => {}
            _ => return index,
        }
    }
    (flows.last & !DIRECT).wrapping_add(1) % FLOWS
}
