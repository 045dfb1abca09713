//! One run of a command: whom it asks, and where and in which form it answers.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Failure,
    name::{self, NameArg},
    render::{self, Format},
    watch::Rounds,
};
use crate::{
    api::{client::Client, types::Service},
    model::ServiceName,
};

/// Where answers go.
pub struct Streams<'a> {
    /// The answer.
    pub out: &'a mut dyn Write,
    /// Everything that is not the answer.
    pub err: &'a mut dyn Write,
    /// How one answer follows another.
    pub refresh: Refresh,
}

/// How one answer follows another on `-w`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresh {
    /// In its place; for terminals.
    Replace,
    /// Below it; for everything else.
    Append,
}

/// A command being run.
pub(super) struct Session<'a> {
    pub(super) client: Client,
    pub(super) namespace: Option<String>,
    format: Format,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    refresh: Refresh,
    shown: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(client: Client, namespace: Option<String>, format: Format, streams: &'a mut Streams<'_>) -> Self {
        Self { client, namespace, format, out: streams.out, err: streams.err, refresh: streams.refresh, shown: 0 }
    }

    /// An answer, or nothing when the agent does not give one just now and the command is going to ask again: whoever
    /// watches a restart wants to see its end.
    pub(super) fn patient<T>(&mut self, rounds: &Rounds, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Err(Failure::Agent(error)) if self.shown > 0 && rounds.go_on() => {
                writeln!(self.err, "meshctl: {error}")?;
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// The named service, or all of the namespace, or all.
    pub(super) async fn services(&self, name: Option<&NameArg>) -> Result<Vec<Service>, Failure> {
        match name {
            Some(name) => Ok(vec![self.service(name).await?]),
            None => Ok(self.client.services(self.namespace.as_deref()).await?),
        }
    }

    /// The named service.
    pub(super) async fn service(&self, name: &NameArg) -> Result<Service, Failure> {
        let ServiceName { namespace, name } = self.resolve(name)?;
        Ok(self.client.service(&namespace, &name).await?)
    }

    /// The full name of a service.
    pub(super) fn resolve(&self, name: &NameArg) -> Result<ServiceName, name::Error> {
        name.within(self.namespace.as_deref())
    }

    /// Writes one answer in the form that was asked for; `text` makes the one for people.
    pub(super) fn show<T: Serialize>(&mut self, answer: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let body = match self.format {
            Format::Table => text(answer),
            Format::Json => render::json(answer),
            Format::Yaml => render::yaml(answer)?,
        };
        let separator = self.separator();
        self.shown += 1;
        Ok(self.write(&[separator, &body])?)
    }

    /// Writes text that has only one form.
    pub(super) fn write(&mut self, parts: &[&str]) -> io::Result<()> {
        parts.iter().try_for_each(|part| self.out.write_all(part.as_bytes()))?;
        self.out.flush()
    }

    /// Says something beside the answer.
    pub(super) fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.err, "meshctl: {line}")
    }

    /// Shows how far a command is, in the place of what was shown before; on a terminal only.
    pub(super) fn progress(&mut self, line: &str) -> io::Result<()> {
        match self.refresh {
            Refresh::Append => Ok(()),
            // Start of the line, then erase it.
            Refresh::Replace => write!(self.err, "\r\x1b[2K{line}").and_then(|()| self.err.flush()),
        }
    }

    /// Takes away what [`progress`](Self::progress) showed.
    pub(super) fn end_progress(&mut self) -> io::Result<()> {
        self.progress("")
    }

    fn separator(&self) -> &'static str {
        match (self.shown, self.format, self.refresh) {
            (0, _, _) | (_, Format::Json, _) => "",
            (_, Format::Yaml, _) => "---\n",
            (_, Format::Table, Refresh::Append) => "\n",
            // Cursor to the top left, then erase the screen.
            (_, Format::Table, Refresh::Replace) => "\x1b[H\x1b[2J",
        }
    }
}
