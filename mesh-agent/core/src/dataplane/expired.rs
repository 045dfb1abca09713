//! Reservations that expired on counts that no connect has touched since. Their epochs come round
//! after 18 minutes, and they would count once more then; a request that changes nothing has the
//! kernel clear them.

use std::time::Duration;

use mesh_common::{occupancy, settle::Request};

use super::counts::Counts;

/// Requests that clear what has expired at this moment of the monotonic clock.
pub fn expired(counts: &Counts, now: Duration) -> Vec<Request> {
    let epoch = occupancy::epoch(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    let expired = (0_u32..)
        .zip(&counts.backends)
        .filter(|(_, it)| occupancy::has_expired(it.load.live, epoch));
    let backends = expired.map(|(index, it)| Request::Backend {
        index,
        generation: it.row.generation,
        live: 0,
        connecting: 0,
    });
    let services = (0_u32..)
        .zip(&counts.services)
        .filter(|(_, it)| occupancy::has_expired(it.connections, epoch));
    backends
        .chain(services.map(|(id, _)| Request::Service { id, live: 0 }))
        .collect()
}
