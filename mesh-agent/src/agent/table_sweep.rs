//! Cleans up the tables that sockets fill: releases what sockets hold that ended without a hook,
//! corrects counts that differ from the rows, and removes expired affinity.
//!
//! A sweep reads all rows, so the interval is long. It is one second while a client has many rows,
//! so that rows are freed soon after a burst, and shorter after programs were attached.

mod pace;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mesh_common::{
    abi::{AffinityKey, AffinityRow, ShareKey, SocketRow, protocol, socket_state},
    occupancy, quota,
};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::pace::{Findings, Pace};
use super::{
    clock::now,
    context::{Context, Life},
    event_loop::Hooks,
    problem_log::ProblemLog,
};
use crate::{
    config::Settings,
    dataplane::{Counts, Error, clients, expired, sockets::Sockets},
    desired::{Capacity, Tables},
    namespaces::Namespaces,
    stale::{CountDrift, CountSamples, MissingSockets, ScanResult},
};

/// Time between the first and the second read of the counts, for connects that were decided and
/// have not sent their SYN.
const GRACE: Duration = Duration::from_millis(20);
/// Sweeps until `stop`. Starts over when the programs are attached: they may have rows of an earlier
/// agent.
pub(super) async fn run(context: Context, mut hooks: watch::Receiver<Hooks>, sockets: Sockets) {
    let Context {
        settings,
        namespaces,
        snapshots,
        life: Life { stop, .. },
        ..
    } = context;
    let sockets = Arc::new(sockets);
    let mut sweep = Sweep::new(&settings, namespaces);
    let mut pace = Pace::default();
    loop {
        let tables = Arc::clone(&snapshots.borrow().tables);
        let (start, there, stopping) = (Instant::now(), Arc::clone(&sockets), stop.clone());
        let Ok(swept) = spawn_blocking(move || sweep.pass(&there, &tables, &stopping)).await else {
            return;
        };
        sweep = swept;
        let pause = pace.pause(sweep.findings(), start.elapsed(), settings.resync_interval);
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = hooks.changed() => pace = Pace::default(),
            () = sleep(pause) => {}
        }
    }
}

/// What one sweep remembers for the next.
struct Sweep {
    capacity: Capacity,
    namespaces: Arc<Namespaces>,
    cgroup: PathBuf,
    missing: MissingSockets,
    recount: CountDrift,
    /// Whether the table is so full that the next sweep must follow soon.
    is_pressed: bool,
    unsearched: ProblemLog,
}

impl Sweep {
    fn new(settings: &Settings, namespaces: Arc<Namespaces>) -> Self {
        Self {
            capacity: settings.capacity,
            namespaces,
            cgroup: settings.cgroup.clone(),
            missing: MissingSockets::default(),
            recount: CountDrift::default(),
            is_pressed: false,
            unsearched: ProblemLog::default(),
        }
    }

    fn findings(&self) -> Findings {
        Findings {
            is_pressed: self.is_pressed,
            misses_sockets: self.missing.has_some(),
            has_suspects: self.missing.has_suspects(),
        }
    }

    fn pass(mut self, sockets: &Sockets, tables: &Tables, stop: &CancellationToken) -> Self {
        if let Err(error) = self.try_pass(sockets, tables, stop) {
            warn!("cannot sweep the rows of sockets: {error}");
        }
        self
    }

    fn try_pass(
        &mut self,
        sockets: &Sockets,
        tables: &Tables,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let ends = |last: Option<&u32>| last.map_or(0, |&last| last as usize + 1);
        let (backends, services) = (
            ends(tables.backends.keys().next_back()),
            ends(tables.names.keys().next_back()),
        );
        let counts = || sockets.counts(backends, services);
        let first = counts()?;
        thread::sleep(GRACE);
        let before = counts()?;
        let (rows, bindings) = (sockets.rows()?, sockets.affinity()?);
        let after = counts()?;
        let samples = CountSamples {
            first: &first,
            before: &before,
            after: &after,
            rows: &rows,
            bindings: &bindings,
        };
        let wrong = self.recount.take(&samples, tcp(tables));
        if !wrong.is_empty() {
            info!(counts = wrong.len(), "corrected counts");
        }
        self.is_pressed = is_pressed(&rows, self.capacity);
        let clients = clients::clients(&self.cgroup).ok();
        drop_shares(sockets, &after, &shared(tables), clients.as_ref())?;
        let seen = self.scan(&rows, clients, stop);
        self.unsearched.log(seen.unsearched.iter().cloned());
        let gone = self.missing.take(&rows, &seen);
        if !gone.is_empty() {
            info!(
                sockets = rows.len(),
                gone = gone.len(),
                "settled sockets that ended without a hook"
            );
        }
        wrong
            .into_iter()
            .chain(gone)
            .chain(expired(&after, now()))
            .try_for_each(|request| sockets.settle(request))?;
        unbind(sockets, tables, bindings)
    }

    /// Looks for the sockets of rows. UDP rows are always checked, because a connect that the kernel
    /// refused leaves one; so are rows of removed clients. Other sockets end through a hook, so their
    /// rows are checked only while the table is full, and then until they are removed.
    fn scan(
        &self,
        rows: &[(u64, SocketRow)],
        clients: Option<HashSet<u32>>,
        stop: &CancellationToken,
    ) -> ScanResult {
        let is_alive = |row: &SocketRow| {
            clients
                .as_ref()
                .is_none_or(|clients| clients.contains(&row.client))
        };
        let is_wanted = |row: &SocketRow| self.is_pressed || is_doubtful(row) || !is_alive(row);
        let wanted: HashSet<u64> = rows
            .iter()
            .filter(|(_, row)| is_wanted(row))
            .map(|(cookie, _)| *cookie)
            .collect();
        let mut seen = ScanResult::default();
        if !wanted.is_empty() {
            seen = self.namespaces.scan(&wanted, stop);
        }
        seen.leave_out(
            rows.iter()
                .filter(|(_, row)| !is_wanted(row))
                .map(|(cookie, _)| *cookie),
        );
        seen.set_clients(clients);
        seen
    }
}

