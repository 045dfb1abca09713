//! Boots an emulated machine.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;

use super::recorded;
use crate::run;

/// Timeout of all tests of one kernel, seconds. An emulated processor is about ten times slower.
const LONGEST: &str = "1200";

/// Exit code of `timeout` when the time is over.
const TIMED_OUT: i32 = 124;

/// Boots a kernel of a series. Prints the output of the tests as it comes. Returns it, and why the
/// machine ended unless it powered off. The output of the kernel goes to `console`.
pub fn boot(
    series: &str,
    kernel: &Path,
    initramfs: &Path,
    console: &Path,
) -> anyhow::Result<(String, Option<String>)> {
    let mut command = command(kernel, initramfs, console);
    println!("$ {}", run::line(&command));
    let mut machine = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| run::line(&command))?;
    let output = machine.stdout.take().context("standard output is piped")?;
    let mut said = String::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        println!("  {series}  {line}");
        said += &(line + "\n");
    }
    let status = machine.wait()?;
    let broken = match status.code() {
        Some(0) => None,
        Some(TIMED_OUT) => Some(format!("did not end within {LONGEST} s")),
        _ => Some(format!("ended with {status}")),
    };
    let broken =
        broken.map(|reason| format!("the machine {reason}; its console is {}", console.display()));
    Ok((said, broken))
}

/// Returns the command of the emulator. Without KVM, which virtual machines often have but cannot use.
/// Without the kernel's check of its timer, which fails when the host is busy.
fn command(kernel: &Path, initramfs: &Path, console: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args([
        LONGEST,
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "2G",
        "-nodefaults",
    ]);
    command.args(["-no-reboot", "-display", "none"]);
    command.arg("-append").arg(parameters());
    command
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs);
    command
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"]);
    command
}

/// Returns the parameters of the kernel. One that it does not know is in the environment of the tests.
fn parameters() -> String {
    let mut parameters = "console=ttyS0 panic=-1 quiet no_timer_check".to_owned();
    if env::var_os(recorded::UPDATE).is_some() {
        parameters += &format!(" {}=1", recorded::UPDATE);
    }
    parameters
}
