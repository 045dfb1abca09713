//! `meshctl support-bundle`
//!
//! ```text
//! agent ──► status, services, diagnosis, support ──┐
//! node  ──► releases, mounts ──────────────────────┼──► mask ──► pack ──► FILE.tar.gz
//! files ──► service files, if asked for ───────────┘
//! ```

mod mask;
mod pack;
mod service_files;

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use mesh_files::mounts;
use serde::Serialize;

use super::{Exit, Failure, doctor, session::Session};
use crate::api::{client, types::Status};

/// Pack what a bug report needs into one archive, without secrets
///
/// Packs the answer of `meshctl doctor`, status, services with their counters, effective settings,
/// metrics, programs and maps, the last warnings of the log, and releases and mounts of the node.
/// Values of headers and annotations, tokens, passwords and user names in URLs are masked; the
/// environment is not read. Names and addresses of services and endpoints are in it: look through
/// it before you publish it. Only the owner can read the file. What is packed is listed.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl support-bundle                     writes mesh-agent-support-TIME.tar.gz
  meshctl support-bundle -f /tmp/report.tar.gz --with-services
  tar xzOf report.tar.gz --wildcards '*/doctor.json'
                                             reads one part of it")]
pub(super) struct Args {
    /// File to write; it must not exist [default: mesh-agent-support-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Also pack the service files, with values of headers and annotations masked
    #[arg(long)]
    with_services: bool,
    /// Pin directory of the agent; used only when no agent answers
    #[arg(long, env = "MESH_PIN_DIR", value_name = "PATH", default_value = doctor::PIN_DIR)]
    pin_dir: PathBuf,
}

/// A bundle could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {reason}; name another file with --file", path.display())]
pub(super) struct Error {
    path: PathBuf,
    reason: std::io::Error,
}

/// A file of the bundle: its name and its text.
type Part = (String, String);

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    let Args {
        file,
        with_services,
        pin_dir,
    } = args;
    let name = format!(
        "mesh-agent-support-{}",
        Timestamp::now().strftime("%Y%m%d-%H%M%S")
    );
    let path = file.unwrap_or_else(|| format!("{name}.tar.gz").into());
    let parts = gather(session, with_services, &pin_dir).await;
    pack::write(&path, &name, &parts).map_err(|reason| Error {
        path: path.clone(),
        reason,
    })?;
    let lines = parts
        .iter()
        .map(|(name, text)| format!("  {name}, {} bytes\n", text.len()));
    let list: String = lines.collect();
    session.write(&[&format!("wrote {}:\n{list}", path.display())])?;
    Ok(Exit::Ok)
}

/// Returns all parts, masked.
async fn gather(session: &Session<'_>, with_services: bool, pin_dir: &Path) -> Vec<Part> {
    let client = &session.client;
    let diagnosis = doctor::diagnose(session, pin_dir).await;
    let status = client.status().await;
    let mut parts = vec![
        json("doctor.json", Ok::<_, client::Error>(&diagnosis)),
        json("status.json", status.as_ref()),
        json("services.json", client.services(None).await),
    ];
    match client.support().await {
        Ok(support) => parts.extend([
            text("settings.txt", &support.settings),
            text("metrics.txt", &support.metrics),
            text("log.txt", &support.log.join("\n")),
            json("maps.json", Ok::<_, client::Error>(support.maps)),
            json("programs.json", Ok::<_, client::Error>(support.programs)),
        ]),
        Err(error) => parts.push(text("support-error.txt", &error.to_string())),
    }
    parts.push(text("node.txt", &node()));
    if with_services && let Ok(Status { sources, .. }) = &status {
        parts.extend(
            sources
                .iter()
                .flat_map(|source| service_files::read(source)),
        );
    }
    parts
}

/// Returns an answer as JSON, or why there is none.
fn json<T: Serialize, E: ToString>(name: &str, answer: Result<T, E>) -> Part {
    let value = match answer {
        Ok(answer) => serde_json::to_value(answer).expect("answers are structs with string keys"),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    let masked = mask::value(value);
    let text = serde_json::to_string_pretty(&masked).expect("a JSON value");
    (name.to_owned(), text + "\n")
}

fn text(name: &str, text: &str) -> Part {
    (name.to_owned(), mask::text(text))
}

/// Returns releases of kernel, distribution and meshctl, and mounts of cgroup and bpf filesystems.
fn node() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_else(|error| format!("{path}: {error}\n"));
    let all = mounts::read().unwrap_or_default().into_iter();
    let wanted = [&b"cgroup2"[..], b"cgroup", b"bpf"];
    let relevant = all.filter(|mount| wanted.contains(&mount.kind.as_slice()));
    let mounts = relevant.map(|mount| {
        let kind = String::from_utf8_lossy(&mount.kind).into_owned();
        let root = String::from_utf8_lossy(&mount.root).into_owned();
        format!("{kind} {root} at {}\n", mount.point.display())
    });
    format!(
        "meshctl {}\n\nkernel\n{}\ndistribution\n{}\nmounts\n{}",
        env!("CARGO_PKG_VERSION"),
        read("/proc/version"),
        read("/etc/os-release"),
        mounts.collect::<String>()
    )
}

#[cfg(test)]
mod tests;
