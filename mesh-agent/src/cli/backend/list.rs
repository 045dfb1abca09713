//! `meshctl backend list`

use serde::Serialize;

use crate::{
    api::types::{Endpoint, EndpointHealth, Service, ServicePort},
    cli::{
        Exit, Failure, health,
        name::NameArg,
        render::{microseconds, number, sparse, weight},
        session::Session,
        watch::Watch,
    },
};

pub(super) async fn run(session: &mut Session<'_>, service: Option<&NameArg>, watch: &Watch) -> Result<Exit, Failure> {
    let mut rounds = watch.rounds();
    while rounds.next().await {
        let services = session.services(service).await;
        let Some(services) = session.patient(&rounds, services)? else { continue };
        session.show(&backends(&services), |backends| list(backends))?;
    }
    Ok(Exit::Ok)
}

/// One backend of one service port. Stable: fields are added, never renamed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Backend<'a> {
    namespace: &'a str,
    service: &'a str,
    /// Port name, or its number where it has none.
    port: &'a str,
    port_number: u16,
    protocol: &'a str,
    /// `address:port`
    endpoint: String,
    weight: u32,
    /// Absent while it is sent no new connections.
    share_percent: Option<f64>,
    condition: &'a str,
    active: bool,
    connects: u64,
    /// Absent where the service has no health check.
    health: Option<&'a EndpointHealth>,
    #[serde(flatten)]
    load: Load<'a>,
    #[serde(skip)]
    label: String,
    #[serde(skip)]
    shown_weight: String,
}

/// What the kernel knows of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Load<'a> {
    /// `active`, `draining`, `ejected 8s`, `unhealthy`, ...
    state: String,
    effective_weight: u32,
    connections: u64,
    connecting: u64,
    consecutive_failures: u32,
    ejections: u32,
    ejected_for_seconds: Option<u64>,
    handshake_microseconds: Option<u32>,
    duration_microseconds: Option<u32>,
    capacity: u32,
    draining: bool,
    locality: String,
    source: Option<&'a str>,
}

fn backends(services: &[Service]) -> Vec<Backend<'_>> {
    let ports = services.iter().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let endpoints =
        ports.flat_map(|(service, port)| port.endpoints.iter().map(move |endpoint| (service, port, endpoint)));
    endpoints.map(|(service, port, endpoint)| backend(service, port, endpoint)).collect()
}

fn backend<'a>(service: &'a Service, port: &'a ServicePort, endpoint: &'a Endpoint) -> Backend<'a> {
    Backend {
        namespace: &service.namespace,
        service: &service.name,
        port: &port.name,
        port_number: port.port,
        protocol: &port.protocol,
        endpoint: endpoint.socket_address(),
        weight: endpoint.weight,
        share_percent: share(port, endpoint),
        condition: &endpoint.condition,
        active: endpoint.active,
        connects: endpoint.connects,
        health: endpoint.health.as_ref(),
        load: load(endpoint),
        label: port.label(),
        shown_weight: weight(endpoint),
    }
}

fn load(endpoint: &Endpoint) -> Load<'_> {
    Load {
        state: endpoint.state(),
        effective_weight: endpoint.effective_weight,
        connections: endpoint.connections,
        connecting: endpoint.connecting,
        consecutive_failures: endpoint.consecutive_failures,
        ejections: endpoint.ejections,
        ejected_for_seconds: endpoint.ejected_for_seconds,
        handshake_microseconds: endpoint.handshake_microseconds,
        duration_microseconds: endpoint.duration_microseconds,
        capacity: endpoint.capacity,
        draining: endpoint.draining,
        locality: endpoint.locality.label(),
        source: endpoint.source.as_deref(),
    }
}

/// Percent of new connections, rounded to two places; nothing for a backend that is sent none.
fn share(port: &ServicePort, endpoint: &Endpoint) -> Option<f64> {
    let rivals = port.endpoints.iter().filter(|rival| rival.active && rival.is_ipv6() == endpoint.is_ipv6());
    let total: u64 = rivals.map(|rival| u64::from(drawn(rival))).sum();
    endpoint.active.then(|| (f64::from(drawn(endpoint)) * 10_000.0 / total as f64).round() / 100.0)
}

/// Its weight in effect, for want of something more exact at least one.
fn drawn(endpoint: &Endpoint) -> u32 {
    endpoint.effective_weight.max(1)
}

const HEADER: [&str; 13] = [
    "SERVICE",
    "PORT",
    "ENDPOINT",
    "WEIGHT",
    "STATE",
    "LIVE",
    "CONNECTING",
    "FAILURES",
    "CONNECTS",
    "HANDSHAKE",
    "LOCALITY",
    "SOURCE",
    "HEALTH",
];

