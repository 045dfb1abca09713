//! The decision behind `connect`: service → slot → backend.

use crate::{
    abi::{BackendRow, FrontendKey, ServiceRow, SocketRecord, TrackedSocket, service_flags},
    addr::Addr,
    counter::Counter,
    kernel::Kernel,
    pick::{Picked, pick},
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
pub fn connect<K: Kernel>(kernel: &K, dest: &FrontendKey) -> Verdict {
    let service = match kernel.service(dest) {
        Some(service) if !kernel.excluded() => service,
        _ => {
            // The socket may have been answered before, and may now go to that very endpoint by itself.
            kernel.forget();
            return Verdict::Untouched;
        }
    };
    match answer(kernel, dest, &service) {
        Ok(picked) => {
            remember(kernel, dest, &service, picked);
            Verdict::Backend { addr: picked.1.addr, port: picked.1.port }
        }
        Err(refused) => refused,
    }
}

/// A backend for a new connect or flow, counted; or the counted refusal.
#[inline(always)]
pub(crate) fn answer<'k, K: Kernel>(
    kernel: &'k K,
    dest: &FrontendKey,
    service: &ServiceRow,
) -> Result<Picked<'k>, Verdict> {
    if service.slot_count == 0 {
        kernel.count(service.id, Counter::RefusedNoBackend);
        return Err(Verdict::Refused);
    }
    let Some((index, backend)) = pick(kernel, dest, service) else {
        kernel.count(service.id, Counter::RefusedBroken);
        return Err(Verdict::Refused);
    };
    kernel.count(service.id, Counter::Connects);
    kernel.count_backend(index);
    Ok((index, backend))
}

#[inline(always)]
fn remember<K: Kernel>(kernel: &K, dest: &FrontendKey, service: &ServiceRow, (index, backend): Picked<'_>) {
    let track = service.flags & service_flags::TRACK != 0;
    if !track {
        kernel.forget();
    }
    let record = SocketRecord {
        frontend: dest.addr,
        backend: backend.addr,
        frontend_port: dest.port,
        backend_port: backend.port,
        service: service.id,
        backend_index: index,
        generation: backend.generation,
        tracked: track.into(),
        spare: 0,
    };
    // Tracked only when recorded: the record is what gives the tracking up when the socket is closed.
    let remembered = kernel.record(&record) && (!track || kernel.track(&tracked_socket(dest, index, backend)));
    if !remembered {
        kernel.count(service.id, Counter::Unrecorded);
    }
}

#[inline(always)]
fn tracked_socket(dest: &FrontendKey, index: u32, backend: &BackendRow) -> TrackedSocket {
    TrackedSocket {
        backend: backend.addr,
        port: backend.port,
        protocol: dest.protocol,
        pad: 0,
        backend_index: index,
        generation: backend.generation,
    }
}
