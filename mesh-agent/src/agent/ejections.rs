//! Ejections and their ends, seen from one look at the backends to the next: the kernel decides
//! them by itself.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::SocketAddr,
};

use mesh_common::abi::BackendRow;

use crate::{
    api::types::{Ejection, clients},
    desired::Tables,
};

/// What is known since the last look.
#[derive(Default)]
pub(super) struct Ejections {
    /// Whether the kernel was looked at before: what it did until then is no news.
    has_looked: bool,
    /// Ejected backends by their index.
    ejected: BTreeMap<u32, (Backend, Ejection)>,
}

/// A backend by what it stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Backend {
    /// `namespace/name`
    service: String,
    /// `http/TCP`, or `80/TCP` where the port has no name.
    port: String,
    endpoint: SocketAddr,
}

/// What happened to a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    /// `namespace/name`
    pub(super) service: String,
    /// `http/TCP`, or `80/TCP` where the port has no name.
    pub(super) port: String,
    /// Its endpoint.
    pub(super) endpoint: SocketAddr,
    /// What.
    pub(super) what: What,
}

/// See [`Event`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// Its connects failed.
    Ejected(Ejection),
    /// A connect succeeded.
    Returned,
}

impl fmt::Display for What {
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

impl Ejections {
    /// Takes which backends are ejected now; returns what happened since the last look. A backend
    /// that left the configuration is forgotten, and the first look tells nothing: those were
    /// ejected before this agent started.
    pub(super) fn look(
        &mut self,
        tables: &Tables,
        ejected: impl IntoIterator<Item = (u32, Ejection)>,
    ) -> Vec<Event> {
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
            if before.is_none_or(|known| is_news(known, ejection)) {
                events.push(event(&backend, What::Ejected(ejection)));
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
        events.extend(still_there.map(|(_, (backend, _))| event(backend, What::Returned)));
        self.ejected = now;
        if std::mem::replace(&mut self.has_looked, true) {
            events
        } else {
            Vec::new()
        }
    }
}

/// Whether one more ejection in a row, or an agreement, has followed the one that was told.
const fn is_news(told: Ejection, now: Ejection) -> bool {
    if told.is_agreed == now.is_agreed {
        told.times < now.times
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
    what: What,
) -> Event {
    Event {
        service: service.clone(),
        port: port.clone(),
        endpoint: *endpoint,
        what,
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

/// The kernel ignores ejections from a time when the service had them.
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

    fn lines(events: &[Event]) -> Vec<String> {
        let line = |it: &Event| format!("{} {} {} {}", it.service, it.port, it.endpoint, it.what);
        events.iter().map(line).collect()
    }

    #[test]
    fn ejections_and_their_ends_are_told_once() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = Ejections::default();
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
            lines(&ejections.look(&tables, ejected))
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
    fn a_backend_that_left_has_no_end_of_its_ejection() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = Ejections::default();
        let ejection = Ejection {
            for_seconds: 10,
            times: 1,
            ..Ejection::default()
        };
        assert_eq!(ejections.look(&tables, []), []);
        assert_eq!(ejections.look(&tables, [(index, ejection)]).len(), 1);
        assert_eq!(ejections.look(&Tables::default(), [(index, ejection)]), []);
        assert_eq!(ejections.look(&tables, []), []);
    }

    #[test]
    fn ejections_before_the_start_are_no_news_but_their_end_is() {
        let tables = tables(Outlier::default());
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = Ejections::default();
        assert_eq!(
            ejections.look(
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
        assert_eq!(lines(&ejections.look(&tables, [])), [end]);
    }

    #[test]
    fn ejections_of_a_service_that_has_none_are_not_told() {
        let tables = tables(Outlier {
            consecutive_failures: 0,
            ..Outlier::default()
        });
        let index = *tables.backends.keys().next().unwrap();
        let mut ejections = Ejections::default();
        assert_eq!(ejections.look(&tables, []), []);
        let ejection = Ejection {
            for_seconds: 10,
            times: 1,
            ..Ejection::default()
        };
        assert_eq!(ejections.look(&tables, [(index, ejection)]), []);
    }
}
