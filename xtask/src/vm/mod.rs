//! Older kernels, each in an emulated machine that has nothing but the kernel tests in it.
//!
//! ```text
//! debian ──► kernel image, busybox ──► initramfs ──► machine ──► report
//! cargo  ──► agent, kernel tests   ──┘
//! ```

mod debian;
mod initramfs;
mod machine;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use self::report::Report;
use crate::{cargo::cargo, run, setup, workspace};

/// What is run where.
#[derive(Args)]
pub struct Options {
    /// Series of a Debian kernel, like 6.1; may be given several times
    #[arg(long = "kernel", value_name = "SERIES", default_values = ["6.1", "6.12"])]
    kernels: Vec<String>,
    /// Kernel tests to run there, by a part of their names, instead of the smoke test
    tests: Vec<String>,
}

/// All programs are accepted; a connect to a service reaches its endpoint or is refused, over IPv4
/// and IPv6, TCP and UDP; uninstalling leaves nothing.
const SMOKE: [&str; 4] = [
    "verifier_cost::every_program_is_verified_within_its_bound",
    "behaviours::refused::b01_the_last_endpoint_gone_refuses_and_the_first_one_back_serves",
    "behaviours::dual_stack::b12_a_udp_socket_connected_elsewhere_shows_its_real_peer",
    "uninstall::uninstall_leaves_no_link_no_program_no_map_and_no_pin",
];

/// Boots every kernel, runs the tests there, and shows what each program and each test came to.
pub fn vm(options: &Options) -> anyhow::Result<()> {
    setup::ensure(setup::VM)?;
    let programs = build()?;
    let directory = workspace::target().join("vm");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let busybox = debian::busybox(&directory)?;
    let arguments = arguments(&options.tests);
    let mut reports = Vec::new();
    for series in &options.kernels {
        let kernel = debian::kernel(&directory, series)?;
        let initramfs = initramfs::pack(&directory, &busybox, &programs, &arguments)?;
        let said = machine::boot(
            &kernel.image,
            &initramfs,
            &directory.join(format!("console-{series}")),
        )?;
        reports.push(Report::read(&kernel.release, &said));
    }
    println!("{}", report::table(&reports));
    let enough = if options.tests.is_empty() {
        SMOKE.len()
    } else {
        1
    };
    match reports.iter().find(|report| !report.is_good(enough)) {
        Some(report) => bail!(
            "Linux {}: a test failed or did not run; what it said is above",
            report.kernel
        ),
        None => Ok(()),
    }
}

/// What the test binary is told.
fn arguments(tests: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = ["--test-threads=1", "--show-output"]
        .map(str::to_owned)
        .into();
    if tests.is_empty() {
        arguments.push("--exact".into());
        arguments.extend(SMOKE.map(str::to_owned));
    } else {
        arguments.extend_from_slice(tests);
    }
    arguments
}

/// Builds the agent, its command line, the client and the kernel tests.
fn build() -> anyhow::Result<Vec<PathBuf>> {
    let build = [
        "build",
        "--release",
        "--bins",
        "--tests",
        "--package",
        "mesh-agent",
        "--package",
        "meshctl",
        "--package",
        "mesh-tests",
    ];
    run::check(&mut cargo(&build))?;
    let messages = run::read(cargo(&build).arg("--message-format=json"))?;
    let test = test_binary(&messages)
        .context("cargo names no test binary `kernel` of package mesh-tests")?;
    let mut programs: Vec<_> = ["mesh-agent", "meshctl", "mesh-client"]
        .map(workspace::release)
        .into();
    programs.push(test);
    programs.push(run::which("bpftool").unwrap_or_else(|| Path::new("/usr/sbin/bpftool").into()));
    Ok(programs)
}

fn test_binary(messages: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = messages.filter(|message| {
        message["target"]["name"] == "kernel" && message["profile"]["test"] == true
    });
    tests.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_binary_is_found_among_what_cargo_built() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"kernel\"},\"profile\":{\"test\":true},\
                        \"executable\":\"/t/kernel-1\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(test_binary(messages), Some("/t/kernel-1".into()));
        assert_eq!(
            test_binary(
                "{\"target\":{\"name\":\"golden\"},\"profile\":{\"test\":true},\"executable\":\"/x\"}"
            ),
            None
        );
    }

    #[test]
    fn the_smoke_test_is_exact_and_other_tests_are_parts_of_names() {
        assert_eq!(
            arguments(&["uninstall".into()]),
            ["--test-threads=1", "--show-output", "uninstall"]
        );
        assert_eq!(arguments(&[])[2], "--exact");
    }
}
