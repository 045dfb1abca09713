//! The command line of `meshctl`: one file per noun.
//!
//! ```text
//! arguments ──► Cli ──► noun ──► client ══ agent
//!                         │
//!                         └────► session ──► render ──► a table, JSON or YAML
//! ```

mod backend;
mod completion;
mod config;
mod doctor;
mod explain;
mod health_cell;
mod layout;
mod service_name;
mod render;
mod service;
mod session;
mod stats;
mod status;
mod support_bundle;
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

use mesh_api as api;
use mesh_core::{
    duration, man_pages, model, printable, source,
    usage::{self, Usage},
};

use self::session::Session;
pub use self::{completion::complete, layout::Screen, session::Streams};
use crate::{
    api::client::{self, Client},
    printable::printable_lines,
};

/// Show and control the services of this node and the connections that the kernel makes to them.
///
/// meshctl queries the agent of this node over its control socket, which only root can open. A
/// service is NAME (in the namespace of -n, or `default`) or NAMESPACE/NAME. Tables fit the
/// terminal; -o wide shows all columns. Scripts use -o json or -o yaml, whose fields never change
/// their meaning. Exit codes: 0 ok, 1 the answer is "no" or an error, 2 wrong usage.
#[derive(Parser)]
#[command(name = "meshctl", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

const EXAMPLES: &str = "\
Examples:
  meshctl status                       state of the agent, errors of the configuration
  meshctl service list                 all services of this node
  meshctl service get shop/cart        one service, with its endpoints
  meshctl backend list -n shop         load of every endpoint in a namespace
  meshctl stats -w 1s                  connections per second
  meshctl explain 10.96.0.10:80        where a connect goes now, and why
  meshctl doctor                       what is wrong, and what to do
  meshctl backend drain shop/cart 10.0.0.1:8080 --wait
                                       before an endpoint is removed
  meshctl config validate ./services   check files before they are deployed
  meshctl service list -o json | jq -r '.[].name'";

/// The default socket of the agent.
const SOCKET: &str = "/run/mesh-agent/agent.sock";

/// Options of every command.
#[derive(clap::Args)]
struct Global {
    /// Socket of the agent
    #[arg(long, global = true, env = "MESH_SOCKET", value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Output format
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORM",
        default_value = "table"
    )]
    output: render::Format,
    /// Namespace [default: all namespaces for lists, `default` for names]
    #[arg(short, long, global = true)]
    namespace: Option<String>,
}

#[derive(Subcommand)]
enum Noun {
    Status(status::Args),
    #[command(subcommand, aliases = ["services", "svc"])]
    Service(service::Verb),
    #[command(subcommand, aliases = ["backends", "endpoint", "endpoints"])]
    Backend(backend::Verb),
    Stats(stats::Args),
    Explain(explain::Args),
    Doctor(doctor::Args),
    SupportBundle(support_bundle::Args),
    #[command(subcommand)]
    Config(config::Verb),
    Completion(completion::Args),
    /// Print all man pages as JSON, from file name to text
    #[command(hide = true)]
    ManPages,
}

/// The exit code of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done, and the answer is not "no".
    Ok,
    /// The answer is "no", or the command failed.
    No,
    /// The command line is invalid.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::No => 1,
            Exit::Usage => 2,
        })
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Agent(#[from] client::Error),
    #[error(transparent)]
    Name(#[from] service_name::Error),
    #[error(transparent)]
    Endpoint(#[from] backend::Error),
    #[error("{0} covers the whole agent: leave out -n {1}")]
    WholeAgent(&'static str, String),
    #[error(transparent)]
    Bundle(#[from] support_bundle::Error),
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
    #[error("cannot write the answer as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            // The reader closed the pipe, as `| head` does.
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Endpoint(backend::Error::Malformed(_) | backend::Error::DeadlineAlone) => {
                Exit::Usage
            }
            Self::Agent(_)
            | Self::Endpoint(_)
            | Self::Bundle(_)
            | Self::Write(_)
            | Self::Yaml(_) => Exit::No,
            Self::Name(_) | Self::WholeAgent(..) => Exit::Usage,
        }
    }
}

/// Runs one command line, program name first. The answer goes to `streams.out`, everything else to
/// `streams.err`.
pub async fn run<I, T>(arguments: I, mut streams: Streams<'_>) -> Exit
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let cli = match usage::read(arguments, hint) {
        Usage::Right(cli) => cli,
        Usage::Answer(page) => return show(&page, &mut streams),
        Usage::Wrong { lines, rest: _ } => return refuse(&lines, &mut *streams.err),
    };
    match answer(cli, &mut streams).await {
        Ok(exit) => exit,
        Err(failure) => report(&failure, &mut *streams.err),
    }
}

async fn answer(cli: Cli, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let Global {
        socket,
        output,
        namespace,
    } = cli.global;
    let mut session = Session::new(Client::new(socket), namespace, output, streams);
    match cli.noun {
        Noun::Status(args) => status::run(&mut session, args).await,
        Noun::Service(verb) => service::run(&mut session, verb).await,
        Noun::Backend(verb) => backend::run(&mut session, verb).await,
        Noun::Stats(args) => stats::run(&mut session, args).await,
        Noun::Explain(args) => explain::run(&mut session, args).await,
        Noun::Doctor(args) => doctor::run(&mut session, args).await,
        Noun::SupportBundle(args) => support_bundle::run(&mut session, args).await,
        Noun::Config(verb) => config::run(&mut session, verb).await,
        Noun::Completion(args) => completion::run(&mut session, args),
        Noun::ManPages => {
            session.write(&[&man_pages::json(Cli::command(), "1"), "\n"])?;
            Ok(Exit::Ok)
        }
    }
}

/// Prints help and version. Help because of a missing verb is a usage error.
fn show(page: &clap::Error, Streams { out, err, .. }: &mut Streams<'_>) -> Exit {
    let (stream, exit) = if page.use_stderr() {
        (err, Exit::Usage)
    } else {
        (out, Exit::Ok)
    };
    match write!(stream, "{}", page.render()) {
        Ok(()) => exit,
        Err(error) => Failure::Write(error).exit(),
    }
}

fn refuse(wrong: &[String], err: &mut dyn Write) -> Exit {
    for line in wrong {
        // Fails when stderr is closed; the exit code is enough then.
        let _ = writeln!(err, "meshctl: {line}");
    }
    Exit::Usage
}

/// Returns what to type instead of commands of other tools.
fn hint(error: &clap::Error) -> &'static str {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if word == "get" || word == "list" => {
            "; the noun comes first: `meshctl service list`, `meshctl service get NAME`, `meshctl backend list`"
        }
        Some(ContextValue::String(word)) if word == "top" => {
            "; use `meshctl stats -w` for rates, `meshctl backend list -w` for load"
        }
        Some(ContextValue::String(word)) if word == "describe" => {
            "; the noun comes first: `meshctl service describe NAME`"
        }
        _ => "",
    }
}

fn report(failure: &Failure, err: &mut dyn Write) -> Exit {
    let exit = failure.exit();
    if exit != Exit::Ok {
        // Fails when stderr is closed; the exit code is enough then.
        let _ = writeln!(err, "meshctl: {}", printable_lines(&failure.to_string()));
    }
    exit
}

#[cfg(test)]
mod tests;
