//! The others: rules as kube-proxy writes them, and a proxy.

pub mod haproxy;
pub mod iptables;
pub mod nftables;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{bench::interrupt, command_result::CommandResult, place::Place};

/// The longest of them takes a minute and a half.
const PATIENCE: Duration = Duration::from_secs(300);

/// Clients come from here, which kube-proxy takes for pods: they keep their address.
const PODS: &str = "10.0.0.0/24";

/// Hands rules to a program at a place; how long it took, or its words if it cannot.
pub fn apply(
    place: &Place,
    scratch: &Path,
    rules: &str,
    words: &[&str],
) -> Result<Duration, String> {
    let file = scratch.join("rules");
    fs::write(&file, rules).map_err(|error| error.to_string())?;
    let [program, words @ ..] = words else {
        return Err("no program".into());
    };
    let mut command: Command =
        place.command(super::process::find(program).ok_or(format!("there is no {program}"))?);
    command.args(words).arg(&file);
    let start = Instant::now();
    let outcome = CommandResult::of(&mut command, PATIENCE);
    interrupt::check();
    let took = start.elapsed();
    match outcome.code {
        Some(0) => Ok(took),
        _ => Err(format!(
            "{program}: {}",
            outcome.stderr.lines().next().unwrap_or("failed")
        )),
    }
}
