//! `meshctl completion`, and the completion requests of shells.
//!
//! ```text
//! shell ── COMPLETE=bash meshctl -- WORDS ──► complete() ──► names that the agent knows ──► shell
//! ```

mod names;

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
};

use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::{
    CompleteEnv, Shell,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};

use self::names::Names;
use super::{Cli, Exit, Failure, session::Session};

/// Stops Bash from splitting words at `:`, which addresses contain.
const BASH_WORDS: &str = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n";

/// Print a script that completes commands, services and endpoints in your shell
///
/// Completes names of services, namespaces, endpoints and ports by asking the running agent.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  source <(meshctl completion bash)                        in this shell
  meshctl completion bash > /etc/bash_completion.d/meshctl for all users
  meshctl completion zsh > \"${fpath[1]}/_meshctl\"
  meshctl completion fish > ~/.config/fish/completions/meshctl.fish")]
pub(super) struct Args {
    /// Name of the shell
    shell: Shell,
}

pub(super) fn run(session: &mut Session<'_>, Args { shell }: Args) -> Result<Exit, Failure> {
    let name = shell
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .expect("the engine has every shell that can be named");
    let mut script = Vec::new();
    completer.write_registration("COMPLETE", "meshctl", "meshctl", "meshctl", &mut script)?;
    let words = if matches!(shell, Shell::Bash) {
        BASH_WORDS
    } else {
        ""
    };
    session.write(&[&String::from_utf8_lossy(&script), words])?;
    Ok(Exit::Ok)
}

/// Answers the completion request of a shell; returns false for an ordinary command line. Call it
/// before the first thread starts.
pub fn complete() -> bool {
    let typed = || env::args_os().skip_while(|word| word != "--").skip(1);
    let answered =
        CompleteEnv::with_factory(|| command(typed())).try_complete(env::args_os(), None);
    answered.unwrap_or_else(|error| error.exit())
}

/// Returns the command line with completers for names that the agent has. `typed` is the line so
/// far.
fn command(typed: impl Iterator<Item = OsString>) -> Command {
    let names = Names::new(typed);
    let completer = |list: fn(&Names) -> io::Result<Vec<String>>| {
        let names = names.clone();
        ArgValueCompleter::new(move |current: &OsStr| {
            candidates(&list(&names).unwrap_or_default(), current)
        })
    };
    let services = completer(Names::services);
    let of_service = |command: Command| command.mut_arg("service", |arg| arg.add(services.clone()));
    let of_endpoint = |command: Command| {
        of_service(command)
            .mut_arg("endpoint", |arg| arg.add(completer(Names::endpoints)))
            .mut_arg("port", |arg| arg.add(completer(Names::ports)))
    };
    Cli::command()
        .mut_arg("namespace", |arg| arg.add(completer(Names::namespaces)))
        .mut_subcommand("service", |noun| {
            noun.mut_subcommand("get", |verb| {
                verb.mut_arg("name", |arg| arg.add(services.clone()))
            })
        })
        .mut_subcommand("backend", |noun| {
            let listed = noun.mut_subcommand("list", of_service);
            let noun = ["drain", "undrain"]
                .into_iter()
                .fold(listed, |noun, verb| noun.mut_subcommand(verb, of_endpoint));
            // mut_arg() moves an argument behind the others, so the last one is moved as well.
            noun.mut_subcommand("weight", |verb| {
                of_endpoint(verb).mut_arg("weight", |arg| arg)
            })
        })
        .mut_subcommand("stats", of_service)
        .mut_subcommand("explain", |noun| {
            noun.mut_arg("to", |arg| arg.add(completer(Names::frontends)))
        })
}

fn candidates(names: &[String], current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    names
        .iter()
        .filter(|name| name.starts_with(current.as_ref()))
        .map(CompletionCandidate::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use clap_complete::engine;

    use super::*;
    use crate::api::fixture::{Served, healthy, served};

    /// Returns the completions of the last word of a line.
    fn offered(agent: &Served, line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let socket = ["--socket".into(), agent.socket.clone().into_os_string()];
        let typed: Vec<OsString> = [&words[..1], &socket, &words[1..]].concat();
        let last = typed.len() - 1;
        let offered =
            engine::complete(&mut command(typed.clone().into_iter()), typed, last, None).unwrap();
        let offered = offered
            .iter()
            .map(|it| it.get_value().to_string_lossy().into_owned());
        offered.filter(|it| !it.starts_with('-')).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shells_complete_names_that_the_agent_has() {
        let agent = served(healthy());
        let all = ["kube-system/dns", "shop/cart"];
        for line in [
            "service get",
            "backend list",
            "backend drain",
            "backend weight",
            "stats",
        ] {
            assert_eq!(offered(&agent, &format!("meshctl {line} ")), all, "{line}");
        }
        assert_eq!(offered(&agent, "meshctl service get sh"), ["shop/cart"]);
        assert_eq!(offered(&agent, "meshctl -n shop service get "), ["cart"]);
        assert_eq!(
            offered(&agent, "meshctl service get --namespace=shop c"),
            ["cart"]
        );
        assert_eq!(
            offered(&agent, "meshctl service list -n "),
            ["kube-system", "shop"]
        );
        let endpoints = [
            "10.0.0.1:8080",
            "10.0.0.2:8080",
            "10.0.0.3:8080",
            "10.0.0.4:9000",
            "[fd00::a:1]:8080",
        ];
        assert_eq!(
            offered(&agent, "meshctl backend drain shop/cart "),
            endpoints
        );
        assert_eq!(
            offered(&agent, "meshctl backend undrain -n shop cart 10.0.0.1:"),
            endpoints[..1]
        );
        assert_eq!(
            offered(&agent, "meshctl backend drain shop/cart 10.0.0.1 --port "),
            ["admin", "http"]
        );
        assert_eq!(
            offered(&agent, "meshctl explain 10.96.0.5"),
            ["10.96.0.53:53/udp"]
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_an_agent_shells_complete_the_commands() {
        let agent = served(healthy());
        std::fs::remove_file(&agent.socket).unwrap();
        assert_eq!(
            offered(&agent, "meshctl service get "),
            Vec::<String>::new()
        );
        assert_eq!(offered(&agent, "meshctl backend dr"), ["drain"]);
    }
}
