//! Reads which backend a client is bound to by session affinity.

use std::time::Duration;

use mesh_common::{
    abi::{AffinityKey, AffinityRow, BackendRow, ServiceRow, service_flags},
    affinity::{affinity_key, is_in_time},
};

use super::client::{Bound, Client};
use crate::{
    api::view::Refusal,
    dataplane::Meter,
    desired::{Tables, socket_address},
};

/// Returns the row of a client unless it has expired. `now` is the monotonic clock.
pub(super) fn bound(
    meter: &dyn Meter,
    service: &ServiceRow,
    client: &Client,
    now: Duration,
) -> Result<Option<Bound>, Refusal> {
    let Some(wanted) = key(service, client) else {
        return Ok(None);
    };
    let rows = meter
        .affinity()
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    let row = rows.into_iter().find(|(key, _)| *key == wanted);
    let nanoseconds = |row: &AffinityRow| u64::try_from(idle(row, now).as_nanos());
    Ok(row.filter(|(_, row)| is_in_time(service, nanoseconds(row).unwrap_or(u64::MAX))))
}

/// Returns the key that the kernel programs would use; nothing where the service has no session
/// affinity, or the client attribute that it needs is unknown.
fn key(service: &ServiceRow, client: &Client) -> Option<AffinityKey> {
    let id = if by_cgroup(service) {
        client.cgroup
    } else {
        client.netns
    };
    let client = id.filter(|_| service.affinity_seconds > 0)?;
    Some(affinity_key(service, client))
}

fn by_cgroup(service: &ServiceRow) -> bool {
    service.flags & service_flags::AFFINITY_BY_CGROUP != 0
}

fn idle(row: &AffinityRow, now: Duration) -> Duration {
    now.saturating_sub(Duration::from_nanos(row.used_at))
}

/// Describes what session affinity means for this client; nothing where the service has none.
pub(super) fn note(
    tables: &Tables,
    service: &ServiceRow,
    client: &Client,
    now: Duration,
) -> Option<String> {
    if service.affinity_seconds == 0 {
        return None;
    }
    let (from, what) = if by_cgroup(service) {
        ("cgroup:PATH", "cgroup")
    } else {
        ("netns:PATH", "network namespace")
    };
    Some(match (&client.bound, key(service, client)) {
        (Some((_, row)), _) => {
            let endpoint =
                backend(tables, row).map_or("an endpoint that was removed".to_owned(), |it| socket_address(it.addr, it.port));
            format!("session affinity binds this client to {endpoint}, last used {} s ago", idle(row, now).as_secs())
        }
        (None, Some(_)) => {
            "the service has session affinity, and this client is not bound: its next connect binds it"
                .to_owned()
        }
        (None, None) => format!(
            "the service has session affinity: a {what} that is bound keeps its endpoint, which --from {from} shows. \
             This answer is for clients that are not bound"
        ),
    })
}

fn backend<'a>(tables: &'a Tables, row: &AffinityRow) -> Option<&'a BackendRow> {
    let [index, generation] =
        [row.backend, row.backend >> 32].map(|word| word & u64::from(u32::MAX));
    let backend = tables.backends.get(&u32::try_from(index).ok()?)?;
    (u64::from(backend.generation) == generation).then_some(backend)
}
