//! `meshctl stats`

use std::{collections::HashMap, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    Exit, Failure,
    layout::{Column, Layout},
    render::number,
    service_name::NameArg,
    session::Session,
    watch::Watch,
};
use crate::api::types::{Service, ServiceCounters, ServicePort};

/// Show the kernel's counters of each service port
///
/// CONNECTS got a backend; REFUSED did not, because no backend was usable or a limit was reached.
/// CONNECTIONS are open now. CONN/S is the rate since the previous output, so it needs -w. Of the
/// connects, FAILURES were refused by the backend or not answered in time, OVERFLOWS went to
/// another backend because the first choice was full, FAILOVERS went to a farther tier, TRIALS
/// tried an ejected backend, and PANICS went to an ejected backend because too few others were
/// usable. For UNRECORDED connects, getpeername() shows the backend instead of the service.
/// EJECTIONS counts ejections of backends. Columns without a value are left out. All counters
/// except CONNECTIONS only grow, also over restarts of the agent.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl stats                        totals of all services
  meshctl stats shop/cart -w           one service, every second
  meshctl stats -n shop -w 10s         a namespace, every ten seconds
  meshctl stats -o json | jq '.[] | select(.refusedNoBackend > 0)'
                                       services that refused connects")]
pub(super) struct Args {
    /// NAME or NAMESPACE/NAME
    service: Option<NameArg>,
    #[command(flatten)]
    watch: Watch,
}

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    let mut rounds = session.rounds(&args.watch);
    let mut before: Option<Reading> = None;
    let mut exit = Exit::Ok;
    while rounds.next().await {
        let services = session.services(args.service.as_ref()).await;
        let Some(services) = session.patient(&rounds, services)? else {
            continue;
        };
        let now = Reading::new(&services, Instant::now());
        let stats = stats(&services, before.as_ref(), &now);
        exit = session
            .show_services(&services, &stats, |stats, layout| list(stats, layout))
            .await?;
        before = Some(now);
    }
    Ok(exit)
}

/// The connects of every service port at one time.
struct Reading {
    connects: HashMap<Key, u64>,
    at: Instant,
}

/// Namespace, service and port.
type Key = (String, String, String);

impl Reading {
    fn new(services: &[Service], at: Instant) -> Self {
        let ports = services.iter().flat_map(|service| {
            service
                .ports
                .iter()
                .map(|port| (key(service, port), port.counters.connects))
        });
        Self {
            connects: ports.collect(),
            at,
        }
    }

    /// Returns connects per second between two readings; nothing for a new port, or one whose
    /// counters were reset.
    fn rate_since(&self, before: &Self, key: &Key) -> Option<f64> {
        let more = self
            .connects
            .get(key)?
            .checked_sub(*before.connects.get(key)?)?;
        let elapsed = self.at.saturating_duration_since(before.at);
        (elapsed > Duration::ZERO)
            .then(|| (more as f64 * 10.0 / elapsed.as_secs_f64()).round() / 10.0)
    }
}

fn key(service: &Service, port: &ServicePort) -> Key {
    (
        service.namespace.clone(),
        service.name.clone(),
        port.label(),
    )
}

/// Counters of one service port. Stable: fields are added, never renamed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    namespace: &'a str,
    service: &'a str,
    port: u16,
    /// Port name; absent when it has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    port_name: &'a str,
    protocol: &'a str,
    #[serde(flatten)]
    counters: ServiceCounters,
    /// Open now.
    connections: u64,
    /// Absent on the first reading.
    connects_per_second: Option<f64>,
    #[serde(skip)]
    label: String,
}

fn stats<'a>(services: &'a [Service], before: Option<&Reading>, now: &Reading) -> Vec<Stats<'a>> {
    let ports = services
        .iter()
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let stats = ports.map(|(service, port)| Stats {
        namespace: &service.namespace,
        service: &service.name,
        port: port.port,
        port_name: &port.port_name,
        protocol: &port.protocol,
        counters: port.counters,
        connections: port.connections,
        connects_per_second: before.and_then(|before| now.rate_since(before, &key(service, port))),
        label: port.label(),
    });
    stats.collect()
}

const COLUMNS: [Column; 14] = [
    Column::name("NAMESPACE"),
    Column::name("SERVICE"),
    Column::name("PORT"),
    Column::new("CONNECTIONS"),
    Column::new("CONNECTS"),
    Column::new("CONN/S"),
    Column::new("REFUSED"),
    Column::new("FAILURES").extra(1),
    Column::new("EJECTIONS").extra(2),
    Column::new("TRIALS").extra(6),
    Column::new("OVERFLOWS").extra(5),
    Column::new("FAILOVERS").extra(4),
    Column::new("PANICS").extra(3),
    Column::new("UNRECORDED").extra(7),
];

