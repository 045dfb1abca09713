//! Compares figures with their targets. Targets without a figure are left out.

use super::{
    anchors::{self, Anchor},
    changes, cycle,
    figures::Figures,
    http,
    names::{CHANGES, DIRECT, EMPTY, FROM_NOTHING, TCP, TCP_ONE, UDP, mesh_name},
    programs::{self, measure},
};
use crate::bench::table::Row;

/// Number of services with which the agent is measured.
const SERVICES: u32 = 10_000;

/// Returns all targets with a figure.
pub fn rows(figures: &Figures) -> Vec<Row> {
    let rows = [
        program_costs(figures),
        whole_system(figures),
        loading(figures),
    ];
    rows.into_iter()
        .flatten()
        .filter(|row| row.value.is_finite())
        .collect()
}

fn program_costs(figures: &Figures) -> Vec<Row> {
    let mesh = mesh_name(SERVICES);
    let values = |contender: &str, measure: &str| {
        figures
            .find(programs::PART, contender, measure)
            .map_or_else(Vec::new, |it| it.values.clone())
    };
    // In each round, relative to the empty program of the same round.
    let beside = |measured: &str, way: &str, anchor: Anchor| -> Vec<f64> {
        let empty = values(EMPTY, &measure("hit", way, "hot"));
        values(&mesh, measured)
            .iter()
            .zip(&empty)
            .map(|(net, empty)| anchor.ratio(*net, *empty))
            .collect()
    };
    let hit = |way, which, anchor| beside(&measure("hit", way, which), way, anchor);
    let all = |way, anchor| beside(&measure(programs::ALL, way, "random"), way, anchor);
    let miss = |way| values(&mesh, &measure("miss", way, "pod address"));
    let udp = UDP;
    vec![
        Row::at_most(
            "hit, TCP, any of 10,000 / Cilium",
            &hit(TCP, "random", anchors::TCP_RANDOM),
            0.6,
        ),
        Row::at_most(
            "hit, TCP on one CPU, any of 10,000 / Cilium",
            &hit(TCP_ONE, "random", anchors::TCP_RANDOM),
            0.6,
        ),
        Row::at_most(
            "hit, re-used UDP socket, one hot / Cilium",
            &hit(udp, "hot", anchors::UDP_HOT),
            1.0,
        ),
        Row::at_most(
            "all programs, TCP, any of 10,000 / Cilium's connect4",
            &all(TCP, anchors::TCP_RANDOM),
            1.0,
        ),
        Row::at_most(
            "all programs, on one CPU / Cilium's connect4",
            &all(TCP_ONE, anchors::TCP_RANDOM),
            1.0,
        ),
        Row::at_most("miss above an empty program, ns", &miss(udp), 15.0),
        growth(figures, &measure("hit", udp, "hot")),
    ]
}

/// Returns the ratio of the cost of one service among the most services to its cost alone.
fn growth(figures: &Figures, measure: &str) -> Row {
    let all = figures.distinct(|it| {
        (it.part == programs::PART && it.measure == measure).then_some(&it.contender)
    });
    let most = [100_000, SERVICES]
        .map(mesh_name)
        .into_iter()
        .find(|name| all.contains(&name))
        .unwrap_or_default();
    let ratios = figures.ratios(programs::PART, measure, &most, &mesh_name(1));
    Row::at_most(&format!("hit, one hot, {most} / 1 service"), &ratios, 1.1)
}

fn whole_system(figures: &Figures) -> Vec<Row> {
    let [hot, any] = ["hot", "any"].map(|which| format!("{} {which}", mesh_name(SERVICES)));
    let cycle = |measure, contender: &str, to| figures.ratios(cycle::PART, measure, contender, to);
    let http = |measure, to| figures.ratios(http::PART, measure, &hot, to);
    vec![
        Row::at_least(
            "connections, one hot / direct",
            &cycle(cycle::RATE, &hot, DIRECT),
            0.97,
        ),
        Row::at_least(
            "connections, any of 10,000 / direct",
            &cycle(cycle::RATE, &any, DIRECT),
            0.95,
        ),
        Row::at_most(
            "p99 of connect-echo-close, one hot / direct",
            &cycle(cycle::P99, &hot, DIRECT),
            1.1,
        ),
        Row::at_most(
            "p99 of connect-echo-close, any of 10,000 / direct",
            &cycle(cycle::P99, &any, DIRECT),
            1.1,
        ),
        Row::at_least("HTTP keep-alive / direct", &http(http::KEEP, DIRECT), 0.99),
        Row::at_least("HTTP close / direct", &http(http::CLOSE, DIRECT), 0.96),
        Row::at_least(
            "connections / iptables 10,000 last",
            &cycle(cycle::RATE, &hot, "iptables 10,000 last"),
            9.0,
        ),
        Row::at_least(
            "connections / nftables 10,000",
            &cycle(cycle::RATE, &any, "nftables 10,000 any"),
            1.6,
        ),
        Row::at_least(
            "HTTP keep-alive / HAProxy HTTP",
            &http(http::KEEP, "HAProxy HTTP"),
            3.0,
        ),
    ]
}

fn loading(figures: &Figures) -> Vec<Row> {
    let values = |measure| {
        figures
            .find(CHANGES, "mesh 10,000 100 files", measure)
            .map_or(&[][..], |it| &it.values)
    };
    vec![
        Row::at_most(
            "10,000 x 10 from files to kernel, s",
            values(FROM_NOTHING),
            1.0,
        ),
        Row::at_most(
            "rows compiled and written, s",
            values(changes::WRITING),
            0.15,
        ),
        Row::at_most(
            "one endpoint of 10,000 x 10 changed, p99, ms",
            values(changes::CHANGE_P99),
            50.0,
        ),
        Row::at_most("memory of the agent, MiB", values(changes::RESIDENT), 80.0),
    ]
}

/// Formats one line of 100 columns.
pub fn line(row: &Row) -> String {
    let Row {
        what,
        value,
        spread: [low, high],
        target,
        at_least,
    } = row;
    let sign = if *at_least { "≥" } else { "≤" };
    let spread = format!("{low:.2}–{high:.2}");
    let verdict = if row.holds() { "ok" } else { "missed" };
    format!("{what:<54}{value:>8.2}  {spread:<16}{sign} {target:<6}{verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_by_the_rounds_and_left_out_without_any() {
        let mut figures = Figures::default();
        assert!(rows(&figures).is_empty());
        let hit = measure("hit", TCP, "random");
        for (ours, empty) in [(2163.0, 67.0), (2163.0, 134.0), (2163.0, 134.0)] {
            figures.add(programs::PART, &mesh_name(SERVICES), &hit, "ns", ours);
            figures.add(
                programs::PART,
                EMPTY,
                &measure("hit", TCP, "hot"),
                "ns",
                empty,
            );
        }
        let [row] = <[Row; 1]>::try_from(rows(&figures)).expect("one target was measured");
        assert!((row.value - 0.5).abs() < 1e-9 && row.holds(), "{row:?}");
        assert!((row.spread[1] - 1.0).abs() < 1e-9);
    }
}
