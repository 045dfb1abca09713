//! The decision behind `sendmsg` on a socket that is not connected: as for `connect`, but a socket
//! that has sent to a service before stays with its endpoint for as long as that serves.

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

/// The functions that the kernel programs call by themselves; see [`search`](crate::search).
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

/// Decides one datagram to `dest`. Only the first to an endpoint counts as a connect.
#[inline(always)]
pub fn send<C: Datagrams>(caller: &C, dest: &FrontendKey) -> Verdict {
    let mut row = MaybeUninit::uninit();
    if caller.service(dest, &mut row).is_none() {
        note_direct(caller, dest);
        return Verdict::Untouched;
    }
    // SAFETY: a row that was found is written.
    let service = unsafe { row.assume_init_mut() };
    // The hook of a socket that is connected to a v4-mapped address runs for every datagram, with
    // the address that its connect was given.
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

/// How the last connect of the calling socket was answered, if it still is connected.
/// `connect(AF_UNSPEC)` passes no hook; what a disconnected socket holds is given back at the first
/// hook that sees it.
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

/// The endpoint that the socket's datagrams to the service go to, if it has one that still serves.
/// What another one held is given back, so that it does not count as load in the choice that
/// follows.
#[inline(always)]
fn known<C: Datagrams>(
    caller: &C,
    flows: &mut SocketFlows,
    service: &mut ServiceRow,
) -> Option<Verdict> {
    let index = caller.flow_of(flows, &service.key);
    if let Some(flow) = flows.flows.get_mut(index as usize) {
        if service.slot_count > 0 && serves(caller, flow, service) {
            let verdict = Verdict::Backend {
                addr: flow.backend.copy(),
                port: flow.backend_port,
            };
            flows.last = index;
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

/// A socket may also talk to an endpoint that a service gave it; then the answer comes from the
/// endpoint, not from the service. Costs a socket without flows next to nothing.
#[inline(always)]
fn note_direct<C: Datagrams>(caller: &C, dest: &FrontendKey) {
    if let Some(flows) = first(caller, false) {
        let number = flows::number_to(caller, flows, dest);
        if number < ALL {
            flows.last = number | DIRECT;
        }
    }
}

/// The service address that a socket asked for when it sent to `peer`, to be shown as the source of
/// the reply. When it reaches one endpoint in several ways, the one it sent to last.
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

/// Whether the endpoint a flow goes to still serves this service, from where the program asks.
#[inline(always)]
fn serves<K: Kernel>(kernel: &K, flow: &Flow, service: &ServiceRow) -> bool {
    let Some(row) = kernel
        .backend(flow.backend_index)
        .map(|backend| &backend.row)
    else {
        return false;
    };
    // A flow that holds nothing was refused since: its next datagram is counted and limited like
    // the first.
    flow.flags & flow_state::HELD != 0
        && row.generation == flow.generation
        && row.service == service.id
        && (row.state == backend_state::ACTIVE || row.state == backend_state::DRAINING)
        && flow.flags & service_flags::LOCAL == service.flags & service_flags::LOCAL
}

/// Returns whether a flow's endpoint still serves; else gives back what the flow holds.
#[inline(always)]
pub fn goes_on<K: Shares>(kernel: &K, flow: &mut Flow, service: &ServiceRow) -> bool {
    if service.slot_count > 0 && serves(kernel, flow, service) {
        return true;
    }
    stop(kernel, flow, service.client);
    false
}

/// Gives back what a flow of this client holds whose endpoint serves no longer.
#[inline(always)]
pub fn stop<K: Shares>(kernel: &K, flow: &mut Flow, client: u32) {
    give_back(kernel, flow, client);
    flow.flags &= !(flow_state::HELD | flow_state::LIMITED | flow_state::SHARED);
}

/// Keeps where datagrams to the service go: in the entry for its address, else in a free one, else
/// in the one after the last that was used, whose service is then balanced anew.
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

/// Makes an entry a flow to this backend; what it held is given back.
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

/// Bits of [`flow_state`] for those of [`socket_state`].
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

/// A socket is closed: its flows end.
#[inline(always)]
pub fn released<K: Shares>(kernel: &K, flows: &SocketFlows, more: Option<&MoreFlows>) {
    end(kernel, &flows.flows, flows.client);
    if let Some(more) = more {
        end(kernel, &more.flows, flows.client);
    }
}

#[inline(always)]
fn end<K: Shares, const N: usize>(kernel: &K, flows: &[Flow; N], client: u32) {
    for flow in flows {
        if flow.backend_port == 0 {
            return;
        }
        give_back(kernel, flow, client);
    }
}

/// The flow's service and its endpoint have one socket less; the endpoint unless its index is
/// another's by now.
#[inline(always)]
fn give_back<K: Shares>(kernel: &K, flow: &Flow, client: u32) {
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