fn list(stats: &[Stats<'_>], layout: Layout) -> String {
    layout.sparse(&COLUMNS, stats.iter().map(row))
}

fn row(stats: &Stats<'_>) -> Vec<String> {
    let counters = &stats.counters;
    let ServiceCounters {
        failures,
        ejections,
        trials,
        overflows,
        failovers,
        panics,
        unrecorded,
        ..
    } = *counters;
    let rest = [
        failures, ejections, trials, overflows, failovers, panics, unrecorded,
    ];
    let first = [
        stats.namespace.to_owned(),
        stats.service.to_owned(),
        stats.label.clone(),
        stats.connections.to_string(),
        counters.connects.to_string(),
        stats
            .connects_per_second
            .map_or("-".to_owned(), |rate| format!("{rate:.1}")),
        counters.refused().to_string(),
    ];
    first.into_iter().chain(rest.map(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::fixture::{busy_cart, cart, dns},
        render::{json, yaml},
    };

    #[test]
    fn first_reading_has_totals_only() {
        let services = [dns(), cart()];
        let now = Reading::new(&services, Instant::now());
        insta::assert_snapshot!(list(&stats(&services, None, &now), Layout::Whole), @"
        NAMESPACE     SERVICE   PORT             CONNECTIONS   CONNECTS   REFUSED   UNRECORDED
        kube-system   dns       53/UDP           0             12         0         -
        shop          cart      http:80/TCP      0             200        5         2
        shop          cart      admin:9000/TCP   0             0          0         -
        ");
    }

    #[test]
    fn failure_counters_have_columns() {
        let services = [busy_cart()];
        let now = Reading::new(&services, Instant::now());
        insta::assert_snapshot!(list(&stats(&services, None, &now), Layout::Whole), @"
        NAMESPACE   SERVICE   PORT             CONNECTIONS   CONNECTS   REFUSED   FAILURES   EJECTIONS   UNRECORDED
        shop        cart      http:80/TCP      52            200        5         7          1           2
        shop        cart      admin:9000/TCP   0             0          0         -          -           -
        ");
    }

    #[test]
    fn later_readings_have_rates_for_ports_in_both() {
        let start = Instant::now();
        let mut earlier = [cart()];
        earlier[0].ports[0].counters.connects -= 25;
        earlier[0].ports[1].counters.connects += 5;
        let before = Reading::new(&earlier, start);
        let services = [dns(), cart()];
        let now = Reading::new(&services, start + Duration::from_secs(2));
        insta::assert_snapshot!(list(&stats(&services, Some(&before), &now), Layout::Whole), @"
        NAMESPACE     SERVICE   PORT             CONNECTIONS   CONNECTS   CONN/S   REFUSED   UNRECORDED
        kube-system   dns       53/UDP           0             12         -        0         -
        shop          cart      http:80/TCP      0             200        12.5     5         2
        shop          cart      admin:9000/TCP   0             0          -        0         -
        ");
    }

    #[test]
    fn scripts_see_every_counter() {
        let services = [cart()];
        let now = Reading::new(&services, Instant::now());
        let stats = stats(&services, None, &now);
        insta::assert_snapshot!(json(&&stats[..1]), @r#"
        [
          {
            "namespace": "shop",
            "service": "cart",
            "port": 80,
            "portName": "http",
            "protocol": "TCP",
            "connects": 200,
            "refusedNoBackend": 4,
            "refusedBroken": 1,
            "unrecorded": 2,
            "refusedLimit": 0,
            "failures": 0,
            "ejections": 0,
            "trials": 0,
            "overflows": 0,
            "failovers": 0,
            "panics": 0,
            "refusedShare": 0,
            "connections": 0,
            "connectsPerSecond": null
          }
        ]
        "#);
        insta::assert_snapshot!(yaml(&&stats[..1]).unwrap(), @"
        - namespace: shop
          service: cart
          port: 80
          portName: http
          protocol: TCP
          connects: 200
          refusedNoBackend: 4
          refusedBroken: 1
          unrecorded: 2
          refusedLimit: 0
          failures: 0
          ejections: 0
          trials: 0
          overflows: 0
          failovers: 0
          panics: 0
          refusedShare: 0
          connections: 0
          connectsPerSecond: null
        ");
    }
}
