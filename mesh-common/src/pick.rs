//! Which backend serves: the one a client is bound to, or one that the slots give.

use crate::{
    abi::{AffinityKey, AffinityRow, BackendRow, FrontendKey, ServiceRow, backend_state, service_flags},
    balance,
    kernel::Kernel,
};

const NANOSECONDS: u64 = 1_000_000_000;
/// A row is not written again for each of many connects in a row.
const TOUCH_AFTER: u64 = NANOSECONDS / 4;

/// A backend and its index.
pub(crate) type Picked<'k> = (u32, &'k BackendRow);

/// A backend for a new connect or flow; none when the maps contradict each other. The service has slots.
#[inline(always)]
pub(crate) fn pick<'k, K: Kernel>(kernel: &'k K, dest: &FrontendKey, service: &ServiceRow) -> Option<Picked<'k>> {
    if service.affinity_seconds == 0 {
        return from_slots(kernel, service);
    }
    bound(kernel, dest, service)
}

#[inline(always)]
fn from_slots<'k, K: Kernel>(kernel: &'k K, service: &ServiceRow) -> Option<Picked<'k>> {
    let draw = balance::draw(kernel.random(), service.slot_count);
    let slot = kernel.slot(service.slot_base.wrapping_add(draw.slot))?;
    let index = balance::side(&slot, draw.fraction);
    let backend = kernel.backend(index)?;
    // Port 0 is a row nobody wrote; the kernel would answer EINVAL.
    (backend.port != 0).then_some((index, backend))
}

/// The backend this client is bound to, as long as it takes connections and the client came back in time; else a new one
/// that it is bound to from now on. Of several first connects at the same time one binds the client, the others follow.
#[inline(always)]
fn bound<'k, K: Kernel>(kernel: &'k K, dest: &FrontendKey, service: &ServiceRow) -> Option<Picked<'k>> {
    let by_cgroup = service.flags & service_flags::AFFINITY_BY_CGROUP != 0;
    let local = u32::from(service.flags & service_flags::LOCAL != 0);
    let variant = u32::from(dest.addr.is_v4()) | local << 1;
    let key = AffinityKey { client: kernel.client(by_cgroup), service: service.id, variant };
    let now = kernel.now();
    let before = kernel.affinity(&key);
    if let Some(row) = before {
        // Another connect may have used it since this one looked at the clock.
        let idle = now.saturating_sub(row.used_at);
        if idle < u64::from(service.affinity_seconds) * NANOSECONDS
            && let Some(picked) = still_taking(kernel, service, row.backend)
        {
            if idle > TOUCH_AFTER {
                kernel.move_affinity(&key, row.backend, &AffinityRow { used_at: now, ..row });
            }
            return Some(picked);
        }
    }
    let fresh = from_slots(kernel, service)?;
    let row = AffinityRow { backend: word(fresh), used_at: now };
    match before {
        Some(old) => kernel.move_affinity(&key, old.backend, &row),
        // Without a row the client is balanced like any other.
        None if !kernel.add_affinity(&key, &row) => return Some(fresh),
        None => {}
    }
    let winner = kernel.affinity(&key).and_then(|row| still_taking(kernel, service, row.backend));
    Some(winner.unwrap_or(fresh))
}

/// Rows of this kind of map are recycled while they are read, so the backend must prove that it is this service's.
#[inline(always)]
fn still_taking<'k, K: Kernel>(kernel: &'k K, service: &ServiceRow, word: u64) -> Option<Picked<'k>> {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    let (index, generation) = (word as u32, (word >> 32) as u32);
    let backend = kernel.backend(index)?;
    let takes =
        backend.state == backend_state::ACTIVE && backend.generation == generation && backend.service == service.id;
    takes.then_some((index, backend))
}

#[inline(always)]
fn word((index, backend): Picked<'_>) -> u64 {
    u64::from(index) | u64::from(backend.generation) << 32
}
