//! Builds the benchmarks, then replaces this process by them (`exec`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    cargo::{build_agent, cargo, optimised},
    run, setup, workspace,
};

/// What is measured.
#[derive(Args)]
pub struct Options {
    /// Measure the quality of balancing instead: policies, ejection, failover, health checks
    #[arg(long)]
    quality: bool,
    /// Measure the pure parts alone instead: reading files, compiling tables, planning changes
    #[arg(long, conflicts_with_all = ["quality", "quick", "only", "json", "chart", "chart_all", "details", "check"])]
    micro: bool,
    /// Smaller sizes, fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Only these parts, separated by commas: programs, cycle, http, changes
    #[arg(long, value_name = "PARTS", conflicts_with = "quality")]
    only: Option<String>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the most important whole-system figures, eight bars, to this file as SVG
    #[arg(long, value_name = "FILE", conflicts_with = "quality")]
    chart: Option<PathBuf>,
    /// Draw all whole-system figures to this file as SVG
    #[arg(long, value_name = "FILE", conflicts_with = "quality")]
    chart_all: Option<PathBuf>,
    /// Also show every hook of the kernel programs by itself
    #[arg(long, conflicts_with = "quality")]
    details: bool,
    /// End with an error when a target is missed
    #[arg(long)]
    check: bool,
}

/// Builds the agent and the bench, and replaces this process by the bench.
pub fn bench(options: &Options) -> anyhow::Result<()> {
    if options.micro {
        match run::replace(&mut cargo(&["bench", "--package", "mesh-files"]))? {}
    }
    setup::ensure(setup::DEMO)?;
    if !options.quality {
        setup::peers::offer();
    }
    let mut bench = build()?;
    arguments(&mut bench, options)?;
    match run::replace(&mut bench)? {}
}

/// Builds the simulator, and replaces this process by it.
pub fn simulate(model: &[String]) -> anyhow::Result<()> {
    run::check(&mut optimised(
        &["build", "--bin", "mesh-bench"],
        "--profile",
    ))?;
    let mut bench = Command::new(workspace::built().join("mesh-bench"));
    match run::replace(bench.arg("simulate").args(model))? {}
}

fn arguments(bench: &mut Command, options: &Options) -> anyhow::Result<()> {
    let Options {
        quality,
        micro: _,
        quick,
        only,
        json,
        chart,
        chart_all,
        details,
        check,
    } = options;
    bench.arg(if *quality { "quality" } else { "speed" });
    for (flag, given) in [
        ("--quick", quick),
        ("--check", check),
        ("--details", details),
    ] {
        bench.args(given.then_some(flag));
    }
    if let Some(parts) = only {
        bench.args(["--only", parts]);
    }
    for (flag, file) in [
        ("--json", json),
        ("--chart", chart),
        ("--chart-all", chart_all),
    ] {
        if let Some(file) = file {
            bench.arg(flag).arg(absolute(file)?);
        }
    }
    Ok(())
}

/// Returns an absolute path, because the bench has another working directory.
fn absolute(file: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(file)?)
}

/// Builds the agent, the clients and the bench, and returns the bench.
pub fn build() -> anyhow::Result<Command> {
    build_agent()?;
    run::check(&mut optimised(
        &["build", "--bins", "--package", "mesh-tests"],
        "--profile",
    ))?;
    let mut bench = Command::new(workspace::built().join("mesh-bench"));
    // Directory of the programs that it starts.
    bench.env("MESH_BIN_DIR", workspace::built());
    Ok(bench)
}
