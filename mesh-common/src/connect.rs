//! The decision behind `connect`: service → slot → backend.

use crate::{
    abi::{BackendRow, FrontendKey, ServiceRow, Slot, SocketRecord, protocol},
    addr::Addr,
    balance,
    counter::Counter,
};

/// What a decision needs from the world it runs in: the kernel's maps, or a copy of them on the host.
pub trait Kernel {
    /// Row of SERVICES, as it was at one moment.
    fn service(&self, key: &FrontendKey) -> Option<ServiceRow>;
    /// Row of SLOTS.
    fn slot(&self, index: u32) -> Option<Slot>;
    /// Row of BACKENDS.
    fn backend(&self, index: u32) -> Option<&BackendRow>;
    /// 32 random bits; need not be cryptographic.
    fn random(&self) -> u32;
    /// Adds one to a counter of a service.
    fn count(&self, service: u32, counter: Counter);
    /// Adds one connect to a backend.
    fn count_backend(&self, index: u32);
    /// Remembers how the calling socket was answered; false when there is no room.
    fn record(&self, record: &SocketRecord) -> bool;
    /// Forgets how the calling socket was answered, if it was.
    fn forget(&self);
}

/// The answer to a connect.
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
    let Some(service) = kernel.service(dest) else {
        // A UDP socket may have been answered before, and may now go to that very endpoint by itself.
        if dest.protocol == protocol::UDP {
            kernel.forget();
        }
        return Verdict::Untouched;
    };
    if service.slot_count == 0 {
        kernel.count(service.id, Counter::RefusedNoBackend);
        return Verdict::Refused;
    }
    let Some((index, backend)) = pick(kernel, &service) else {
        kernel.count(service.id, Counter::RefusedBroken);
        return Verdict::Refused;
    };
    kernel.count(service.id, Counter::Connects);
    kernel.count_backend(index);
    if !kernel.record(&record(dest, service.id, index, backend)) {
        kernel.count(service.id, Counter::Unrecorded);
    }
    Verdict::Backend { addr: backend.addr, port: backend.port }
}

#[inline(always)]
fn pick<'k, K: Kernel>(kernel: &'k K, service: &ServiceRow) -> Option<(u32, &'k BackendRow)> {
    let draw = balance::draw(kernel.random(), service.slot_count);
    let slot = kernel.slot(service.slot_base.wrapping_add(draw.slot))?;
    let index = balance::side(&slot, draw.fraction);
    let backend = kernel.backend(index)?;
    // Port 0 is a row nobody wrote; the kernel would answer EINVAL.
    (backend.port != 0).then_some((index, backend))
}

#[inline(always)]
fn record(dest: &FrontendKey, service: u32, index: u32, backend: &BackendRow) -> SocketRecord {
    SocketRecord {
        frontend: dest.addr,
        backend: backend.addr,
        frontend_port: dest.port,
        backend_port: backend.port,
        service,
        backend_index: index,
        generation: backend.generation,
        spare: [0; 2],
    }
}
