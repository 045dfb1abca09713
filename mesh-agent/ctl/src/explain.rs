//! `meshctl explain`

use std::{fmt::Write as _, net::SocketAddr, path};

use mesh_common::counter::Counter;

use super::{
    Exit, Failure,
    layout::{Column, Layout, aligned, facts},
    render::{printable, weight_of},
    session::Session,
};
use crate::{
    api::types::{Candidate, Destination, Explanation, Question, candidate_status, verdict},
    model::{Protocol, Words as _},
};

/// Show where a connect goes now, and why
///
/// The agent reads the rows and the load of the service from the kernel, decides 1,000 connects
/// with the code that the kernel runs, and undoes each. So the answer is what the kernel would do
/// now. It shows tier by tier whether each backend takes a connection; the second tier is used when
/// too few backends of the first are usable. DRAWS is the backend's share of the random choices in
/// its tier, before load is compared; `trial` means that one connect may try it, because its
/// ejection is over. --from names the client of a service that hashes clients or has session
/// affinity. The exit code is 1 when connects are refused, or when the address is not a service.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl explain 10.96.0.10:80              any client
  meshctl explain 10.96.0.53:53/udp          UDP
  meshctl explain '[fd00::10]:80'            IPv6
  meshctl explain 127.0.0.1:30080            a node port
  meshctl explain 10.96.0.10:80 --from netns:/proc/4711/ns/net
                                             the pod of process 4711
  meshctl explain 10.96.0.10:80 --from cgroup:/sys/fs/cgroup/web.slice
  meshctl explain 10.96.0.10:80 --from 10.0.3.7
                                             a socket bound to that address
  meshctl explain 10.96.0.10:80 -o json | jq '.outcomes'")]
pub(super) struct Args {
    /// Address that a program connects to
    #[arg(value_name = "ADDRESS:PORT[/PROTOCOL]", value_parser = target)]
    to: Target,
    /// Client: netns:PATH, cgroup:PATH or the source address
    #[arg(long, value_name = "CLIENT", value_parser = client)]
    from: Option<String>,
}

/// An address, a port and a protocol, as typed.
#[derive(Clone)]
struct Target {
    to: String,
    protocol: Option<String>,
}

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    let Args {
        to: Target { to, protocol },
        from,
    } = args;
    let explanation = session
        .client
        .explain(&Question { to, protocol, from })
        .await?;
    session.show(&explanation, page)?;
    Ok(match explanation.verdict.as_str() {
        verdict::UNTOUCHED | verdict::REFUSED => Exit::No,
        _ => Exit::Ok,
    })
}

fn target(text: &str) -> Result<Target, String> {
    let (to, protocol) = match text.split_once('/') {
        Some((to, protocol)) => (to, Some(protocol.to_ascii_lowercase())),
        None => (text, None),
    };
    let is_known = protocol
        .as_deref()
        .is_none_or(|protocol| Protocol::of_word(&protocol.to_ascii_uppercase()).is_some());
    match to.parse::<SocketAddr>() {
        Ok(_) if is_known => Ok(Target {
            to: to.to_owned(),
            protocol,
        }),
        _ => Err(format!(
            "expected ADDRESS:PORT, like 10.96.0.10:80, [fd00::10]:80 or 10.96.0.53:53/udp, found `{text}`"
        )),
    }
}

/// Makes paths absolute, because the agent has another working directory.
fn client(text: &str) -> Result<String, String> {
    let absolute = |kind: &str, path: &str| {
        path::absolute(path)
            .map(|path| format!("{kind}:{}", path.display()))
            .map_err(|error| error.to_string())
    };
    match text.split_once(':') {
        Some((kind @ ("netns" | "cgroup"), path)) => absolute(kind, path),
        _ if text.parse::<std::net::IpAddr>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!(
            "expected netns:PATH, cgroup:PATH or an address, like netns:/proc/PID/ns/net, found `{text}`"
        )),
    }
}

fn page(explanation: &Explanation, layout: Layout) -> String {
    let Explanation {
        frontend,
        balance,
        verdict,
        reason,
        notes,
        tiers,
        others,
        ..
    } = explanation;
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let known = [
        Some(("Connect to", frontend.clone())),
        explanation.identity().map(|service| ("Service", service)),
        balance.clone().map(|balance| ("Balance", balance)),
        Some(("Verdict", format!("{verdict}{reason}"))),
    ];
    let mut page = facts(known.into_iter().flatten());
    for note in notes {
        page = page + "Note: " + &printable(note) + "\n";
    }
    for (number, tier) in (1..).zip(tiers) {
        let title = format!("\nTier {number}: {:.0}% usable\n", tier.usable_percent);
        page += &(title + &indented(&candidates(&tier.backends, layout)));
    }
    if !others.is_empty() {
        page += &("\nOther backends\n".to_owned() + &indented(&candidates(others, layout)));
    }
    page + &destinations(explanation)
}

