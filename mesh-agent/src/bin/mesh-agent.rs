//! The daemon.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use mesh_agent::{
    agent::{self, addresses, heap},
    config::Flags,
    dataplane::pin,
};
use tracing::error;
use tracing_subscriber::EnvFilter;

/// Service mesh in the socket layer: resolves service addresses inside connect(2), without a proxy.
#[derive(Parser)]
#[command(version, after_help = "Ask a running agent with meshctl, for instance `meshctl status`.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what the service files say, until stopped; traffic goes on without the agent
    Run(Start),
    /// Remove every link, pin and map that agents left in the kernel
    Uninstall(Start),
}

#[derive(Args)]
struct Start {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("MESH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let result = match Cli::parse().command {
        Command::Run(start) => run(start.flags),
        Command::Uninstall(start) => uninstall(start.flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<()> {
    heap::keep_small();
    let settings = flags.resolve()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(agent::run(settings))
}

fn uninstall(flags: Flags) -> anyhow::Result<()> {
    let settings = flags.resolve()?;
    pin::uninstall(&settings.pin_dir)?;
    addresses::forget(&settings.state_dir)?;
    Ok(())
}
