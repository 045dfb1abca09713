//! The decision behind `sendmsg` on a socket that is not connected: as for `connect`, but a socket
//! keeps the endpoint of each service while that endpoint serves. Takes a destination, returns a
//! [`Verdict`], and keeps the socket's flows for the replies.

use core::mem::MaybeUninit;

use crate::{
    abi::{
        Flow, FrontendKey, MoreFlows, ServiceRow, ShareKey, SocketFlows, SocketRecord,
        backend_state, flow_state, service_flags, socket_state,
    },
    addr::Addr,
    connect::{Verdict, answer, let_go, verdict},
    flows::{self, ALL, DIRECT, FIRST, Find, first, more},
    kernel::{Caller, Kernel},
    limits::{self, Shares},
    occupancy,
    pick::{Choose, Picked},
    reply::reverse,
    socket,
};

/// The global function of a socket's release; see [`kernel`](crate::kernel).
pub trait Releases: Shares {
    /// [`give_back`]
    fn give_back_flow(&self, flow: &Flow, client: u32) {
        give_back(self, flow, client);
    }
}

/// The global functions of this decision; see [`kernel`](crate::kernel).
pub trait Datagrams: Find + Choose {
    /// [`stop`]
    fn stop(&self, flow: &mut Flow, client: u32) {
        stop(self, flow, client);
    }

    /// [`goes_on`]
    fn goes_on(&self, flow: &mut Flow, service: &ServiceRow) -> bool {
        goes_on(self, flow, service)
    }

    /// [`put`]
    fn put(&self, flow: &mut Flow, service: &ServiceRow, index: u32, held: u32) {
        put(self, flow, service, index, held);
    }
}

/// Decides one datagram to `dest`. Only the first datagram to an endpoint counts as a connect.
#[inline(always)]
pub fn send<C: Datagrams>(caller: &C, dest: &FrontendKey) -> Verdict {
    let mut row = MaybeUninit::uninit();
    if caller.service(dest, &mut row).is_none() {
        note_direct(caller, dest);
        return Verdict::Untouched;
    }
    // SAFETY: a row that was found is written.
    let service = unsafe { row.assume_init_mut() };
    // The hook of a socket that is connected to a v4-mapped address runs for each datagram, with
    // the address of its backend.
    let connected =
        connected(caller).is_some_and(|record| reverse(record, dest.addr, dest.port).is_some());
    if connected || caller.excluded() {
        return Verdict::Untouched;
    }
    let Some(flows) = first(caller, true) else {
        service.client = caller.client_id();
        return unrecorded(caller, service);
    };
    // As with `connect`, a socket belongs to the client that used it first.
    service.client = flows.client;
    if let Some(known) = known(caller, flows, service) {
        return known;
    }
    // A socket belongs to the client that used it first.
    service.client = flows.client;
    match answer(caller, service) {
        Ok((picked, limited)) => {
            keep(caller, flows, service, picked, limited);
            verdict(caller, picked)
        }
        Err(refused) => refused,
    }
}

/// Returns how the last connect of the calling socket was answered, if the socket still is
/// connected. `connect(AF_UNSPEC)` passes no hook; what a disconnected socket holds is released at
/// the next hook.
#[inline(always)]
pub fn connected<C: Caller + Shares>(caller: &C) -> Option<&SocketRecord> {
    let cookie = caller.cookie();
    let record = socket::record(caller, cookie)?;
    if caller.is_connected() {
        return Some(record);
    }
    socket::drop(caller, record, cookie);
    None
}

/// Returns the endpoint of the socket's flow to the service, if it has one that still serves. Else
/// releases what the flow holds, so that it does not count as load in the choice that follows.
#[inline(always)]
fn known<C: Datagrams>(
    caller: &C,
    flows: &mut SocketFlows,
    service: &mut ServiceRow,
) -> Option<Verdict> {
    let first = caller.flow_of(flows, &service.key);
    if let Some(flow) = flows.flows.get_mut(first as usize) {
        if service.slot_count > 0 && serves(caller, flow, service) {
            let verdict = Verdict::Backend {
                addr: flow.backend.copy(),
                port: flow.backend_port,
            };
            flows.last = first;
            return Some(verdict);
        }
        caller.stop(flow, flows.client);
        return None;
    }
    let more = more(caller, flows, false)?;
    service.client = flows.client;
    let index = caller.more_of(more, &service.key);
    let flow = more.flows.get_mut(index as usize)?;
    if !caller.goes_on(flow, service) {
        return None;
    }
    flows.last = FIRST.wrapping_add(index);
    Some(Verdict::Backend {
        addr: flow.backend.copy(),
        port: flow.backend_port,
    })
}

/// Balances a datagram without keeping a flow, because there is no room for one.
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

/// Notes that the socket sent to an endpoint directly, not by way of a service: then the reply
/// comes from the endpoint. Costs a socket without flows next to nothing.
#[inline(always)]
fn note_direct<C: Datagrams>(caller: &C, dest: &FrontendKey) {
    if let Some(flows) = first(caller, false) {
        let number = flows::number_to(caller, flows, dest);
        if number < ALL {
            flows.last = number | DIRECT;
        }
    }
}

/// Returns the service address to which the socket sent when the datagram went to `peer`, to be
/// shown as the source of the reply. Where several flows lead to one endpoint, that of the last
/// datagram.
#[inline(always)]
pub fn asked_for<C: Find>(
    caller: &C,
    flows: &SocketFlows,
    peer: &FrontendKey,
) -> Option<(Addr, u16)> {
    let (frontend, frontend_port, backend, port) =
        flows::numbered(caller, flows, flows.last & !DIRECT)?;
    if backend == peer.addr && port == peer.port {
        return (flows.last & DIRECT == 0).then_some((frontend, frontend_port));
    }
    let (frontend, frontend_port, ..) =
        flows::numbered(caller, flows, flows::number_to(caller, flows, peer))?;
    Some((frontend, frontend_port))
}