const COLUMNS: [Column; 5] = [
    Column::address("ENDPOINT"),
    Column::new("WEIGHT"),
    Column::new("CONNECTIONS"),
    Column::new("DRAWS"),
    Column::name("STATUS"),
];

fn candidates(candidates: &[Candidate], layout: Layout) -> String {
    let row = |it: &Candidate| {
        vec![
            it.endpoint.clone(),
            weight_of(
                it.effective_weight,
                it.weight,
                it.status != candidate_status::DOWN,
            ),
            it.connections.to_string(),
            // All of its draws but one trial connect go to other backends.
            if it.status == candidate_status::DUE {
                "trial".to_owned()
            } else {
                format!("{:.1}%", it.draws_percent)
            },
            it.reason.clone(),
        ]
    };
    layout
        .indented()
        .table(&COLUMNS, candidates.iter().map(row))
}

/// Formats the destinations of the replayed connects.
fn destinations(explanation: &Explanation) -> String {
    let Explanation {
        replayed,
        outcomes,
        counted,
        ..
    } = explanation;
    if outcomes.is_empty() {
        return String::new();
    }
    let row = |it: &Destination| match (&it.endpoint, &it.refused) {
        (Some(endpoint), _) if it.trial => {
            vec![
                "one".to_owned(),
                format!("{endpoint} (a trial: its ejection is over)"),
            ]
        }
        (Some(endpoint), _) => vec![format!("{:.1}%", it.percent), endpoint.clone()],
        (None, refused) => vec![
            format!("{:.1}%", it.percent),
            predicate(refused.as_deref().unwrap_or_default()),
        ],
    };
    let mut text =
        format!("\nOf {replayed} connects now\n") + &indented(&aligned(outcomes.iter().map(row)));
    // Trial connects are listed with their destination.
    for share in counted
        .iter()
        .filter(|share| share.counter != Counter::Trials.name())
    {
        writeln!(
            text,
            "  {:.1}% {}",
            share.percent,
            predicate(&share.counter)
        )
        .expect("a string takes all that is written");
    }
    text
}

/// Returns the help of a counter as a predicate; its name if this version does not have it.
fn predicate(name: &str) -> String {
    let known = Counter::ALL
        .into_iter()
        .find(|counter| counter.name() == name);
    let Some(counter) = known else {
        return format!("counted as {name}");
    };
    let help = counter.help().trim_start_matches("Connects ");
    help.trim_start_matches("that ").to_owned()
}

fn indented(text: &str) -> String {
    text.lines()
        .fold(String::new(), |text, line| text + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixture::explanation;

    #[test]
    fn every_backend_has_its_reason() {
        insta::assert_snapshot!(page(&explanation(), Layout::Whole), @"
        Connect to:   10.96.0.10:80/TCP
        Service:      shop/cart:http/TCP
        Balance:      leastConnections
        Verdict:      answered
        Note: the service has session affinity

        Tier 1: 33% usable
          ENDPOINT        WEIGHT    CONNECTIONS   DRAWS   STATUS
          10.0.0.1:8080   1         3             33.3%   usable
          10.0.0.2:8080   1         3             33.3%   ejected for 8.2 s more after 3 failures
          10.0.0.4:8080   <1 of 1   3             trial   its ejection is over: one connect may try it

        Other backends
          ENDPOINT        WEIGHT   CONNECTIONS   DRAWS   STATUS
          10.0.0.3:8080   1        3             0.0%    notReady

        Of 1000 connects now
          99.9%   10.0.0.1:8080
          one     10.0.0.4:8080 (a trial: its ejection is over)
          12.0% went to another backend because the first choice was full
        ");
    }

    #[test]
    fn refusals_and_detours_are_shown_as_sentences() {
        for (counter, expected) in [
            (
                Counter::RefusedNoBackend,
                "refused because no backend was usable",
            ),
            (Counter::Failovers, "went to a farther tier than the first"),
            (
                Counter::Panics,
                "sent to ejected backends because too few others were usable",
            ),
        ] {
            assert_eq!(predicate(counter.name()), expected);
        }
        assert_eq!(predicate("refused_later"), "counted as refused_later");
    }

    #[test]
    fn malformed_targets_and_clients_are_usage_errors() {
        let asked = |text: &str| target(text).map(|Target { to, protocol }| (to, protocol));
        assert_eq!(asked("10.96.0.1:80"), Ok(("10.96.0.1:80".into(), None)));
        assert_eq!(
            asked("[fd00::1]:53/UDP"),
            Ok(("[fd00::1]:53".into(), Some("udp".into())))
        );
        for text in ["cart", "10.96.0.1", "10.96.0.1:80/sctp", "fd00::1:80"] {
            assert!(asked(text).is_err(), "{text}");
        }
        assert_eq!(
            client("netns:/run/netns/web"),
            Ok("netns:/run/netns/web".into())
        );
        assert_eq!(client("fd00::7"), Ok("fd00::7".into()));
        assert!(client("web").is_err() && client("pod:web").is_err());
    }
}
