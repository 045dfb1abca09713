//! The decision behind `sendmsg` on a socket that is not connected: as for `connect`, but a socket that has sent to a
//! service before stays with its endpoint for as long as that serves.

use core::sync::atomic::AtomicU64;

use crate::{
    abi::{BackendRow, Flow, FrontendKey, SocketFlows, backend_state, capacity::FLOWS_PER_SOCKET},
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
    // SAFETY: the flows belong to the calling socket and live as long as it.
    let flows = unsafe { kernel.flows(true).as_ref() };
    if let Some(flows) = flows
        && let Some((index, flow)) = find(flows, |flow| flow.frontend == dest.addr && flow.frontend_port == dest.port)
        && service.slot_count > 0
        && serves(kernel, &flow)
    {
        used(flows, index);
        return Verdict::Backend { addr: flow.backend, port: flow.backend_port };
    }
    match answer(kernel, dest, &service) {
        Ok(picked) => {
            if !flows.is_some_and(|flows| keep(kernel, flows, dest, picked)) {
                kernel.count(service.id, Counter::Unrecorded);
            }
            Verdict::Backend { addr: picked.1.addr, port: picked.1.port }
        }
        Err(refused) => refused,
    }
}

/// Bit of [`SocketFlows::last`]: the socket sent to the endpoint of that entry by itself, not by way of the service.
const DIRECT: u32 = 1 << 31;

/// A socket may also talk to an endpoint that a service gave it; then the answer comes from the endpoint, not from the
/// service. Costs a socket without flows next to nothing.
#[inline(always)]
fn note_direct<K: Kernel>(kernel: &K, dest: &FrontendKey) {
    // SAFETY: the flows belong to the calling socket and live as long as it.
    if let Some(flows) = unsafe { kernel.flows(false).as_ref() }
        && let Some((index, _)) = find(flows, |flow| flow.backend == dest.addr && flow.backend_port == dest.port)
    {
        used(flows, index | DIRECT);
    }
}

/// The service address that a socket asked for when it sent to `peer`, to be shown as the source of the reply. When it
/// reaches one endpoint in several ways, the one it sent to last.
#[inline(always)]
pub fn asked_for(flows: &SocketFlows, peer: Addr, port: u16) -> Option<(Addr, u16)> {
    let leads_to = |flow: &Flow| flow.backend == peer && flow.backend_port == port;
    // SAFETY: a shared reference is readable; volatile because other threads write.
    let last = unsafe { (&raw const flows.last).read_volatile() };
    let entry = flows.flows.get((last & !DIRECT) as usize % FLOWS_PER_SOCKET).and_then(read).filter(leads_to);
    let flow = match entry {
        Some(_) if last & DIRECT != 0 => return None,
        Some(flow) => flow,
        None => find(flows, leads_to)?.1,
    };
    Some((flow.frontend, flow.frontend_port))
}

#[inline(always)]
fn used(flows: &SocketFlows, index: u32) {
    // SAFETY: the flows are in the socket's storage, which is writable; one word is written whole.
    unsafe { (&raw const flows.last).cast_mut().write_volatile(index) };
}

/// The first entry that can be read and that `wanted` takes, and its index.
#[inline(always)]
fn find(flows: &SocketFlows, wanted: impl Fn(&Flow) -> bool) -> Option<(u32, Flow)> {
    for index in 0..FLOWS {
        let flow = flows.flows.get(index as usize)?;
        match read(flow) {
            Some(seen) if wanted(&seen) => return Some((index, seen)),
            // Entries are used in order and never become free again.
            None if sequence(flow) == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The entry as it was at one moment; none while it is free or being written.
#[inline(always)]
fn read(flow: &Flow) -> Option<Flow> {
    let before = sequence(flow);
    if before == 0 || before & 1 == 1 {
        return None;
    }
    // SAFETY: a shared reference is readable; volatile because other threads write.
    let seen = unsafe { core::ptr::from_ref(flow).read_volatile() };
    (sequence(flow) == before).then_some(seen)
}

#[inline(always)]
fn sequence(flow: &Flow) -> u64 {
    // SAFETY: a shared reference is readable; volatile because other threads write.
    unsafe { (&raw const flow.sequence).read_volatile() }
}

/// Whether the endpoint a flow goes to still serves.
#[inline(always)]
fn serves<K: Kernel>(kernel: &K, flow: &Flow) -> bool {
    let serves = |row: &BackendRow| {
        row.generation == flow.generation
            && (row.state == backend_state::ACTIVE || row.state == backend_state::DRAINING)
    };
    kernel.backend(flow.backend_index).is_some_and(serves)
}

/// Keeps where datagrams to `dest` go: in the entry for `dest`, else in a free one, else in place of an endpoint that is
/// gone. False when there is none, or another thread takes it at the same moment.
#[inline(always)]
fn keep<K: Kernel>(kernel: &K, flows: &SocketFlows, dest: &FrontendKey, (index, backend): Picked<'_>) -> bool {
    let Some((place, flow)) = place(kernel, flows, dest) else { return false };
    let before = sequence(flow);
    // SAFETY: an aligned word of the socket's storage, which is writable and lives as long as the flows.
    let cell = unsafe { AtomicU64::from_ptr((&raw const flow.sequence).cast_mut()) };
    if before & 1 == 1 || !kernel.compare_exchange(cell, before, before | 1) {
        return false;
    }
    let writing = before | 1;
    let entry = core::ptr::from_ref(flow).cast_mut();
    // SAFETY: the entry is in the socket's storage, and ours alone while its sequence is odd.
    unsafe {
        (&raw mut (*entry).backend_index).write_volatile(index);
        (&raw mut (*entry).generation).write_volatile(backend.generation);
        (&raw mut (*entry).frontend_port).write_volatile(dest.port);
        (&raw mut (*entry).backend_port).write_volatile(backend.port);
        (&raw mut (*entry).frontend).write_volatile(dest.addr);
        (&raw mut (*entry).backend).write_volatile(backend.addr);
    }
    used(flows, place);
    kernel.compare_exchange(cell, writing, writing.wrapping_add(1))
}

#[inline(always)]
fn place<'f, K: Kernel>(kernel: &K, flows: &'f SocketFlows, dest: &FrontendKey) -> Option<(u32, &'f Flow)> {
    for index in 0..FLOWS {
        let flow = flows.flows.get(index as usize)?;
        if sequence(flow) == 0 || (flow.frontend == dest.addr && flow.frontend_port == dest.port) {
            return Some((index, flow));
        }
    }
    for index in 0..FLOWS {
        let flow = flows.flows.get(index as usize)?;
        if !serves(kernel, flow) {
            return Some((index, flow));
        }
    }
    None
}
