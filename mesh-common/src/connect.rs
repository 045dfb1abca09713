//! The decision behind `connect`: service → slot → backend. Takes a destination, returns a
//! [`Verdict`], and leaves the socket's row in SOCKETS for [`reply`](crate::reply) and
//! [`socket`](crate::socket).

use core::mem::MaybeUninit;

use crate::{
    abi::{
        FrontendKey, ServiceRow, SocketRecord, SocketRow, policy, protocol, service_flags,
        socket_state,
    },
    addr::Addr,
    atomic, balance,
    counter::Counter,
    kernel::{Caller, Kernel},
    limits::Shares,
    occupancy::{self, epoch},
    pick::{Choose, Picked, choose},
    socket,
};

/// The global functions of this decision; see [`kernel`](crate::kernel).
pub trait Connect: Caller + Choose {
    /// [`record`]
    fn record(
        &self,
        service: &ServiceRow,
        known: *mut SocketRecord,
        index: u32,
        cookie: u64,
        state: u64,
    ) -> bool {
        record(self, service, known, index, cookie, state)
    }

    /// [`socket::end`]
    fn end(&self, record: &SocketRecord, cookie: u64) {
        socket::end(self, record, cookie);
    }
}

/// Position of the namespace in the `state` of [`record`], and the bits below it.
const NETNS: u32 = 32;
const STATE: u64 = (1 << NETNS) - 1;

/// The answer to a connect or a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The destination is not a service: the system call goes on unchanged.
    Untouched,
    /// The destination is a service: the system call goes to this endpoint instead.
    Backend {
        /// Endpoint address.
        addr: Addr,
        /// Endpoint port, network byte order.
        port: u16,
    },
    /// The destination is a service without a backend for this connect: the system call fails with
    /// ECONNREFUSED.
    Refused,
}

/// Decides a connect to `dest`, counts it, and records the answer.
#[inline(always)]
pub fn connect<C: Connect>(caller: &C, dest: &FrontendKey) -> Verdict {
    let cookie = caller.cookie();
    let mut row = MaybeUninit::uninit();
    let Some(service) = asked(caller, dest, &mut row) else {
        // The socket may have a row of an earlier connect, and may now go to that very endpoint
        // directly.
        if let Some(record) = socket::record(caller, cookie) {
            drop(caller, record, cookie);
        }
        return Verdict::Untouched;
    };
    // Before the choice, so that what this socket's previous connect holds does not count as load
    // in it.
    let known = known(caller, cookie);
    // SAFETY: as in `socket::record`. A socket belongs to the client that connected it first,
    // whichever process it is passed to.
    service.client =
        unsafe { known.as_ref() }.map_or_else(|| caller.client_id(), |record| record.client);
    match answer(caller, service) {
        Ok((picked, limited)) => {
            if !caller.record(
                service,
                known,
                picked.index,
                cookie,
                picked.holds | limited | netns(caller, known),
            ) {
                let_go(caller, service, picked, limited);
                if service.has_limits() {
                    caller.count(service.id, Counter::RefusedLimit);
                    return Verdict::Refused;
                }
            }
            verdict(caller, picked)
        }
        Err(refused) => {
            stay(caller, known, cookie, service.client);
            refused
        }
    }
}

/// Returns the service at `dest` unless the caller is excluded. Where the service has limits, the
/// row has the epoch of the connect's reservations.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "epochs have 14 bits")]
fn asked<'a, C: Caller>(
    caller: &C,
    dest: &FrontendKey,
    row: &'a mut MaybeUninit<ServiceRow>,
) -> Option<&'a mut ServiceRow> {
    caller.service(dest, row).filter(|_| !caller.excluded())?;
    // SAFETY: a row that was found is written.
    let service = unsafe { row.assume_init_mut() };
    if service.has_limits() {
        service.epoch = epoch(caller.coarse_now()) as u32;
    }
    Some(service)
}

/// Returns the verdict that leads to the picked backend.
#[inline(always)]
pub(crate) fn verdict<K: Kernel>(kernel: &K, picked: Picked) -> Verdict {
    match kernel.backend(picked.index) {
        Some(backend) => Verdict::Backend {
            addr: backend.row.addr,
            port: backend.row.port,
        },
        None => Verdict::Refused,
    }
}

/// Returns a backend for a new connect or flow, held and counted, and bits of [`socket_state`]
/// where the socket counts for the service; or the refusal, counted.
#[inline(always)]
pub(crate) fn answer<C: Caller + Choose>(
    caller: &C,
    service: &ServiceRow,
) -> Result<(Picked, u64), Verdict> {
    if service.slot_count == 0 && service.flags & service_flags::TIERS == 0 {
        caller.count(service.id, Counter::RefusedNoBackend);
        return Err(Verdict::Refused);
    }
    let enters = service.is_entered();
    let limited = if enters { caller.enter(service) } else { 0 };
    if enters && limited == 0 {
        return Err(Verdict::Refused);
    }
    let by_cgroup = service.flags & service_flags::AFFINITY_BY_CGROUP != 0;
    let client = if service.affinity_seconds == 0 {
        0
    } else {
        caller.client(by_cgroup)
    };
    match Picked::of(choose(
        caller,
        service,
        client,
        balance::key(caller, service),
    )) {
        Ok(picked) => {
            caller.count(service.id, Counter::Connects);
            Ok((picked, limited))
        }
        Err(refusal) => {
            caller.leave(service, limited);
            caller.count(service.id, refusal);
            Err(Verdict::Refused)
        }
    }
}

