//! `meshctl doctor`

mod outside;

use std::path::{Path, PathBuf};

use super::{
    Exit, Failure,
    layout::{Column, Layout},
    render::{count, printable},
    session::Session,
};
use crate::api::types::{Diagnosis, Finding, Severity};

/// Where the agent pins its programs if not told otherwise.
pub(super) const PIN_DIR: &str = "/sys/fs/bpf/mesh-agent";

/// Find out what is wrong with the agent and its node, and what to do
///
/// Asks the agent, which connects through each of its own programs and looks at other programs on
/// its cgroup, at its maps, permissions and clocks, and for kube-proxy, Cilium and Calico. When no
/// agent answers, looks at what can be seen from outside. Shows what is wrong, worst first, each
/// with its remedy. The exit code is 1 when there is an error, otherwise 0; with --strict also 1
/// when there is a warning.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  meshctl doctor                    what is wrong, and what to do
  meshctl doctor -v                 all checks, also those that found nothing
  meshctl doctor --strict           fails on warnings, too, for a rollout
  meshctl doctor -o json | jq -r '.findings[] | select(.severity != \"ok\") | .id'
                                    for a script; the names of checks are stable")]
pub(super) struct Args {
    /// Also show checks that found nothing wrong
    #[arg(short, long)]
    verbose: bool,
    /// Exit with 1 when there is a warning
    #[arg(long)]
    strict: bool,
    /// Pin directory of the agent; used only when no agent answers
    #[arg(long, env = "MESH_PIN_DIR", value_name = "PATH", default_value = PIN_DIR)]
    pin_dir: PathBuf,
}

pub(super) async fn run(session: &mut Session<'_>, args: Args) -> Result<Exit, Failure> {
    if let Some(namespace) = &session.namespace {
        return Err(Failure::WholeAgent("doctor", namespace.clone()));
    }
    let diagnosis = diagnose(session, &args.pin_dir).await;
    session.show(&diagnosis, |diagnosis, layout| {
        page(diagnosis, layout, args.verbose || layout == Layout::Wide)
    })?;
    let worst = worst(&diagnosis);
    let limit = if args.strict {
        Severity::Warning
    } else {
        Severity::Error
    };
    Ok(if worst >= limit { Exit::No } else { Exit::Ok })
}

/// Returns the findings of the agent, and those of this command.
pub(super) async fn diagnose(session: &Session<'_>, pin_dir: &Path) -> Diagnosis {
    match session.client.doctor().await {
        Ok(mut diagnosis) => {
            diagnosis
                .findings
                .push(versions(&diagnosis.version, env!("CARGO_PKG_VERSION")));
            diagnosis
        }
        Err(error) => outside::diagnose(&error, session.client.socket(), pin_dir),
    }
}

fn versions(agent: &str, own: &str) -> Finding {
    if agent == own {
        return Finding::ok("version", format!("agent and meshctl have version {own}"));
    }
    let what = format!("the agent has version {agent}, meshctl has {own}");
    let remedy = "install both from one release, and restart the agent";
    Finding::warning("version", what, remedy)
}

fn worst(diagnosis: &Diagnosis) -> Severity {
    let all = diagnosis.findings.iter().map(|finding| finding.severity);
    all.max().unwrap_or(Severity::Ok)
}

fn page(diagnosis: &Diagnosis, layout: Layout, verbose: bool) -> String {
    let mut findings: Vec<&Finding> = diagnosis.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let of = |severity| {
        let of = |finding: &&&Finding| finding.severity == severity;
        findings.iter().filter(of).count()
    };
    let (errors, warnings, well) = (of(Severity::Error), of(Severity::Warning), of(Severity::Ok));
    let mut page = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok)
        .map(|finding| block(finding))
        .collect::<String>();
    if verbose && well > 0 {
        let row = |finding: &&&Finding| {
            let Finding { id, what, .. } = **finding;
            vec![printable(id), printable(what)]
        };
        let well = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Ok);
        page += &layout.table(&WELL, well.collect::<Vec<_>>().iter().map(row));
        page += "\n";
    }
    let hint = if verbose || well == 0 {
        ""
    } else {
        "; -v shows all"
    };
    page + &format!(
        "{}, {}, {} well{hint}\n",
        count(errors, "error"),
        count(warnings, "warning"),
        count(well, "check")
    )
}

const WELL: [Column<'_>; 2] = [Column::new("CHECK"), Column::new("FOUND")];

/// Formats a finding that is not well as a paragraph.
fn block(finding: &Finding) -> String {
    let Finding {
        id,
        severity,
        what,
        remedy,
    } = finding;
    let mut text = format!(
        "{} {}: {}\n",
        severity.word().to_uppercase(),
        printable(id),
        printable(what)
    );
    if !remedy.is_empty() {
        text += &format!("  Remedy: {}\n", printable(remedy));
    }
    text + "\n"
}

#[cfg(test)]
mod tests;
