//! Measures the run time of the programs per call, above that of an empty program in the same round.

use super::{
    Scale, anchors,
    figures::Figures,
    kernel::{
        empty::Empty,
        stats::{Costs, Measuring, Programs, net},
    },
    load::{
        cpu,
        drive::{Clients, Targets, Way, drive},
    },
    mesh::Mesh,
    names::{EMPTY, NEW_UDP, TCP, TCP_ONE, UDP, mesh_name},
    services::{ENDPOINT_PORT, Writing, any, direct, one},
    stage::Stage,
};
use crate::place::Place;

/// Name of this part.
pub const PART: &str = "programs";

/// Parts of the names of details.
const GROSS: &str = "gross";
const CALLS: &str = "calls";

/// Whether a measure is shown only with details.
pub fn is_detail(measure: &str) -> bool {
    [GROSS, CALLS].iter().any(|word| measure.contains(word))
}

/// Measure: all programs of a connection, above empty ones.
pub const ALL: &str = "all programs";

/// What clients do, its name, and whether they share a processor with the servers. On two
/// processors, the ends of a connection exchange cache lines and memory, which costs time.
const WAYS: [(Way, &str, bool); 4] = [
    (Way::Udp, UDP, false),
    (Way::FreshUdp, NEW_UDP, false),
    (Way::Tcp, TCP, false),
    (Way::Tcp, TCP_ONE, true),
];

/// Returns the name of a measure, like `hit, TCP, random`.
pub fn measure(case: &str, way: &str, which: &str) -> String {
    format!("{case}, {way}, {which}")
}

/// A contender with its number of services.
struct Lane {
    name: String,
    mesh: Mesh,
    /// Name of a connect to one of its services.
    case: &'static str,
    misses: bool,
}

impl Lane {
    fn start(name: String, services: u32, with: Option<&'static str>, case: &'static str) -> Self {
        println!("  starting {name}");
        // UDP ports double the number of frontends; with 100,000 services, only one service has UDP.
        let udp = if services <= 10_000 { services } else { 1 };
        let mesh = Mesh::start(
            services,
            Writing {
                with,
                udp,
                ..Writing::PLAIN
            },
            Some(cpu::two()[0]),
        );
        Self {
            name,
            mesh,
            case,
            misses: with.is_none(),
        }
    }
}

/// Measures all lanes, round by round.
pub fn run(scale: &Scale, figures: &mut Figures) {
    let stage = Stage::around(&Place::new(), Some(cpu::two()[0]));
    let empty = Empty::attach(&stage.clients.cgroup);
    let mut lanes: Vec<_> = scale
        .services
        .iter()
        .map(|&services| Lane::start(mesh_name(services), services, None, "hit"))
        .collect();
    let most = scale
        .services
        .iter()
        .copied()
        .filter(|&services| services <= 10_000)
        .max()
        .unwrap_or(1);
    let variants = [
        (
            "affinity",
            "affinity: {client: namespace, timeoutSeconds: 600}",
            "affinity",
        ),
        ("random", "balance: random", "hit"),
    ];
    for (name, with, case) in variants {
        lanes.push(Lane::start(
            format!("{} {name}", mesh_name(most)),
            most,
            Some(with),
            case,
        ));
    }
    let _measuring = Measuring::start();
    for round in 0..scale.rounds {
        println!("  round {} of {}", round + 1, scale.rounds);
        let empty_costs = WAYS.map(|(way, name, share)| {
            let (costs, turns) = costs(
                &empty.programs(),
                &stage,
                clients(scale, way, direct(ENDPOINT_PORT), share),
            );
            figures.add(
                PART,
                EMPTY,
                &measure("hit", name, "hot"),
                "ns",
                costs["connect4"].each(),
            );
            if way == Way::Tcp {
                let all: f64 = costs.values().map(|cost| cost.time).sum();
                figures.add(PART, EMPTY, &measure("all", GROSS, name), "ns", all / turns);
            }
            for (_, which, anchor) in anchors::ALL.into_iter().filter(|(way, ..)| *way == name) {
                let scaled = anchor.scaled(costs["connect4"].each());
                figures.add(
                    PART,
                    anchors::NAME,
                    &measure("hit", name, which),
                    "ns",
                    scaled,
                );
            }
            costs
        });
        for lane in &lanes {
            let programs = lane.mesh.programs();
            for ((way, name, share), empty) in WAYS.into_iter().zip(&empty_costs) {
                let one_case = |figures: &mut Figures, case, which, targets| {
                    let (costs, turns) = costs(
                        &programs,
                        &lane.mesh.stage,
                        clients(scale, way, targets, share),
                    );
                    let each = costs["connect4"].each() - empty["connect4"].each();
                    figures.add(PART, &lane.name, &measure(case, name, which), "ns", each);
                    if way == Way::Tcp && case != "miss" {
                        let suffix = format!("{name}, {which}");
                        all_programs(figures, lane, &suffix, (&costs, empty), turns);
                    }
                };
                one_case(figures, lane.case, "hot", one(0));
                if way == Way::Tcp || lane.mesh.services <= 10_000 {
                    one_case(figures, lane.case, "random", any(lane.mesh.services));
                }
                if lane.misses {
                    one_case(figures, "miss", "pod address", direct(ENDPOINT_PORT));
                }
            }
        }
    }
}

fn all_programs(
    figures: &mut Figures,
    lane: &Lane,
    suffix: &str,
    (costs, empty): (&Costs, &Costs),
    turns: f64,
) {
    let mut add = |measure: &str, unit, value| {
        figures.add(
            PART,
            &lane.name,
            &format!("{measure}, {suffix}"),
            unit,
            value / turns,
        );
    };
    add(ALL, "ns", net(costs, empty));
    add(
        &format!("all, {GROSS}"),
        "ns",
        costs.values().map(|cost| cost.time).sum(),
    );
    for (hook, cost) in costs.iter().filter(|(_, cost)| cost.runs > 0.0) {
        add(&format!("{hook}, {GROSS}"), "ns", cost.time);
        add(&format!("{hook}, {CALLS}"), "", cost.runs);
    }
}

fn clients(scale: &Scale, way: Way, targets: Targets, share: bool) -> Clients {
    let [servers, others] = cpu::two();
    let cpu = Some(if share { servers } else { others });
    Clients {
        way,
        targets,
        time: scale.program_time,
        threads: 1,
        cpu,
    }
}

/// Returns the costs of the programs, and the number of iterations of the clients.
fn costs(programs: &Programs, stage: &Stage, clients: Clients) -> (Costs, f64) {
    let (outcome, costs) = programs.during(|| drive(&stage.clients, clients));
    (costs, outcome.ok as f64)
}
