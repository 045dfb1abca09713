//! The daemon.

use std::{
    convert::Infallible,
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use mesh_agent::{
    agent::{self, malloc, open_file_limit, uninstall},
    config::{Flags, Settings, SettingsError},
    dataplane::privileges,
    logging::{self, Filter},
    namespaces,
};
use mesh_core::{
    man_pages,
    printable::printable,
    usage::{self, Usage},
};
use nix::sys::stat::{Mode, umask};
use tracing::{error, warn};

/// Service mesh in the socket layer: resolves service addresses inside connect(2), without a proxy.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Use meshctl to query a running agent, for instance `meshctl status`. Exit codes: 0 stopped by a signal, 1 \
                  error, 2 wrong flags, environment or settings file."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log level: error, warn, info, debug, trace or off; debug shows every row that is written
    /// [default: info]
    #[arg(long, global = true, env = "MESH_LOG", value_name = "LEVEL", value_parser = filter)]
    log: Option<Result<Filter, String>>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the services in the service files until stopped; traffic goes on after that
    Run(Start),
    /// Remove the programs, links and maps from the kernel, the files in --state-dir and the socket
    Uninstall(Start),
    /// Enter network namespaces for the agent, which starts this
    #[command(name = namespaces::COMMAND, hide = true)]
    NamespaceHelper {
        /// Do not filter system calls
        #[arg(long)]
        unfiltered: bool,
    },
    /// Print a script that completes commands and flags in your shell
    Completion {
        /// Name of the shell
        shell: Shell,
    },
    /// Print all man pages as JSON, from file name to text
    #[command(hide = true)]
    ManPages,
}

#[derive(Args)]
struct Start {
    #[command(flatten)]
    flags: Flags,
}

/// What is done with the settings.
type Action = fn(Settings) -> anyhow::Result<()>;

/// Keeps an error in the value, so that it is reported together with other errors.
#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn filter(text: &str) -> Result<Result<Filter, String>, Infallible> {
    Ok(text.parse())
}

fn main() -> ExitCode {
    // Only the agent may access the files it creates.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let given_up = privileges::give_up();
    let (Cli { command, log }, mut wrong) = match usage::read(env::args_os(), |_| "") {
        Usage::Right(cli) => (cli, Vec::new()),
        Usage::Wrong {
            lines,
            rest: Some(cli),
        } => (cli, lines),
        Usage::Wrong { lines, rest: None } => return refuse(&lines),
        Usage::Answer(answer) => answer.exit(),
    };
    let filter = log.transpose().unwrap_or_else(|reason| {
        wrong.push(format!("--log (or MESH_LOG): {reason}"));
        None
    });
    let (action, flags): (Action, _) = match command {
        Command::Run(Start { flags }) => (run, flags),
        Command::Uninstall(Start { flags }) => (|settings| uninstall(&settings), flags),
        Command::NamespaceHelper { unfiltered } => return help_with_namespaces(!unfiltered),
        Command::Completion { .. } | Command::ManPages if !wrong.is_empty() => {
            return refuse(&wrong);
        }
        Command::Completion { shell } => return print(&completion(shell)),
        Command::ManPages => return print(man_pages::json(Cli::command(), "8").as_bytes()),
    };
    let settings = flags
        .resolve()
        .map_err(|SettingsError(lines)| wrong.extend(lines));
    let Some(settings) = settings.ok().filter(|_| wrong.is_empty()) else {
        return refuse(&wrong);
    };
    logging::start(&filter.unwrap_or_default());
    if let Err(error) = given_up {
        warn!(
            "cannot drop all privileges, so core dumps or tracing by other users may be possible: {error}"
        );
    }
    match action(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the namespace helper. It has no settings and no log.
fn help_with_namespaces(filters: bool) -> ExitCode {
    match namespaces::run(filters) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&[format!("{error:#}")]),
    }
}

fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mesh-agent", &mut script);
    script
}

fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints all errors of the command line and the settings.
fn refuse(wrong: &[String]) -> ExitCode {
    for line in wrong {
        // Fails when the stream is closed; the exit code is enough then.
        _ = writeln!(io::stderr(), "mesh-agent: {}", printable(line));
    }
    ExitCode::from(2)
}

fn run(mut settings: Settings) -> anyhow::Result<()> {
    malloc::limit_caching();
    open_file_limit::raise();
    let preparation = agent::prepare(&mut settings)?;
    let run_time = preparation.run_time.clone();
    let confine = move || run_time.enter().expect("giving up capabilities needs none");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(confine)
        .enable_all()
        .build()?;
    let result = runtime.block_on(agent::run(settings, preparation));
    // Does not wait for a read that hangs.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Removes everything, and prints what was removed.
fn uninstall(settings: &Settings) -> anyhow::Result<()> {
    for line in uninstall::uninstall(settings)? {
        // Fails when the stream is closed; the exit code is enough then.
        _ = writeln!(io::stdout(), "{line}");
    }
    Ok(())
}
