//! Writes all figures as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use super::{
    BenchReport,
    figures::{Figure, Figures},
};
use crate::bench::{stats::spread, table::Row};

#[derive(Serialize)]
struct Document<'a> {
    kernel: String,
    processors: usize,
    figures: Vec<Cell<'a>>,
    targets: &'a [Row],
    not_measured: &'a [String],
}

#[derive(Serialize)]
struct Cell<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    median: f64,
    low: f64,
    high: f64,
    /// Median of the ratios to each other contender in the same round.
    ratio_to: BTreeMap<&'a str, f64>,
}

/// Writes a report.
pub fn write(path: &Path, report: &BenchReport, targets: &[Row]) {
    let document = Document {
        kernel: kernel(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        figures: report
            .figures
            .iter()
            .map(|figure| cell(&report.figures, figure))
            .collect(),
        targets,
        not_measured: &report.missing,
    };
    let text = serde_json::to_string_pretty(&document).expect("figures are JSON");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Release of the running kernel.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn cell<'a>(figures: &'a Figures, figure: &'a Figure) -> Cell<'a> {
    let others = figures
        .iter()
        .filter(|it| it.part == figure.part && it.measure == figure.measure);
    let ratio = |other: &'a Figure| {
        let ratios = figures.ratios(
            figure.part,
            &figure.measure,
            &figure.contender,
            &other.contender,
        );
        let (median, ..) = spread(&ratios);
        median
            .is_finite()
            .then_some((other.contender.as_str(), median))
    };
    let ([low, high], ratio_to) = (figure.range(), others.filter_map(ratio).collect());
    Cell {
        figure,
        median: figure.median(),
        low,
        high,
        ratio_to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_a_ratio_to_each_other_one() {
        let mut figures = Figures::default();
        [("direct", 10.0), ("mesh", 9.0), ("iptables", 3.0)]
            .into_iter()
            .for_each(|(name, value)| {
                figures.add("cycle", name, "connections", "/s", value);
            });
        figures.add("cycle", "direct", "cycle p99", "µs", 1.0);
        let mesh = figures
            .find("cycle", "mesh", "connections")
            .expect("it was added");
        let cell = cell(&figures, mesh);
        assert_eq!(
            cell.ratio_to,
            [("direct", 0.9), ("mesh", 1.0), ("iptables", 3.0)].into()
        );
    }
}
