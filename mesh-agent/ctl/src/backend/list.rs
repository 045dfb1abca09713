//! `meshctl backend list`

use serde::Serialize;

use crate::{
    Exit, Failure,
    api::types::{Endpoint, EndpointHealth, Locality, Service, ServicePort},
    health_cell,
    layout::{Column, Layout},
    render::{microseconds, number, weight},
    service_name::NameArg,
    session::Session,
    watch::Watch,
};

pub(super) async fn run(
    session: &mut Session<'_>,
    service: Option<&NameArg>,
    watch: &Watch,
) -> Result<Exit, Failure> {
    let mut rounds = session.rounds(watch);
    let mut exit = Exit::Ok;
    while rounds.next().await {
        let services = session.services(service).await;
        let Some(services) = session.patient(&rounds, services)? else {
            continue;
        };
        exit = session
            .show_services(&services, &backends(&services), |backends, layout| {
                list(backends, layout)
            })
            .await?;
    }
    Ok(exit)
}

/// One backend of one service port. Stable: fields are added, never renamed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Backend<'a> {
    namespace: &'a str,
    service: &'a str,
    port: u16,
    /// Port name; absent when it has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    port_name: &'a str,
    protocol: &'a str,
    /// `address:port`
    endpoint: &'a str,
    weight: u32,
    /// Absent while it gets no new connections.
    share_percent: Option<f64>,
    condition: &'a str,
    active: bool,
    connects: u64,
    /// Absent when the service has no health check.
    health: Option<&'a EndpointHealth>,
    #[serde(flatten)]
    load: Load<'a>,
    #[serde(skip)]
    label: String,
    #[serde(skip)]
    shown_weight: String,
}

/// Its state in the kernel.
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
    locality: &'a Locality,
    source: Option<&'a str>,
}

fn backends(services: &[Service]) -> Vec<Backend<'_>> {
    let ports = services
        .iter()
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let endpoints = ports.flat_map(|(service, port)| {
        port.endpoints
            .iter()
            .map(move |endpoint| (service, port, endpoint))
    });
    endpoints
        .map(|(service, port, endpoint)| backend(service, port, endpoint))
        .collect()
}

fn backend<'a>(service: &'a Service, port: &'a ServicePort, endpoint: &'a Endpoint) -> Backend<'a> {
    Backend {
        namespace: &service.namespace,
        service: &service.name,
        port: port.port,
        port_name: &port.port_name,
        protocol: &port.protocol,
        endpoint: &endpoint.endpoint,
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
        locality: &endpoint.locality,
        source: endpoint.source.as_deref(),
    }
}

/// Returns the percent of new connections with two decimal places; nothing for an inactive backend.
fn share(port: &ServicePort, endpoint: &Endpoint) -> Option<f64> {
    let peers = port
        .endpoints
        .iter()
        .filter(|peer| peer.active && peer.is_ipv6() == endpoint.is_ipv6());
    let total: u64 = peers.map(|peer| u64::from(drawing_weight(peer))).sum();
    endpoint
        .active
        .then(|| (f64::from(drawing_weight(endpoint)) * 10_000.0 / total as f64).round() / 100.0)
}

/// Returns its weight in effect, at least 1.
fn drawing_weight(endpoint: &Endpoint) -> u32 {
    endpoint.effective_weight.max(1)
}

const COLUMNS: [Column; 13] = [
    Column::name("SERVICE"),
    Column::port("PORT"),
    Column::address("ENDPOINT"),
    Column::new("WEIGHT").extra(2),
    Column::new("STATE"),
    Column::new("CONNECTIONS"),
    Column::new("CONNECTING").extra(7),
    Column::new("FAILURES").extra(4),
    Column::new("CONNECTS").extra(1),
    Column::new("HANDSHAKE").extra(8),
    Column::name("LOCALITY").extra(5),
    Column::name("SOURCE").extra(6),
    Column::name("HEALTH").extra(3),
];

fn list(backends: &[Backend<'_>], layout: Layout) -> String {
    layout.sparse(&COLUMNS, backends.iter().map(row))
}

fn row(backend: &Backend<'_>) -> Vec<String> {
    let Backend {
        namespace,
        service,
        endpoint,
        connects,
        load,
        label,
        shown_weight,
        ..
    } = backend;
    let text = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    vec![
        format!("{namespace}/{service}"),
        label.clone(),
        (*endpoint).to_owned(),
        shown_weight.clone(),
        load.state.clone(),
        load.connections.to_string(),
        number(load.connecting),
        number(load.consecutive_failures.into()),
        connects.to_string(),
        microseconds(load.handshake_microseconds),
        text(&load.locality.label()),
        text(load.source.unwrap_or_default()),
        health_cell::short(backend.health),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::fixture::{busy_cart, cart, checked_cart, dns},
        render::json,
    };

    #[test]
    fn columns_without_a_value_are_left_out() {
        insta::assert_snapshot!(list(&backends(&[dns(), cart()]), Layout::Whole), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 CONNECTIONS   CONNECTS
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                0             60
        shop/cart   http:80/TCP      10.0.0.2:8080      2        active                0             117
        shop/cart   http:80/TCP      10.0.0.3:8080      1        notReady              0             3
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        active                0             20
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0             0
        ");
    }

    #[test]
    fn load_and_state_are_shown() {
        insta::assert_snapshot!(list(&backends(&[busy_cart()]), Layout::Whole), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 CONNECTIONS   CONNECTING   FAILURES   CONNECTS   HANDSHAKE   LOCALITY
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                40            2            -          60         1.2ms       -
        shop/cart   http:80/TCP      10.0.0.2:8080      1 of 2   ejected 8s            0             -            -          117        -           -
        shop/cart   http:80/TCP      10.0.0.3:8080      1        notReady              0             -            2          3          -           -
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        draining              12            -            -          20         -           b
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0             -            -          0          -           -
        ");
    }

    #[test]
    fn health_is_shown_where_there_are_checks() {
        let cart = [checked_cart()];
        let backends = backends(&cart);
        insta::assert_snapshot!(list(&backends, Layout::Whole), @"
        SERVICE     PORT             ENDPOINT           WEIGHT   STATE                 CONNECTIONS   CONNECTS   HEALTH
        shop/cart   http:80/TCP      10.0.0.1:8080      1        active                0             60         healthy
        shop/cart   http:80/TCP      10.0.0.2:8080      2        unhealthy             0             117        unhealthy (connection refused, 12s)
        shop/cart   http:80/TCP      10.0.0.3:8080      1        notReady              0             3          -
        shop/cart   http:80/TCP      [fd00::a:1]:8080   1        active                0             20         unknown
        shop/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0             0          unhealthy (HTTP status 503, wanted 200-399, kept: all fail, 75s)
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
    fn shares_follow_the_weights_in_effect() {
        let mut cart = cart();
        cart.ports[0].endpoints[0].effective_weight = 8;
        let shares: Vec<_> = backends(&[cart])
            .iter()
            .map(|backend| backend.share_percent)
            .collect();
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
            "port": 80,
            "portName": "http",
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
            "locality": {},
            "source": null
          },
          {
            "namespace": "shop",
            "service": "cart",
            "port": 80,
            "portName": "http",
            "protocol": "TCP",
            "endpoint": "10.0.0.3:8080",
            "weight": 1,
            "sharePercent": null,
            "condition": "notReady",
            "active": false,
            "connects": 3,
            "health": null,
            "state": "notReady",
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
            "locality": {},
            "source": null
          }
        ]
        "#);
    }
}
