//! Other implementations: rules as kube-proxy writes them, and HAProxy.

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

/// Timeout of loading rules. The largest set takes 90 s.
const PATIENCE: Duration = Duration::from_secs(300);

/// Network of the clients. kube-proxy does not masquerade addresses of pods.
const PODS: &str = "10.0.0.0/24";

/// Loads rules with a program in a place. Returns the time, or the error of the program.
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
        place.command(super::process::find(program).ok_or(format!("{program} is not installed"))?);
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
