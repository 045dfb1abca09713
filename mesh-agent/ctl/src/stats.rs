//! `meshctl stats`

use std::{collections::HashMap, time::Duration};

use mesh_common::counter::Counter;
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
                .map(|port| (key(service, port), port.counters[Counter::Connects]))
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

const COLUMNS: [Column; 7] = [
    Column::name("NAMESPACE"),
    Column::name("SERVICE"),
    Column::name("PORT"),
    Column::new("CONNECTIONS"),
    Column::new("CONNECTS"),
    Column::new("CONN/S"),
    Column::new("REFUSED"),
];

/// Counters whose columns stay longest when the table is too wide, the most important first.
const IMPORTANT: [Counter; 6] = [
    Counter::Failures,
    Counter::Ejections,
    Counter::Panics,
    Counter::Failovers,
    Counter::Overflows,
    Counter::Trials,
];

fn list(stats: &[Stats<'_>], layout: Layout) -> String {
    let details = details();
    let titles: Vec<String> = details
        .iter()
        .map(|counter| counter.name().to_uppercase())
        .collect();
    let more = titles
        .iter()
        .zip(&details)
        .map(|(title, &counter)| Column::new(title).extra(rank(counter)));
    let columns: Vec<Column<'_>> = COLUMNS.into_iter().chain(more).collect();
    layout.sparse(&columns, stats.iter().map(|stats| row(stats, &details)))
}

/// Returns the counters with their own column. UNRECORDED is the last column.
fn details() -> Vec<Counter> {
    let others = ServiceCounters::details().filter(|counter| *counter != Counter::Unrecorded);
    others.chain([Counter::Unrecorded]).collect()
}

/// Returns the rank of a counter's column.
fn rank(counter: Counter) -> u8 {
    let mut ranks = (1..).zip(IMPORTANT);
    ranks
        .find(|(_, it)| *it == counter)
        .map_or(u8::MAX, |(rank, _)| rank)
}

fn row(stats: &Stats<'_>, details: &[Counter]) -> Vec<String> {
    let counters = &stats.counters;
    let first = [
        stats.namespace.to_owned(),
        stats.service.to_owned(),
        stats.label.clone(),
        stats.connections.to_string(),
        counters[Counter::Connects].to_string(),
        stats
            .connects_per_second
            .map_or("-".to_owned(), |rate| format!("{rate:.1}")),
        counters.refused().to_string(),
    ];
    let rest = details.iter().map(|&counter| number(counters[counter]));
    first.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::fixture::{busy_cart, cart, dns},
        render,
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
        earlier[0].ports[0].counters[Counter::Connects] -= 25;
        earlier[0].ports[1].counters[Counter::Connects] += 5;
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
        let mut expected = json!({
            "namespace": "shop",
            "service": "cart",
            "port": 80,
            "portName": "http",
            "protocol": "TCP",
            "connections": 0,
            "connectsPerSecond": null,
        });
        let counters = json!(services[0].ports[0].counters);
        let counters = counters.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(counters);
        let expected = json!([expected]);
        let shown = render::json(&&stats[..1]);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), expected);
        let shown = render::yaml(&&stats[..1]).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&shown).unwrap(), expected);
    }
}