/// Returns whether a flow's endpoint still serves this frontend of the service.
#[inline(always)]
fn serves<K: Kernel>(kernel: &K, flow: &Flow, service: &ServiceRow) -> bool {
    let Some(row) = kernel
        .backend(flow.backend_index)
        .map(|backend| &backend.row)
    else {
        return false;
    };
    // A flow that holds nothing was refused after it lost its endpoint: its next datagram counts
    // and is limited like the first.
    flow.flags & flow_state::HELD != 0
        && row.generation == flow.generation
        && row.service == service.id
        && (row.state == backend_state::ACTIVE || row.state == backend_state::DRAINING)
        && flow.flags & service_flags::LOCAL == service.flags & service_flags::LOCAL
}

/// Returns whether a flow's endpoint still serves; else releases what the flow holds.
#[inline(always)]
pub fn goes_on<K: Shares>(kernel: &K, flow: &mut Flow, service: &ServiceRow) -> bool {
    if service.slot_count > 0 && serves(kernel, flow, service) {
        return true;
    }
    stop(kernel, flow, service.client);
    false
}

/// Releases what a client's flow holds, whose endpoint no longer serves.
#[inline(always)]
pub fn stop<K: Shares>(kernel: &K, flow: &mut Flow, client: u32) {
    give_back(kernel, flow, client);
    flow.flags &= !(flow_state::HELD | flow_state::LIMITED | flow_state::SHARED);
}

/// Keeps the endpoint of datagrams to the service: in the entry for the service's address, else in
/// a free entry, else in the entry after the last used one, whose service is balanced again at its
/// next datagram.
#[inline(always)]
fn keep<C: Datagrams>(
    caller: &C,
    flows: &mut SocketFlows,
    service: &ServiceRow,
    picked: Picked,
    limited: u64,
) {
    let dest = &service.key;
    let held = held(picked.holds | limited);
    let mut index = caller.place(flows, dest);
    if index >= FIRST {
        if let Some(more) = more(caller, flows, true) {
            let index = caller.place_in_more(more, dest, flows.last);
            if let Some(flow) = more.flows.get_mut(index as usize) {
                caller.put(flow, service, picked.index, held);
                flows.last = FIRST.wrapping_add(index);
            }
            return;
        }
        index = (flows.last & !DIRECT).wrapping_add(1) % FIRST;
    }
    if let Some(flow) = flows.flows.get_mut(index as usize) {
        caller.put(flow, service, picked.index, held);
        flows.last = index;
    }
}

/// Makes an entry a flow to this backend, and releases what the entry held.
#[inline(always)]
pub fn put<K: Shares>(kernel: &K, flow: &mut Flow, service: &ServiceRow, index: u32, held: u32) {
    give_back(kernel, flow, service.client);
    let Some(row) = kernel.backend(index).map(|backend| &backend.row) else {
        return;
    };
    *flow = Flow {
        backend_index: index,
        generation: row.generation,
        frontend_port: service.key.port,
        backend_port: row.port,
        flags: service.flags & service_flags::LOCAL | service.id << flow_state::SERVICE | held,
        frontend: service.key.addr.copy(),
        backend: row.addr.copy(),
    };
}

/// Converts bits of [`socket_state`] to bits of [`flow_state`].
#[inline(always)]
const fn held(state: u64) -> u32 {
    let held = if state & socket_state::HELD != 0 {
        flow_state::HELD
    } else {
        0
    };
    let limited = if state & socket_state::LIMITED != 0 {
        flow_state::LIMITED
    } else {
        0
    };
    held | limited
        | if state & socket_state::SHARED != 0 {
            flow_state::SHARED
        } else {
            0
        }
}

/// Ends the flows of a socket that is closed.
#[inline(always)]
pub fn released<K: Releases>(kernel: &K, flows: &SocketFlows, more: Option<&MoreFlows>) {
    end(kernel, &flows.flows, flows.client);
    if let Some(more) = more {
        end(kernel, &more.flows, flows.client);
    }
}

/// Releases what these flows hold.
#[inline(always)]
fn end<K: Releases, const N: usize>(kernel: &K, flows: &[Flow; N], client: u32) {
    for flow in flows {
        if flow.backend_port == 0 {
            return;
        }
        kernel.give_back_flow(flow, client);
    }
}

/// Takes the flow off the counts of its service and of its backend, unless the backend's index is
/// in another use by now.
#[inline(always)]
pub fn give_back<K: Shares>(kernel: &K, flow: &Flow, client: u32) {
    if flow.flags & flow_state::LIMITED != 0 {
        let shared = if flow.flags & flow_state::SHARED != 0 {
            socket_state::SHARED
        } else {
            0
        };
        let service = (flow.flags & flow_state::SERVICE_BITS) >> flow_state::SERVICE;
        let units = occupancy::LIVE.wrapping_neg();
        limits::change(
            kernel,
            socket_state::LIMITED | shared,
            ShareKey { service, client },
            None,
            units,
        );
    }
    if flow.flags & flow_state::HELD != 0
        && let Some(backend) = kernel.backend(flow.backend_index)
        && backend.row.generation == flow.generation
    {
        occupancy::remove(&backend.live, occupancy::LIVE);
    }
}

#[cfg(test)]
mod tests;
