//! Runs kernel tests on other kernels, each in an emulated machine.
//!
//! ```text
//! archives ──► debian ──► kernel image, busybox ──► initramfs ──► machine ──► report ──► recorded
//!                 cargo ──► agent, kernel tests ──┘
//! ```

mod archives;
mod debian;
mod initramfs;
mod machine;
mod recorded;
mod report;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use self::{debian::Kernel, report::Report};
use crate::{
    cargo::{build_agent, build_tests},
    run, setup, workspace,
};

/// Kernels, and the tests to run on them.
#[derive(Args)]
pub struct Options {
    /// Series of a kernel that Debian or Ubuntu has, like 5.15; may be given several times; `all` for
    /// those of docs/operations.md
    #[arg(long = "kernel", value_name = "SERIES", default_values = ["6.1", "6.12"])]
    kernels: Vec<String>,
    /// Kernel tests to run there, by a part of their names, instead of the smoke test
    tests: Vec<String>,
}

/// Series that `--kernel all` boots, of those that Debian and Ubuntu have.
const ALL: [&str; 11] = [
    "5.10", "5.15", "6.1", "6.5", "6.8", "6.12", "6.18", "7.0", "7.1", "7.2", "7.3",
];

/// The smoke test: all programs are accepted; a connect to a service reaches its endpoint or is
/// refused, over IPv4 and IPv6, TCP and UDP; uninstalling leaves nothing.
const SMOKE: &[&str] = &[
    "verifier_cost::every_program_is_verified_within_its_bound",
    "attach_time::the_programs_are_attached_soon_after_the_start",
    "behaviours::refused::b01_a_service_without_its_last_endpoint_refuses_and_serves_when_one_returns",
    "behaviours::dual_stack::b12_a_udp_socket_connected_elsewhere_shows_its_real_peer",
    "uninstall::uninstall_leaves_no_link_no_program_no_map_and_no_pin",
];

/// The same for kernels on which refusals are EPERM.
const SMOKE_WITHOUT_SET_RETVAL: &[&str] = &[
    "verifier_cost::every_program_is_verified_within_its_bound",
    "attach_time::the_programs_are_attached_soon_after_the_start",
    "kernel_features::without_bpf_set_retval_refusals_are_eperm_and_status_and_doctor_say_so",
    "behaviours::dual_stack::b12_a_udp_socket_connected_elsewhere_shows_its_real_peer",
    "uninstall::uninstall_leaves_no_link_no_program_no_map_and_no_pin",
];

/// The test for kernels that are too old: the agent names what is missing.
const TOO_OLD: &[&str] = &[
    "kernel_features::a_kernel_that_is_too_old_is_named_in_one_sentence_with_the_one_that_is_needed",
];

/// Returns the smoke test of a series.
fn smoke(series: &str) -> &'static [&'static str] {
    match series {
        "5.10" => TOO_OLD,
        "5.15" => SMOKE_WITHOUT_SET_RETVAL,
        _ => SMOKE,
    }
}

/// Boots every kernel, runs the tests there, and prints the result of each program and test. One
/// kernel after the other, because times are measured.
pub fn vm(options: &Options) -> anyhow::Result<()> {
    setup::ensure(setup::VM)?;
    let directory = workspace::target().join("vm");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let busybox = debian::busybox(&directory)?;
    let kernels = debian::kernels(&directory, &series(&options.kernels))?;
    let programs = build()?;
    let run = |(series, kernel): &(&str, Kernel)| {
        let directory = directory.join(series);
        let arguments = arguments(series, &options.tests);
        let initramfs = initramfs::pack(&directory, &busybox, &programs, &arguments)?;
        let console = directory.join("console");
        let (said, broken) = machine::boot(series, &kernel.image, &initramfs, &console)?;
        Ok(Report::read(&kernel.release, &said, broken))
    };
    let reports = kernels
        .iter()
        .map(run)
        .collect::<anyhow::Result<Vec<_>>>()?;
    println!("{}", report::table(&reports));
    if env::var_os(recorded::UPDATE).is_some() {
        recorded::update(&reports)?;
    }
    let enough = |series: &str| {
        if options.tests.is_empty() {
            smoke(series).len()
        } else {
            1
        }
    };
    let bad: Vec<_> = kernels
        .iter()
        .zip(&reports)
        .filter(|((series, _), report)| !report.is_good(enough(series)))
        .map(|(_, report)| report.kernel.as_str())
        .collect();
    if !bad.is_empty() {
        bail!(
            "Linux {}: a test failed or did not run; what it said is above",
            bad.join(" and ")
        );
    }
    Ok(())
}

/// Returns the series that are asked for.
fn series(asked: &[String]) -> Vec<&str> {
    asked
        .iter()
        .flat_map(|series| match series.as_str() {
            "all" => ALL.to_vec(),
            series => vec![series],
        })
        .collect()
}

/// Returns the arguments of the test binary.
fn arguments(series: &str, tests: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = ["--test-threads=1", "--show-output"]
        .map(str::to_owned)
        .into();
    if tests.is_empty() {
        arguments.push("--exact".into());
        arguments.extend(smoke(series).iter().copied().map(str::to_owned));
    } else {
        arguments.extend_from_slice(tests);
    }
    arguments
}

/// Builds what the tests need, with the same options as [`cargo::test`](crate::cargo::test), so that
/// nothing is built twice.
fn build() -> anyhow::Result<Vec<PathBuf>> {
    build_agent()?;
    let messages = run::read(build_tests().arg("--message-format=json"))?;
    let test = test_binary(&messages)
        .context("cargo names no test binary `kernel` of package mesh-tests")?;
    let mut programs: Vec<_> = ["mesh-agent", "meshctl", "mesh-client"]
        .map(|name| workspace::built().join(name))
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
    fn all_stands_for_every_series_that_was_booted() {
        assert_eq!(series(&["all".into()]), ALL);
        assert_eq!(series(&["6.1".into(), "7.2".into()]), ["6.1", "7.2"]);
    }

    #[test]
    fn the_smoke_test_is_exact_and_other_tests_are_parts_of_names() {
        assert_eq!(
            arguments("6.1", &["uninstall".into()]),
            ["--test-threads=1", "--show-output", "uninstall"]
        );
        assert_eq!(arguments("6.1", &[])[2..4], ["--exact", SMOKE[0]]);
        assert_eq!(arguments("5.10", &[])[3..], *TOO_OLD);
    }
}
