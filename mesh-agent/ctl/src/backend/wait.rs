//! Waits until an endpoint has no connections.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Failure,
    api::{client, types::Service},
    duration,
    render::milliseconds,
    service_name::NameArg,
    session::Session,
};

/// Time between two requests.
const PAUSE: Duration = Duration::from_millis(250);

/// Time to wait without --deadline.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Parses a number with a unit.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .ok_or_else(|| format!("expected a number and a unit, like 30s or 5m, found `{text}`"))
}

/// Returns the connections of this node to an endpoint, over all ports of the service.
pub(super) fn connections(service: &Service, endpoint: SocketAddr) -> u64 {
    let endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
    endpoints
        .filter(|it| it.endpoint.parse() == Ok(endpoint))
        .map(|it| it.connections)
        .sum()
}

/// Returns whether the endpoint gets new connections, as it does during a gradual drain.
pub(super) fn takes(service: &Service, endpoint: SocketAddr) -> bool {
    let mut endpoints = service.ports.iter().flat_map(|port| &port.endpoints);
    endpoints.any(|it| it.endpoint.parse() == Ok(endpoint) && it.active)
}

/// Waits until the endpoint has no connections and gets none, or until the deadline; returns the
/// service then. The agent may restart meanwhile.
pub(super) async fn until_idle(
    session: &mut Session<'_>,
    name: &NameArg,
    mut service: Service,
    endpoint: SocketAddr,
    deadline: Duration,
) -> Result<Service, Failure> {
    let end = Instant::now() + deadline;
    loop {
        let left = connections(&service, endpoint);
        if (left == 0 && !takes(&service, endpoint)) || Instant::now() >= end {
            session.end_progress()?;
            return Ok(service);
        }
        session.progress(&format!(
            "{} {endpoint}: {left} connections left",
            service.name
        ))?;
        sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
        service = match session.service(name).await {
            Err(Failure::Agent(
                client::Error::NoAgent { .. }
                | client::Error::Stopped { .. }
                | client::Error::Broken { .. }
                | client::Error::NotLoaded { .. },
            )) => service,
            answer => answer?,
        };
    }
}

/// Returns a message about the connections left at the deadline; nothing when none is left and none
/// can come.
pub(super) fn left(service: &Service, endpoint: SocketAddr, deadline: Duration) -> Option<String> {
    let left = match (connections(service, endpoint), takes(service, endpoint)) {
        (0, false) => return None,
        (0, true) => {
            "no connection is left, but the endpoint still gets new ones until its `drain` ends"
                .to_owned()
        }
        (1, _) => "1 connection is left".to_owned(),
        (left, _) => format!("{left} connections are left"),
    };
    let waited = milliseconds(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    let Service {
        namespace, name, ..
    } = service;
    Some(format!(
        "after {waited} {left}; the drain goes on. Wait again with a longer --deadline, end what is connected, or take the \
         drain back with `meshctl backend undrain {namespace}/{name} {endpoint}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_need_a_unit() {
        assert_eq!(deadline("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(deadline("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "60", "-1s", "soon"] {
            assert!(deadline(text).is_err(), "{text}");
        }
    }
}
