//! Finds ejections that started or ended between two reads of the backends. The kernel decides
//! them without the agent.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::SocketAddr,
};

use mesh_common::abi::BackendRow;
use tracing::{info, warn};

use crate::{
    api::types::{Ejection, clients},
    desired::Tables,
};

/// The ejections that the last read found.
#[derive(Default)]
pub(super) struct EjectionLog {
    /// Whether there was a read before. The first read logs nothing.
    has_read: bool,
    /// Ejected backends by their index.
    ejected: BTreeMap<u32, (Backend, Ejection)>,
}

/// A backend, by service, port and endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Backend {
    /// `namespace/name`
    service: String,
    /// `http/TCP`, or `80/TCP` for a port without a name.
    port: String,
    endpoint: SocketAddr,
}

/// A change of the ejection of a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EjectionEvent {
    /// `namespace/name`
    service: String,
    /// `http/TCP`, or `80/TCP` for a port without a name.
    port: String,
    /// The endpoint.
    endpoint: SocketAddr,
    /// What changed.
    transition: Transition,
}

/// See [`EjectionEvent`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transition {
    /// The backend was ejected, or ejected again.
    Ejected(Ejection),
    /// The ejection ended.
    Returned,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ejected(Ejection {
                for_seconds,
                times,
                by_clients,
                is_agreed,
            }) => {
                write!(f, "ejected for {for_seconds} s")?;
                if *times > 1 {
                    write!(f, ", {times} times in a row")?;
                }
                match is_agreed {
                    true => f.write_str(", for all clients: several agree that connects fail"),
                    false => write!(
                        f,
                        ", by {} for itself alone: connects failed",
                        clients(*by_clients)
                    ),
                }
            }
            Self::Returned => f.write_str("no longer ejected"),
        }
    }
}

impl EjectionEvent {
    /// Writes the event to the log.
    pub(super) fn log(&self) {
        let Self {
            service,
            port,
            endpoint,
            transition,
        } = self;
        match transition {
            Transition::Ejected(_) => {
                warn!(%service, %port, %endpoint, "endpoint: {transition}");
            }
            Transition::Returned => info!(%service, %port, %endpoint, "endpoint: {transition}"),
        }
    }
}

impl EjectionLog {
    /// Replaces the known ejections; returns what changed. Forgets a backend that was removed. The
    /// first call returns nothing, because its backends were ejected before this agent started.
    pub(super) fn update(
        &mut self,
        tables: &Tables,
        ejected: impl IntoIterator<Item = (u32, Ejection)>,
    ) -> Vec<EjectionEvent> {
        let mut ejecting = None;
        let mut now = BTreeMap::new();
        let mut events = Vec::new();
        for (index, ejection) in ejected {
            let Some(row) = tables.backends.get(&index) else {
                continue;
            };
            if !ejecting
                .get_or_insert_with(|| services_that_eject(tables))
                .contains(&row.service)
            {
                continue;
            }
            let Some(backend) = backend(tables, row) else {
                continue;
            };
            let before = self
                .ejected
                .get(&index)
                .filter(|(known, _)| *known == backend)
                .map(|(_, known)| *known);
            if before.is_none_or(|known| is_new(known, ejection)) {
                events.push(event(&backend, Transition::Ejected(ejection)));
            }
            now.insert(index, (backend, ejection));
        }
        let ended = self
            .ejected
            .iter()
            .filter(|(index, _)| !now.contains_key(index));
        let still_there = ended.filter(|(index, (known, _))| {
            tables
                .backends
                .get(index)
                .and_then(|row| backend(tables, row))
                .as_ref()
                == Some(known)
        });
        events.extend(still_there.map(|(_, (backend, _))| event(backend, Transition::Returned)));
        self.ejected = now;
        if std::mem::replace(&mut self.has_read, true) {
            events
        } else {
            Vec::new()
        }
    }
}

/// Returns whether another ejection in a row, or an agreement, followed the logged one.
const fn is_new(logged: Ejection, now: Ejection) -> bool {
    if logged.is_agreed == now.is_agreed {
        logged.times < now.times
    } else {
        now.is_agreed
    }
}

fn event(
    Backend {
        service,
        port,
        endpoint,
    }: &Backend,
    transition: Transition,
) -> EjectionEvent {
    EjectionEvent {
        service: service.clone(),
        port: port.clone(),
        endpoint: *endpoint,
        transition,
    }
}