/// Releases what a socket that cannot be recorded was given a moment ago, because no hook would
/// notice its end.
#[inline(always)]
pub(crate) fn let_go<K: Choose>(kernel: &K, service: &ServiceRow, picked: Picked, limited: u64) {
    if let Some(backend) = kernel.backend(picked.index) {
        if picked.holds & socket_state::RESERVED != 0 {
            occupancy::settle(&backend.live, service.epoch(), 0);
        }
        if picked.holds & socket_state::HELD != 0 {
            occupancy::remove(&backend.live, occupancy::LIVE);
        }
    }
    kernel.leave(service, limited);
    kernel.count(service.id, Counter::Unrecorded);
}

/// Returns the lower half of the cookie of the calling socket's network namespace, above all bits
/// of a [`socket_state`].
#[inline(always)]
fn netns<C: Caller>(caller: &C, known: *const SocketRecord) -> u64 {
    // SAFETY: as in `socket::record`. A socket stays in its namespace.
    let netns = unsafe { known.as_ref() }
        .map_or_else(|| caller.client(false), |record| record.netns.into());
    netns << NETNS
}

/// Releases what the previous connect of the calling socket holds. Returns its row, or null.
#[inline(always)]
fn known<C: Connect>(kernel: &C, cookie: u64) -> *mut SocketRecord {
    let socket = kernel.socket(cookie);
    // SAFETY: as in `socket::record`.
    let Some(record) = (unsafe { socket.as_ref() }) else {
        return socket;
    };
    if atomic::read(&record.state) & socket_state::SETTLED != 0 {
        drop(kernel, record, cookie);
        return core::ptr::null_mut();
    }
    if !socket::end_held(kernel, record) {
        kernel.end(record, cookie);
    }
    socket
}

/// Releases what the previous connect of the socket holds, and removes its row.
#[inline(always)]
fn drop<C: Connect>(kernel: &C, record: &SocketRecord, cookie: u64) {
    // SAFETY: as in `socket::record`; the word is read whole, now and not later.
    let client = unsafe { (&raw const record.client).read_volatile() };
    kernel.end(record, cookie);
    kernel.forget(cookie, client);
}

/// Restores the state before a refused connect. A UDP socket that was connected stays connected and
/// holds again what it held; a TCP socket is not connected and loses its row.
#[inline(always)]
fn stay<C: Caller + Shares>(caller: &C, known: *const SocketRecord, cookie: u64, client: u32) {
    // SAFETY: as in `socket::record`.
    match unsafe { known.as_ref() } {
        Some(record) if caller.is_connected() => socket::resume(caller, record),
        Some(_) => caller.forget(cookie, client),
        None => {}
    }
}

/// Records how the socket was answered, in its row or in a new one. Returns false when there is no
/// room for a row.
///
/// `state` has the [namespace](netns) in its upper half. A global function: its row needs a stack
/// frame of its own.
#[inline(always)]
pub fn record<K: Kernel>(
    kernel: &K,
    service: &ServiceRow,
    known_row: *mut SocketRecord,
    index: u32,
    cookie: u64,
    state: u64,
) -> bool {
    let Some(backend) = kernel.backend(index) else {
        return false;
    };
    let tracked = if service.flags & service_flags::TRACK == 0 {
        0
    } else {
        socket_state::TRACKED
    };
    let is_tcp = service.key.protocol == protocol::TCP;
    let coarse = match (is_tcp, state & socket_state::RESERVED) {
        (false, _) => 0,
        (true, 0) => kernel.tick_now(),
        // The clock by which the reservation was made.
        (true, _) => kernel.coarse_now(),
    };
    let (timed, started) = match service.policy {
        policy::LATENCY_AWARE if is_tcp => (socket_state::TIMED, kernel.now()),
        _ => (0, coarse),
    };
    // Without limits, only a backend on probation has reservations, made a moment ago in this hook.
    // If the epoch has changed since, the reservation expires by itself.
    let epoch = if service.has_limits() {
        service.epoch()
    } else {
        epoch(coarse)
    };
    let mut fresh = MaybeUninit::<SocketRow>::uninit();
    let to = if known_row.is_null() {
        fresh.as_mut_ptr()
    } else {
        known_row.cast()
    };
    let new_row = SocketRow {
        frontend: service.key.addr.copy(),
        backend: backend.row.addr.copy(),
        frontend_port: service.key.port,
        backend_port: backend.row.port,
        service: service.id,
        backend_index: index,
        generation: backend.row.generation,
        client: service.client,
        netns: (state >> NETNS) as u32,
        state: state & STATE | tracked | timed | socket::owner(cookie, epoch),
        started,
    };
    // SAFETY: room for a row, and no other hook writes or removes it: the kernel runs one connect
    // at a time for each socket, and holds the socket's lock around it.
    unsafe { put(to, new_row) };
    if !known_row.is_null() {
        return true;
    }
    // SAFETY: written above.
    let row = unsafe { fresh.assume_init_ref() };
    kernel.remember(cookie, row)
}

/// Writes a row word by word, as in [`Addr::copy`], because other hooks of the socket may read it
/// meanwhile.
#[inline(always)]
unsafe fn put(to: *mut SocketRow, row: SocketRow) {
    let words: [u64; size_of::<SocketRow>() / 8] = bytemuck::cast(row);
    for (at, word) in words.into_iter().enumerate() {
        // SAFETY: within the row.
        unsafe { to.cast::<u64>().add(at).write_volatile(word) };
    }
}

#[cfg(test)]
mod tests;
