//! `meshctl backend`

use serde::Serialize;

use super::{Exit, Failure, health, name::NameArg, render::table, session::Session, watch::Watch};
use crate::api::types::{Endpoint, EndpointHealth, Service, ServicePort};

/// Backends: the endpoints as the kernel uses them
#[derive(clap::Subcommand)]
#[command(after_long_help = "\
Examples:
  meshctl backend list                 all backends
  meshctl backend list shop/cart       those of one service")]
pub(super) enum Verb {
    /// List backends and their share of new connections
    ///
    /// SHARE is the weight of a backend in percent of the weights of all active backends of its port and address
    /// family; `-` means that it is sent no new connections now. CONNECTS counts connects answered with it. HEALTH
    /// says what health checks of this node found, and since when; it is only there where a service has some.
    #[command(after_long_help = "\
Examples:
  meshctl backend list                 all backends
  meshctl backend list shop/cart       those of one service
  meshctl backend list -n shop -w      those of one namespace, again every second
  meshctl backend list -o json | jq '.[] | select(.active | not)'
                                       backends that are left out")]
    List {
        /// NAME or NAMESPACE/NAME
        service: Option<NameArg>,
        #[command(flatten)]
        watch: Watch,
    },
}

pub(super) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, Failure> {
    let Verb::List { service, watch } = verb;
    let mut rounds = watch.rounds();
    while rounds.next().await {
        let services = session.services(service.as_ref()).await;
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
    #[serde(skip)]
    label: String,
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
        label: port.label(),
    }
}

/// Percent of new connections, rounded to two places; nothing for a backend that is sent none.
fn share(port: &ServicePort, endpoint: &Endpoint) -> Option<f64> {
    let rivals = port.endpoints.iter().filter(|rival| rival.active && rival.is_ipv6() == endpoint.is_ipv6());
    let total: u64 = rivals.map(|rival| u64::from(rival.weight)).sum();
    let takes_some = endpoint.active && endpoint.weight > 0;
    takes_some.then(|| (f64::from(endpoint.weight) * 10_000.0 / total as f64).round() / 100.0)
}

fn list(backends: &[Backend<'_>]) -> String {
    let mut header = vec!["NAMESPACE", "SERVICE", "PORT", "ENDPOINT", "WEIGHT", "SHARE", "CONDITION", "CONNECTS"];
    let checked = backends.iter().any(|backend| backend.health.is_some());
    header.extend(checked.then_some("HEALTH"));
    let health = |backend: &Backend<'_>| checked.then(|| health::cell(backend.health));
    table(&header, backends.iter().map(|backend| row(backend).into_iter().chain(health(backend)).collect()))
}

fn row(backend: &Backend<'_>) -> Vec<String> {
    vec![
        backend.namespace.to_owned(),
        backend.service.to_owned(),
        backend.label.clone(),
        backend.endpoint.clone(),
        backend.weight.to_string(),
        backend.share_percent.map_or("-".to_owned(), |share| format!("{share:.1}%")),
        backend.condition.to_owned(),
        backend.connects.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::fixture::{cart, checked_cart, dns},
        cli::render::json,
    };

    #[test]
    fn shares_are_of_active_backends_of_one_family() {
        insta::assert_snapshot!(list(&backends(&[dns(), cart()])), @"
        NAMESPACE   SERVICE   PORT             ENDPOINT           WEIGHT   SHARE    CONDITION     CONNECTS
        shop        cart      http:80/TCP      10.0.0.1:8080      1        33.3%    ready         60
        shop        cart      http:80/TCP      10.0.0.2:8080      2        66.7%    ready         117
        shop        cart      http:80/TCP      10.0.0.3:8080      1        -        not-ready     3
        shop        cart      http:80/TCP      [fd00::a:1]:8080   1        100.0%   ready         20
        shop        cart      admin:9000/TCP   10.0.0.4:9000      1        100.0%   terminating   0
        ");
    }

    #[test]
    fn health_is_shown_where_somebody_checks() {
        let cart = [checked_cart()];
        let backends = backends(&cart);
        insta::assert_snapshot!(list(&backends), @"
        NAMESPACE   SERVICE   PORT             ENDPOINT           WEIGHT   SHARE    CONDITION     CONNECTS   HEALTH
        shop        cart      http:80/TCP      10.0.0.1:8080      1        100.0%   ready         60         healthy
        shop        cart      http:80/TCP      10.0.0.2:8080      2        -        ready         117        unhealthy (connection refused, 12s)
        shop        cart      http:80/TCP      10.0.0.3:8080      1        -        not-ready     3          -
        shop        cart      http:80/TCP      [fd00::a:1]:8080   1        100.0%   ready         20         unknown
        shop        cart      admin:9000/TCP   10.0.0.4:9000      1        100.0%   terminating   0          unhealthy (HTTP status 503, wanted 200-399, all failing, kept, 75s)
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
            "health": null
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
            "health": null
          }
        ]
        "#);
    }
}