fn list(backends: &[Backend<'_>]) -> String {
    sparse(&HEADER, backends.iter().map(row))
}

fn row(backend: &Backend<'_>) -> Vec<String> {
    let Backend { namespace, service, endpoint, connects, load, label, shown_weight, .. } = backend;
    let text = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    vec![
        format!("{namespace}/{service}"),
        label.clone(),
        endpoint.clone(),
        shown_weight.clone(),
        load.state.clone(),
        load.connections.to_string(),
        number(load.connecting),
        number(load.consecutive_failures.into()),
        connects.to_string(),
        microseconds(load.handshake_microseconds),
        text(&load.locality),
        text(load.source.unwrap_or_default()),
        health::cell(backend.health),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::fixture::{busy_cart, cart, checked_cart, dns},
        cli::render::json,
    };

    #[test]
    fn columns_without_a_value_are_left_out() {
        insta::assert_snapshot!(list(&backends(&[dns(), cart()])), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 LIVE   CONNECTS
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                0      60
        shop/cart   http:80/TCP      10.0.0.2:8080      2        active                0      117
        shop/cart   http:80/TCP      10.0.0.3:8080      1        down, not-ready       0      3
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        active                0      20
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0      0
        ");
    }

    #[test]
    fn load_and_state_are_shown() {
        insta::assert_snapshot!(list(&backends(&[busy_cart()])), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 LIVE   CONNECTING   FAILURES   CONNECTS   HANDSHAKE   LOCALITY
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                40     2            -          60         1.2ms       -
        shop/cart   http:80/TCP      10.0.0.2:8080      1 of 2   ejected 8s            0      -            -          117        -           -
        shop/cart   http:80/TCP      10.0.0.3:8080      1        down, not-ready       0      -            2          3          -           -
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        draining              12     -            -          20         -           b
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0      -            -          0          -           -
        ");
    }

    #[test]
    fn health_is_shown_where_somebody_checks() {
        let cart = [checked_cart()];
        let backends = backends(&cart);
        insta::assert_snapshot!(list(&backends), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 LIVE   CONNECTS   HEALTH
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                0      60         healthy
        shop/cart   http:80/TCP      10.0.0.2:8080      2        unhealthy             0      117        unhealthy (connection refused, 12s)
        shop/cart   http:80/TCP      10.0.0.3:8080      1        down, not-ready       0      3          -
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        active                0      20         unknown
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0      0          unhealthy (HTTP status 503, wanted 200-399, all failing, kept, 75s)
        ");
        insta::assert_snapshot!(json(&backends[1].health), @r#"
        {
          "state": "unhealthy",
          "reason": "connection refused",
          "sinceSeconds": 12,
          "checkedSecondsAgo": 3,
          "kept": false
        }
        "#);
    }

    #[test]
    fn shares_are_those_of_the_weights_in_effect() {
        let mut cart = cart();
        cart.ports[0].endpoints[0].effective_weight = 8;
        let shares: Vec<_> = backends(&[cart]).iter().map(|backend| backend.share_percent).collect();
        assert_eq!(shares[..3], [Some(80.0), Some(20.0), None]);
    }

    #[test]
    fn json_names_every_field() {
        let cart = cart();
        let backends = backends(std::slice::from_ref(&cart));
        insta::assert_snapshot!(json(&&backends[1..3]), @r#"
        [
          {
            "namespace": "shop",
            "service": "cart",
            "port": "http",
            "portNumber": 80,
            "protocol": "TCP",
            "endpoint": "10.0.0.2:8080",
            "weight": 2,
            "sharePercent": 66.67,
            "condition": "ready",
            "active": true,
            "connects": 117,
            "health": null,
            "state": "active",
            "effectiveWeight": 2,
            "connections": 0,
            "connecting": 0,
            "consecutiveFailures": 0,
            "ejections": 0,
            "ejectedForSeconds": null,
            "handshakeMicroseconds": null,
            "durationMicroseconds": null,
            "capacity": 1,
            "draining": false,
            "locality": "",
            "source": null
          },
          {
            "namespace": "shop",
            "service": "cart",
            "port": "http",
            "portNumber": 80,
            "protocol": "TCP",
            "endpoint": "10.0.0.3:8080",
            "weight": 1,
            "sharePercent": null,
            "condition": "not-ready",
            "active": false,
            "connects": 3,
            "health": null,
            "state": "down, not-ready",
            "effectiveWeight": 1,
            "connections": 0,
            "connecting": 0,
            "consecutiveFailures": 0,
            "ejections": 0,
            "ejectedForSeconds": null,
            "handshakeMicroseconds": null,
            "durationMicroseconds": null,
            "capacity": 1,
            "draining": false,
            "locality": "",
            "source": null
          }
        ]
        "#);
    }
}
