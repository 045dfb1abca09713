//! `meshctl service`

use std::fmt::Write as _;

use mesh_common::counter::Counter;

use super::{
    Exit, Failure, health_cell,
    layout::{Column, Layout, facts},
    render::{milliseconds, printable, weight},
    service_name::NameArg,
    session::Session,
    watch::Watch,
};
use crate::api::types::{
    Endpoint, HealthCheck, Limits, PortCapacity, Service, ServiceCounters, ServicePort,
};

/// Show the services of this node
#[derive(clap::Subcommand)]
#[command(after_long_help = "\
Examples:
  meshctl service list                 all services
  meshctl service get shop/cart        one service, with frontends and endpoints")]
pub(super) enum Verb {
    /// List services
    ///
    /// ENDPOINTS is the number of usable and of all endpoints of each port, in the order of
    /// PORT(S). Usable endpoints are those that `backend list` shows as active or, if there is
    /// none, the ejected ones, which then take connects in turn. CONNECTS is the number of connects
    /// that got an endpoint since the service was created.
    #[command(after_long_help = "\
Examples:
  meshctl service list                 all services
  meshctl service list -n shop         services of one namespace
  meshctl service list -w 2s           again every two seconds
  meshctl service list -o json | jq -r '.[] | select(.ports[].endpoints == []) | .name'
                                       services without endpoints")]
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show one service with its frontends and endpoints
    ///
    /// A frontend is an address and port of the service; one that is not `served` has the reason. A
    /// service that is not served at all has the reason, too. An endpoint is `active` while it gets
    /// new connections; otherwise its state is the reason why not. Its health is the result of the
    /// last check and the time since it changed. Tier 1 is the nearest. Capacity is the sum of
    /// `capacity` × weight, of the endpoints that are active now and of all. The exit code is 1
    /// when there is no such service.
    #[command(after_long_help = "\
Examples:
  meshctl service get shop/cart        by its full name
  meshctl service get cart -n shop     the same
  meshctl service get shop/cart -o yaml
  meshctl service get shop/cart -o json | jq -r '.frontends[].reason'
                                       why frontends are not served")]
    #[command(visible_alias = "describe")]
    Get {
        /// NAME or NAMESPACE/NAME
        name: NameArg,
    },
}

pub(super) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List { watch } => {
            let mut rounds = session.rounds(&watch);
            let mut exit = Exit::Ok;
            while rounds.next().await {
                let services = session.services(None).await;
                let Some(services) = session.patient(&rounds, services)? else {
                    continue;
                };
                exit = session
                    .show_services(&services, &services, |services, layout| {
                        list(services, layout)
                    })
                    .await?;
            }
            Ok(exit)
        }
        Verb::Get { name } => {
            let service = session.service(&name).await?;
            session.show(&service, page)?;
            Ok(Exit::Ok)
        }
    }
}

const COLUMNS: [Column; 6] = [
    Column::name("NAMESPACE"),
    Column::name("NAME"),
    Column::name("ADDRESS"),
    Column::name("PORT(S)"),
    Column::name("ENDPOINTS"),
    Column::new("CONNECTS"),
];

fn list(services: &[Service], layout: Layout) -> String {
    layout.table(
        &COLUMNS,
        services.iter().map(|service| row(service, layout)),
    )
}

fn row(service: &Service, layout: Layout) -> Vec<String> {
    let Service {
        namespace,
        name,
        origin: _,
        addresses,
        ports,
        frontends: _,
        notes: _,
        left_out: _,
    } = service;
    let each =
        |show: fn(&ServicePort) -> String| layout.list(&ports.iter().map(show).collect::<Vec<_>>());
    vec![
        namespace.clone(),
        name.clone(),
        layout.list(addresses),
        each(|port| format!("{}/{}", port.port, port.protocol)),
        each(usable),
        ports
            .iter()
            .map(|port| port.counters[Counter::Connects])
            .sum::<u64>()
            .to_string(),
    ]
}

/// Returns `usable/total`.
fn usable(port: &ServicePort) -> String {
    format!("{}/{}", port.usable(), port.endpoints.len())
}

const FRONTENDS: [Column; 4] = [
    Column::new("FRONTEND"),
    Column::new("KIND"),
    Column::new("STATE"),
    Column::name("REASON"),
];

fn page(service: &Service, layout: Layout) -> String {
    let Service {
        namespace,
        name,
        origin,
        addresses,
        ports,
        frontends,
        notes,
        left_out,
    } = service;
    let addresses = if addresses.is_empty() {
        "none".to_owned()
    } else {
        addresses.join(", ")
    };
    let reached = match left_out {
        None => ("Address", addresses),
        Some(reason) => ("Left alone", reason.clone()),
    };
    let mut page = facts([
        ("Service", format!("{namespace}/{name}")),
        reached,
        ("Origin", origin.clone()),
    ]);
    if !frontends.is_empty() {
        let rows = frontends.iter().map(|it| {
            vec![
                it.label(),
                it.kind.clone(),
                it.state.clone(),
                it.reason.clone(),
            ]
        });
        page = page + "\n" + &layout.table(&FRONTENDS, rows);
    }
    for port in ports {
        page = page + "\n" + &section(port, layout);
    }
    if !notes.is_empty() {
        page += "\nNotes:\n";
    }
    for note in notes {
        page = page + "  " + &printable(note) + "\n";
    }
    page
}