/// Returns whether the socket of a row may end, or seems to have ended, without a hook.
const fn is_doubtful(row: &SocketRow) -> bool {
    row.started == 0 || row.state & (socket_state::SUSPECTED | socket_state::SETTLED) != 0
}

/// Returns a test for TCP services, whose counts come from rows of SOCKETS alone.
fn tcp(tables: &Tables) -> impl Fn(u32) -> bool + use<> {
    let found = tables
        .services
        .values()
        .filter(|row| row.key.protocol == protocol::TCP)
        .map(|row| row.id);
    let ids: HashSet<u32> = found.collect();
    move |id| ids.contains(&id)
}

/// Returns the services that limit the share of each client.
fn shared(tables: &Tables) -> HashSet<u32> {
    tables
        .services
        .values()
        .filter(|row| row.max_client_connections != 0)
        .map(|row| row.id)
        .collect()
}

/// Removes empty shares that no connect will use: the client is gone, or its service has no limit
/// for each client.
fn drop_shares(
    sockets: &Sockets,
    counts: &Counts,
    shared: &HashSet<u32>,
    clients: Option<&HashSet<u32>>,
) -> Result<(), Error> {
    let epoch = occupancy::epoch(u64::try_from(now().as_nanos()).unwrap_or(u64::MAX));
    let is_gone = |of: &ShareKey| {
        !shared.contains(&of.service)
            || clients.is_some_and(|clients| !clients.contains(&of.client))
    };
    let is_empty = |word: u64| occupancy::live(word) + occupancy::reserved(word, epoch) == 0;
    let mut gone = counts
        .shares
        .iter()
        .filter(|(of, word)| is_gone(of) && is_empty(**word));
    gone.try_for_each(|(of, _)| sockets.drop_share(of))
}

/// Returns whether the table, or the quota of a client, is half full.
fn is_pressed(rows: &[(u64, SocketRow)], capacity: Capacity) -> bool {
    let mut clients: HashMap<u32, u32> = HashMap::new();
    for (_, row) in rows {
        *clients.entry(quota::place(row.client)).or_default() += 1;
    }
    let most = clients.into_values().max().unwrap_or_default();
    rows.len() > capacity.sockets as usize / 2 || most > capacity.sockets_per_client / 2
}

/// Removes affinity rows that have expired.
fn unbind(
    sockets: &Sockets,
    tables: &Tables,
    bindings: Vec<(AffinityKey, AffinityRow)>,
) -> Result<(), Error> {
    let mut seconds: BTreeMap<u32, u32> = BTreeMap::new();
    for row in tables.services.values() {
        let longest = seconds.entry(row.id).or_default();
        *longest = row.affinity_seconds.max(*longest);
    }
    let now = now();
    for (key, row) in bindings {
        if is_over(&key, &row, &seconds, now) {
            sockets.unbind(&key, &row)?;
        }
    }
    Ok(())
}

fn is_over(
    key: &AffinityKey,
    row: &AffinityRow,
    seconds: &BTreeMap<u32, u32>,
    now: Duration,
) -> bool {
    let longest = seconds.get(&key.service).copied().unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(row.used_at)) > Duration::from_secs(longest.into())
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    fn rows(clients: &[u32]) -> Vec<(u64, SocketRow)> {
        (0..)
            .zip(clients.iter().map(|&client| SocketRow {
                client,
                ..SocketRow::zeroed()
            }))
            .collect()
    }

    #[test]
    fn half_full_table_or_client_quota_shortens_the_interval() {
        let capacity = Capacity {
            sockets: 8,
            sockets_per_client: 4,
            ..Capacity::default()
        };
        assert!(!is_pressed(&rows(&[1, 1, 2, 2]), capacity));
        assert!(is_pressed(&rows(&[1, 1, 1]), capacity));
        assert!(is_pressed(&rows(&[1, 2, 3, 4, 5]), capacity));
    }

    #[test]
    fn settled_row_is_scanned_until_it_is_removed() {
        let row = |started, state| SocketRow {
            started,
            state,
            ..SocketRow::zeroed()
        };
        let states = [
            0,
            socket_state::HELD,
            socket_state::SUSPECTED,
            socket_state::SETTLED,
        ];
        assert_eq!(
            states.map(|state| is_doubtful(&row(5, state))),
            [false, false, true, true]
        );
        assert!(is_doubtful(&row(0, socket_state::HELD)), "a UDP socket");
    }

    #[test]
    fn client_is_unbound_after_the_timeout_or_with_its_service() {
        let key = |service| AffinityKey {
            client: 1,
            service,
            variant: 0,
        };
        let row = AffinityRow {
            used_at: 100_000_000_000,
            ..AffinityRow::zeroed()
        };
        let seconds = [(1, 10)].into();
        let is_over =
            |service, now| is_over(&key(service), &row, &seconds, Duration::from_secs(now));
        assert_eq!(
            [
                is_over(1, 110),
                is_over(1, 111),
                is_over(2, 101),
                is_over(1, 99)
            ],
            [false, true, true, false]
        );
    }
}
