//! The decision behind `connect`: service → slot → backend.

use core::mem::MaybeUninit;

use crate::{
    abi::{FrontendKey, ServiceRow, SocketRecord, SocketRow, TrackedSocket, protocol, service_flags, socket_state},
    addr::Addr,
    atomic,
    counter::Counter,
    kernel::{Caller, Kernel},
    life,
    pick::{Picked, dismiss, pick},
};

/// The answer to a connect or a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not a service of ours: the kernel goes on as if we were not there.
    Untouched,
    /// Go to this endpoint instead.
    Backend {
        /// Endpoint address.
        addr: Addr,
        /// Endpoint port, network byte order.
        port: u16,
    },
    /// Ours, but nobody can serve it: the program sees ECONNREFUSED.
    Refused,
}

/// Decides a connect to `dest`, counts it, and records the answer for [`reply`](crate::reply).
#[inline(always)]
pub fn connect<C: Caller>(caller: &C, dest: &FrontendKey) -> Verdict {
    let mut service = MaybeUninit::uninit();
    let Some(service) = caller.service(dest, &mut service).filter(|_| !caller.excluded()) else {
        // The socket may have been answered before, and may now go to that very endpoint by itself.
        if let Some(record) = record(caller, false) {
            forget(caller, record);
        }
        return Verdict::Untouched;
    };
    let mut record = record(caller, true);
    if let Some(record) = &mut record {
        forget(caller, record);
    }
    match answer(caller, dest, service) {
        Ok((picked, limited)) => {
            match record {
                Some(record) => remember(caller, dest, service, &picked, limited, record),
                None => let_go(caller, service, &picked, limited),
            }
            Verdict::Backend { addr: picked.backend.row.addr, port: picked.backend.row.port }
        }
        Err(refused) => refused,
    }
}

/// A backend for a new connect or flow, held and counted, and [`socket_state::LIMITED`] where the socket counts for the
/// service; or the counted refusal.
#[inline(always)]
pub(crate) fn answer<'k, C: Caller>(
    caller: &'k C,
    dest: &FrontendKey,
    service: &ServiceRow,
) -> Result<(Picked<'k>, u64), Verdict> {
    if service.slot_count == 0 && service.flags & service_flags::TIERS == 0 {
        caller.count(service.id, Counter::RefusedNoBackend);
        return Err(Verdict::Refused);
    }
    let limited = match enter(caller, service) {
        Ok(limited) => limited,
        Err(refusal) => {
            caller.count(service.id, refusal);
            return Err(Verdict::Refused);
        }
    };
    match pick(caller, dest, service) {
        Ok(picked) => {
            caller.count(service.id, Counter::Connects);
            Ok((picked, limited))
        }
        Err(refusal) => {
            leave(caller, service, limited);
            caller.count(service.id, refusal);
            Err(Verdict::Refused)
        }
    }
}

/// Counts the socket for the service where that has a limit.
#[inline(always)]
fn enter<K: Kernel>(kernel: &K, service: &ServiceRow) -> Result<u64, Counter> {
    if service.max_connections == 0 {
        return Ok(0);
    }
    let Some(live) = kernel.live_service(service.id) else { return Err(Counter::RefusedBroken) };
    if atomic::add(&live.connections, 1) >= u64::from(service.max_connections) {
        atomic::add(&live.connections, 1_u64.wrapping_neg());
        return Err(Counter::RefusedLimit);
    }
    Ok(socket_state::LIMITED)
}

#[inline(always)]
fn leave<K: Kernel>(kernel: &K, service: &ServiceRow, limited: u64) {
    if limited != 0
        && let Some(live) = kernel.live_service(service.id)
    {
        atomic::add(&live.connections, 1_u64.wrapping_neg());
    }
}

/// Without a record nobody would know later what the socket holds.
#[inline(always)]
pub(crate) fn let_go<K: Kernel>(kernel: &K, service: &ServiceRow, picked: &Picked<'_>, limited: u64) {
    dismiss(picked);
    leave(kernel, service, limited);
    kernel.count(service.id, Counter::Unrecorded);
}

/// How the calling socket's connect was answered.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the record is not part of what `caller` refers to")]
pub(crate) fn record<C: Caller>(caller: &C, create: bool) -> Option<&mut SocketRecord> {
    // SAFETY: the record belongs to the calling socket, lives as long as it, and but for its atomic state it is written
    // by `connect` only, which the kernel runs one at a time for each socket.
    unsafe { caller.record(create).as_mut() }
}

/// Ends what the socket's last connect began.
#[inline(always)]
fn forget<C: Caller>(caller: &C, record: &mut SocketRecord) {
    let state = atomic::read(&record.state);
    if state != 0 {
        life::end(caller, record);
        if atomic::clear(&record.state, socket_state::TRACKED) & socket_state::TRACKED != 0 {
            caller.untrack();
        }
    }
    record.backend_port = 0;
}

#[inline(always)]
fn remember<C: Caller>(
    caller: &C,
    dest: &FrontendKey,
    service: &ServiceRow,
    picked: &Picked<'_>,
    limited: u64,
    record: &mut SocketRecord,
) {
    let row = &picked.backend.row;
    let is_tcp = dest.protocol == protocol::TCP;
    let tracked = match service.flags & service_flags::TRACK {
        0 => 0,
        // Tracked only when recorded: the record is what gives the tracking up when the socket is closed.
        _ if caller.track(&tracked_socket(dest, picked)) => socket_state::TRACKED,
        _ => {
            caller.count(service.id, Counter::Unrecorded);
            0
        }
    };
    let words: [u64; size_of::<SocketRecord>() / 8] = bytemuck::cast(SocketRow {
        frontend: dest.addr,
        backend: row.addr.copy(),
        frontend_port: dest.port,
        backend_port: row.port,
        service: service.id,
        backend_index: picked.index,
        generation: row.generation,
        state: picked.holds | limited | tracked,
        started: if is_tcp { caller.now() } else { 0 },
    });
    let to = core::ptr::from_mut(record).cast::<u64>();
    for (at, word) in words.into_iter().enumerate() {
        // Word by word, as in `Addr::copy`.
        // SAFETY: within the record, which is exclusively borrowed.
        unsafe { to.add(at).write_volatile(word) };
    }
}

#[inline(always)]
fn tracked_socket(dest: &FrontendKey, picked: &Picked<'_>) -> TrackedSocket {
    let row = &picked.backend.row;
    TrackedSocket {
        backend: row.addr.copy(),
        port: row.port,
        protocol: dest.protocol,
        pad: 0,
        backend_index: picked.index,
        generation: row.generation,
    }
}