/// Formats a port and its endpoints.
fn section(port: &ServicePort, layout: Layout) -> String {
    let mut title = format!(
        "Port {}: {}\n  {}\n",
        printable(&port.label()),
        counters(port),
        traffic(port)
    );
    if let Some(health_check) = &port.health_check {
        title = title + "  " + &printable(&check(health_check)) + "\n";
    }
    if port.endpoints.is_empty() {
        return title + "  no endpoints: connects are refused\n";
    }
    let table = layout
        .indented()
        .sparse(&ENDPOINTS, port.endpoints.iter().map(line));
    table
        .lines()
        .fold(title, |text, line| text + "  " + line + "\n")
}

fn counters(port: &ServicePort) -> String {
    let counters = &port.counters;
    let mut text = format!("{} connects", counters[Counter::Connects]);
    let details = ServiceCounters::details().map(|counter| (counters[counter], words(counter)));
    for (number, what) in [(counters.refused(), "refused")].into_iter().chain(details) {
        if number > 0 {
            write!(text, ", {number} {what}").expect("writing to a string does not fail");
        }
    }
    text
}

/// Returns the words that follow the number, where they are not the name.
const fn words(counter: Counter) -> &'static str {
    match counter {
        Counter::Failures => "failed",
        Counter::Overflows => "overflowed",
        Counter::Failovers => "failed over",
        Counter::Panics => "in panic",
        other => other.name(),
    }
}

/// Formats policy, capacity and limits.
fn traffic(port: &ServicePort) -> String {
    let PortCapacity {
        usable,
        total,
        used,
    } = port.capacity;
    let key = port
        .hash_key
        .as_ref()
        .map_or(String::new(), |key| format!(" by {key}"));
    let mut text = format!(
        "{}{key}, {used} connections, capacity {usable} usable of {total}",
        port.balance
    );
    let Limits {
        max_connections,
        max_connections_per_endpoint,
        max_connections_per_client_percent: percent,
    } = port.limits.unwrap_or_default();
    let limits = [
        (max_connections, ""),
        (percent.map(u32::from), "% of them per client"),
        (max_connections_per_endpoint, " per endpoint"),
    ];
    for (limit, what) in limits {
        if let Some(limit) = limit {
            write!(text, ", at most {limit}{what}").expect("writing to a string does not fail");
        }
    }
    match port.outlier {
        Some(outlier) if !outlier.enabled => text + ", no ejection",
        Some(outlier) => {
            text + &format!(", ejected after {} failures", outlier.consecutive_failures)
        }
        None => text,
    }
}

/// Formats the health check:
/// `checked by http /up every 5s ± 10 %, timeout 1s, healthy after 2, unhealthy after 3`
fn check(check: &HealthCheck) -> String {
    let HealthCheck {
        probe,
        port,
        interval_milliseconds,
        timeout_milliseconds,
        jitter_percent,
        rise,
        fall,
        allow_empty,
    } = check;
    let port = port.map_or(String::new(), |port| format!(" on port {port}"));
    let [interval, timeout] = [*interval_milliseconds, *timeout_milliseconds].map(milliseconds);
    let last = if *allow_empty {
        "the last one is taken out, too"
    } else {
        "all are kept when all fail"
    };
    format!(
        "checked by {probe}{port} every {interval} ± {jitter_percent} %, timeout {timeout}, healthy after {rise}, \
         unhealthy after {fall}, {last}"
    )
}

const ENDPOINTS: [Column; 8] = [
    Column::address("ENDPOINT"),
    Column::new("STATE"),
    Column::new("WEIGHT"),
    Column::new("CONNECTIONS"),
    Column::new("CONNECTS"),
    Column::new("TIER").extra(3),
    Column::name("LOCALITY").extra(2),
    Column::name("HEALTH").extra(1),
];

fn line(endpoint: &Endpoint) -> Vec<String> {
    let locality = endpoint.locality.label();
    vec![
        endpoint.endpoint.clone(),
        endpoint.state(),
        weight(endpoint),
        endpoint.connections.to_string(),
        endpoint.connects.to_string(),
        endpoint
            .tier
            .map_or("-".to_owned(), |tier| tier.to_string()),
        if locality.is_empty() {
            "-".to_owned()
        } else {
            locality
        },
        endpoint
            .health
            .as_ref()
            .map_or("-".to_owned(), health_cell::long),
    ]
}

#[cfg(test)]
mod tests;
