//! Compares the speed with other implementations in one interleaved run: `cargo xtask bench`.
//!
//! ```text
//! services ──► what every contender serves      load ──► clients and servers, separate processes
//! stage ──► namespace and cgroups of a contender ──► contenders: mesh, peers, none
//! kernel ──► empty programs, run times, memory, CPU
//! programs, cycle, http, changes ──► the parts; each adds to ──► figures
//! figures, anchors ──► table, targets, json, chart
//! ```

mod anchors;
mod changes;
mod chart;
mod contenders;
mod cycle;
mod figures;
mod http;
mod json;
mod kernel;
pub mod load;
mod mesh;
mod names;
mod nginx;
mod numbers;
mod peers;
mod process;
mod programs;
mod services;
mod stage;
mod table;
mod targets;
mod wrk;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use self::figures::Figures;
use super::interrupt;
use crate::{requirements, sweep};

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Smaller sizes, fewer and shorter rounds: two minutes
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the most important whole-system figures, eight bars, to this file as SVG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Draw all whole-system figures to this file as SVG
    #[arg(long, value_name = "FILE")]
    chart_all: Option<PathBuf>,
    /// Also show every hook by itself
    #[arg(long)]
    details: bool,
    /// End with an error when a target is missed
    #[arg(long)]
    check: bool,
}

/// A part of the bench.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Cost of the kernel programs per call
    Programs,
    /// Connect, one byte echoed, close
    Cycle,
    /// HTTP requests, with keep-alive and without
    Http,
    /// Time to serve everything, and one change; memory
    Changes,
}

/// Sizes and durations of the measurements.
pub struct Scale {
    rounds: usize,
    /// Numbers of services of the agent.
    services: Vec<u32>,
    /// Numbers of services as iptables rules.
    iptables: Vec<u32>,
    /// Numbers of services as nftables rules.
    nftables: Vec<u32>,
    /// Numbers of services in measurements of changes.
    changed_services: Vec<u32>,
    /// Number of services of HAProxy.
    proxied: u32,
    /// Number of agents that are started without pins.
    change_rounds: usize,
    /// Number of changes for each agent.
    changes: u32,
    /// Number of changes of rules.
    rule_changes: u32,
    /// Time of one measurement of programs.
    program_time: Duration,
    /// Many short rounds of connections and HTTP, so that a disturbance of a second affects all
    /// contenders.
    cycle_rounds: usize,
    /// Time of one measurement of connections.
    cycle_time: Duration,
    http_rounds: usize,
    /// Time of one measurement of HTTP.
    http_seconds: u64,
}

impl Scale {
    fn quick() -> Self {
        Self {
            rounds: 3,
            services: vec![1, 1_000, 10_000],
            iptables: vec![1_000],
            nftables: vec![1_000],
            changed_services: vec![10_000],
            proxied: 1_000,
            change_rounds: 1,
            changes: 20,
            rule_changes: 5,
            program_time: Duration::from_millis(100),
            cycle_rounds: 7,
            cycle_time: Duration::from_millis(150),
            http_rounds: 1,
            http_seconds: 1,
        }
    }

    fn full() -> Self {
        Self {
            rounds: 5,
            services: vec![1, 1_000, 10_000, 100_000],
            iptables: vec![1_000, 10_000],
            nftables: vec![10_000],
            changed_services: vec![10_000],
            proxied: 1_000,
            change_rounds: 3,
            changes: 40,
            rule_changes: 10,
            program_time: Duration::from_millis(300),
            cycle_rounds: 15,
            cycle_time: Duration::from_millis(250),
            http_rounds: 5,
            http_seconds: 1,
        }
    }
}

/// Results of the bench.
#[derive(Default)]
pub struct BenchReport {
    figures: Figures,
    missing: Vec<String>,
}

impl BenchReport {
    /// Reports what could not be measured.
    fn miss(&mut self, what: &str) {
        println!("  not measured: {what}");
        self.missing.push(what.to_owned());
    }
}

/// Runs the bench; returns whether all targets are met.
pub(super) fn run(options: &Options) -> bool {
    interrupt::guard(|| measure(options)).unwrap_or(false)
}

fn measure(options: &Options) -> bool {
    requirements::privilege();
    sweep::sweep();
    let (start, mut report) = (Instant::now(), BenchReport::default());
    let scale = if options.quick {
        Scale::quick()
    } else {
        Scale::full()
    };
    let asked = |part| options.only.is_empty() || options.only.contains(&part);
    if asked(Part::Programs) {
        println!("\nProgram costs: nanoseconds of connect4 per call, above an empty program");
        programs::run(&scale, &mut report.figures);
        table::matrix(&report.figures, programs::PART, |measure| {
            options.details || !programs::is_detail(measure)
        });
    }
    if asked(Part::Cycle) || asked(Part::Http) || asked(Part::Changes) {
        beside_others(&scale, &asked, &mut report);
    }
    let targets = targets::rows(&report.figures);
    println!("\nTargets; \"Cilium\" is: {}", anchors::NAME);
    targets
        .iter()
        .for_each(|row| println!("  {}", targets::line(row)));
    if let Some(path) = &options.json {
        json::write(path, &report, &targets);
    }
    if let Some(path) = &options.chart {
        chart::draw_summary(path, &report.figures)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    if let Some(path) = &options.chart_all {
        chart::draw_all(path, &report.figures)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    report
        .missing
        .iter()
        .for_each(|missing| println!("not measured: {missing}"));
    let missed = targets.iter().filter(|row| !row.holds()).count();
    println!(
        "\n{} targets, {missed} missed, in {:.0} s",
        targets.len(),
        start.elapsed().as_secs_f64()
    );
    !options.check || missed == 0
}

/// Measures the parts for which all contenders run at the same time.
fn beside_others(scale: &Scale, asked: &dyn Fn(Part) -> bool, report: &mut BenchReport) {
    println!("\nStarting all contenders");
    let only_rules = !asked(Part::Cycle) && !asked(Part::Http);
    let mut contenders = contenders::start(scale, report, only_rules);
    if asked(Part::Cycle) {
        println!("\nConnect, one byte echoed, close; two clients");
        cycle::run(scale, &contenders, report);
        table::compare(&report.figures, cycle::PART);
    }
    if asked(Part::Http) {
        println!("\nHTTP: wrk with 16 connections, nginx");
        http::run(scale, &mut contenders, report);
        table::compare(&report.figures, http::PART);
    }
    if asked(Part::Changes) {
        println!("\nChanges and memory");
        changes::run(scale, &contenders, report);
        table::compare(&report.figures, names::CHANGES);
    }
}
