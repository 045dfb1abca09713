//! `meshctl completion`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, Exit, Failure, session::Session};

/// Print a script that completes commands in your shell
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  source <(meshctl completion bash)                        in this shell
  meshctl completion bash > /etc/bash_completion.d/meshctl for everybody
  meshctl completion zsh > \"${fpath[1]}/_meshctl\"
  meshctl completion fish > ~/.config/fish/completions/meshctl.fish")]
pub(super) struct Args {
    /// Your shell
    shell: Shell,
}

pub(super) fn run(session: &mut Session<'_>, Args { shell }: Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "meshctl", &mut script);
    session.write(&[&String::from_utf8_lossy(&script)])?;
    Ok(Exit::Ok)
}
