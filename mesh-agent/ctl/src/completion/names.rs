//! Asks the agent for names that complete a command line.

use std::{ffi::OsString, io, path::PathBuf, thread, time::Duration};

use tokio::{runtime, time::timeout};

use crate::{
    api::{client::Client, types::Service},
    service_name::NameArg,
};

/// Most time for an answer, because the shell waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// The parts of a command line that select an agent and a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    socket: Option<PathBuf>,
    namespace: Option<String>,
    /// Words other than options: program, noun, verb, then arguments.
    words: Vec<String>,
}

impl Names {
    /// Parses the line so far, without its last word, which is to be completed.
    pub(super) fn new(typed: impl Iterator<Item = OsString>) -> Self {
        let mut names = Self {
            socket: std::env::var_os("MESH_SOCKET").map(PathBuf::from),
            ..Self::default()
        };
        let mut words: Vec<String> = typed
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.pop();
        let mut typed = words.into_iter();
        while let Some(word) = typed.next() {
            let (option, value) = word
                .split_once('=')
                .map_or((word.as_str(), None), |(option, value)| {
                    (option, Some(value))
                });
            let mut value = || value.map(str::to_owned).or_else(|| typed.next());
            match option {
                "--socket" => names.socket = value().map(PathBuf::from),
                "-n" | "--namespace" => names.namespace = value(),
                "-o" | "--output" | "--port" | "--deadline" | "--from" => drop(value()),
                _ if word.starts_with('-') => {}
                _ => names.words.push(word),
            }
        }
        names
    }

    pub(super) fn services(&self) -> io::Result<Vec<String>> {
        let name = |service: &Service| match &self.namespace {
            Some(namespace) => (service.namespace == *namespace).then(|| service.name.clone()),
            None => Some(format!("{}/{}", service.namespace, service.name)),
        };
        Ok(self.ask()?.iter().filter_map(name).collect())
    }

    pub(super) fn namespaces(&self) -> io::Result<Vec<String>> {
        Ok(sorted(
            self.ask()?.into_iter().map(|service| service.namespace),
        ))
    }

    /// Returns the endpoints of the named service.
    pub(super) fn endpoints(&self) -> io::Result<Vec<String>> {
        let ports = self
            .service()?
            .into_iter()
            .flat_map(|service| service.ports);
        Ok(sorted(
            ports
                .flat_map(|port| port.endpoints)
                .map(|endpoint| endpoint.endpoint),
        ))
    }

    /// Returns the ports of the named service.
    pub(super) fn ports(&self) -> io::Result<Vec<String>> {
        Ok(sorted(
            self.service()?
                .into_iter()
                .flat_map(|service| service.ports)
                .map(|port| port.name_or_number().into_owned()),
        ))
    }

    pub(super) fn frontends(&self) -> io::Result<Vec<String>> {
        let label = |label: String| {
            label
                .strip_suffix("/TCP")
                .map_or(label.to_lowercase(), str::to_owned)
        };
        let frontends = self
            .ask()?
            .into_iter()
            .flat_map(|service| service.frontends);
        Ok(sorted(frontends.map(|frontend| label(frontend.label()))))
    }

    /// Returns the service named after noun and verb.
    fn service(&self) -> io::Result<Option<Service>> {
        let argument = self
            .words
            .get(3)
            .and_then(|word| word.parse::<NameArg>().ok());
        let named = argument.and_then(|name| name.within(self.namespace.as_deref()).ok());
        let is_named = |it: &Service| {
            named
                .as_ref()
                .is_some_and(|name| (&name.namespace, &name.name) == (&it.namespace, &it.name))
        };
        Ok(self.ask()?.into_iter().find(is_named))
    }

    /// Returns all services. Uses a separate thread, because completers are not async.
    fn ask(&self) -> io::Result<Vec<Service>> {
        let socket = self
            .socket
            .clone()
            .unwrap_or_else(|| super::super::SOCKET.into());
        let asked = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let answer = runtime
                .block_on(async { timeout(PATIENCE, Client::new(socket).services(None)).await });
            answer.map_err(io::Error::from)?.map_err(io::Error::other)
        });
        asked.join().expect("asking does not panic")
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