fn backend(tables: &Tables, row: &BackendRow) -> Option<Backend> {
    let (service, port) = tables.names.get(&row.service)?.split_once(':')?;
    let (service, port) = (service.to_owned(), port.to_owned());
    Some(Backend {
        service,
        port,
        endpoint: SocketAddr::new(row.addr.into(), u16::from_be(row.port)),
    })
}

/// Returns the services with outlier detection. The kernel ignores ejections of others.
fn services_that_eject(tables: &Tables) -> HashSet<u32> {
    tables
        .services
        .values()
        .filter(|row| row.failures > 0)
        .map(|row| row.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::{World, compile, fixture},
        model::Outlier,
    };

    fn tables(outlier: Outlier) -> Tables {
        let mut cart = fixture::with(
            fixture::fixed("cart", "10.96.0.1"),
            &[("10.0.0.1:80", 1), ("10.0.0.2:80", 1)],
        );
        cart.traffic.outlier = outlier;
        let world = World {
            services: fixture::services([cart]),
            complete: true,
            ..World::default()
        };
        compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap()
    }

    fn lines(events: &[EjectionEvent]) -> Vec<String> {
        let line = |it: &EjectionEvent| {
            format!(
                "{} {} {} {}",
                it.service, it.port, it.endpoint, it.transition
            )
        };
        events.iter().map(line).collect()
    }

    #[test]
    fn ejection_and_its_end_are_logged_once() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = EjectionLog::default();
        let mut look = |ejected: Option<(u64, u32, bool)>| {
            let ejected = ejected.map(|(for_seconds, times, is_agreed)| {
                (
                    index,
                    Ejection {
                        for_seconds,
                        times,
                        by_clients: 1,
                        is_agreed,
                    },
                )
            });
            lines(&ejections.update(&tables, ejected))
        };
        let none = Vec::<String>::new();
        assert_eq!(look(None), none);
        let backend = "test/cart 80/TCP 10.0.0.1:80";
        let own = "by 1 client for itself alone: connects failed";
        assert_eq!(
            look(Some((10, 1, false))),
            [format!("{backend} ejected for 10 s, {own}")]
        );
        assert_eq!(look(Some((9, 1, false))), none);
        assert_eq!(
            look(Some((20, 2, false))),
            [format!(
                "{backend} ejected for 20 s, 2 times in a row, {own}"
            )]
        );
        let all = "for all clients: several agree that connects fail";
        assert_eq!(
            look(Some((10, 1, true))),
            [format!("{backend} ejected for 10 s, {all}")]
        );
        assert_eq!(look(Some((40, 3, false))), none, "the agreement has ended");
        assert_eq!(look(None), [format!("{backend} no longer ejected")]);
        assert_eq!(look(None), none);
    }

    #[test]
    fn ejection_of_a_removed_backend_has_no_end() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = EjectionLog::default();
        let ejection = Ejection {
            for_seconds: 10,
            times: 1,
            ..Ejection::default()
        };
        assert_eq!(ejections.update(&tables, []), []);
        assert_eq!(ejections.update(&tables, [(index, ejection)]).len(), 1);
        assert_eq!(
            ejections.update(&Tables::default(), [(index, ejection)]),
            []
        );
        assert_eq!(ejections.update(&tables, []), []);
    }

    #[test]
    fn ejection_before_the_start_is_not_logged_but_its_end_is() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = EjectionLog::default();
        assert_eq!(
            ejections.update(
                &tables,
                [(
                    index,
                    Ejection {
                        for_seconds: 0,
                        times: 2,
                        ..Ejection::default()
                    }
                )]
            ),
            []
        );
        let end = "test/cart 80/TCP 10.0.0.1:80 no longer ejected";
        assert_eq!(lines(&ejections.update(&tables, [])), [end]);
    }

    #[test]
    fn ejection_of_a_service_without_outlier_detection_is_not_logged() {
        let tables = tables(Outlier {
            consecutive_failures: 0,
            ..Outlier::default()
        });
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = EjectionLog::default();
        assert_eq!(ejections.update(&tables, []), []);
        let ejection = Ejection {
            for_seconds: 10,
            times: 1,
            ..Ejection::default()
        };
        assert_eq!(ejections.update(&tables, [(index, ejection)]), []);
    }
}
