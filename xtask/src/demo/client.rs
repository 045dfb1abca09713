//! Unmodified clients: curl, and bash for UDP.

use std::{os::unix::process::CommandExt, process::Command, time::Duration};

use anyhow::{Context, bail};

use super::{site::Site, tally::Tally};
use crate::run;

/// Returns a command that runs in the demo's cgroup. A shell enters the cgroup first, because the
/// programs that run for a socket are those of the cgroup in which it was created.
pub fn inside(site: &Site, program: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
        .arg(&site.cgroup)
        .arg(program);
    // Ctrl-C must reach only the demo.
    shell.process_group(0);
    shell
}

/// Returns the command line with which a user runs a command in the cgroup.
pub fn inside_line(site: &Site, command: &str) -> String {
    format!(
        "sh -c 'echo $$ > {}/cgroup.procs; exec {command}'",
        site.cgroup.display()
    )
}

/// Options of curl: prints errors only, uses no proxy, and gives up after five seconds.
const QUIET: [&str; 6] = [
    "--silent",
    "--show-error",
    "--noproxy",
    "*",
    "--max-time",
    "5",
];

/// Connects `times` times with one curl. Each answer is the name of an endpoint.
pub fn curl(site: &Site, service: &str, times: u32) -> anyhow::Result<Tally> {
    let url = format!("http://{service}/?[1-{times}]");
    let mut curl = inside(site, "curl");
    curl.args(QUIET).arg(&url);
    Ok(run::read(&mut curl)?.lines().collect())
}

/// Returns the peer address that curl reports.
pub fn curl_peer(site: &Site, service: &str) -> anyhow::Result<String> {
    let mut curl = inside(site, "curl");
    curl.args(QUIET).args(["--output", "/dev/null"]);
    run::read(
        curl.args(["--write-out", "%{remote_ip} port %{remote_port}"])
            .arg(format!("http://{service}/")),
    )
}

/// Connects to a service without endpoints. Returns the time until curl was refused.
pub fn curl_refused(site: &Site, service: &str) -> anyhow::Result<Duration> {
    let mut curl = inside(site, "curl");
    curl.args([
        "--silent",
        "--noproxy",
        "*",
        "--max-time",
        "5",
        "--write-out",
        "%{time_total}",
    ]);
    let output = curl.arg(format!("http://{service}/")).output()?;
    // Exit code 7: could not connect.
    if output.status.code() != Some(7) {
        bail!("curl http://{service}/ was not refused: {}", output.status);
    }
    let seconds = String::from_utf8(output.stdout)?;
    Ok(Duration::from_secs_f64(
        seconds.trim().parse().with_context(|| seconds)?,
    ))
}

/// Opens `times` UDP sockets with one bash. Each answer is the name of an endpoint.
pub fn udp(site: &Site, (host, port): (&str, u16), times: u32) -> anyhow::Result<Tally> {
    let script = format!(
        "for i in $(seq {times}); do exec 3<>/dev/udp/{host}/{port}; echo how many >&3; timeout 1 head -n 1 <&3; done; true"
    );
    Ok(run::read(inside(site, "bash").args(["-c", &script]))?
        .lines()
        .collect())
}
