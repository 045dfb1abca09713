//! The context of one command: the agent, the output streams and the output format.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Exit, Failure,
    layout::{Layout, Screen, clipped, first_screen},
    render::{self, Format},
    service_name::{self, NameArg},
    watch::{Rounds, Watch},
};
use crate::{
    api::{client::Client, suggestions::told, types::Service},
    model::ServiceName,
    printable::printable_lines,
};

/// Where answers go.
pub struct Streams<'a> {
    /// The answer.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// Returns the current size of the terminal of `out`; nothing when it is no terminal.
    pub screen: fn() -> Option<Screen>,
}

/// A running command.
pub(super) struct Session<'a> {
    pub(super) client: Client,
    pub(super) namespace: Option<String>,
    format: Format,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    screen: fn() -> Option<Screen>,
    /// Whether the command repeats its answer.
    watching: bool,
    shown: u64,
    /// The last table shown.
    page: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        client: Client,
        namespace: Option<String>,
        format: Format,
        streams: &'a mut Streams<'_>,
    ) -> Self {
        let Streams { out, err, screen } = streams;
        let page = String::new();
        Self {
            client,
            namespace,
            format,
            out,
            err,
            screen: *screen,
            watching: false,
            shown: 0,
            page,
        }
    }

    /// Returns the rounds of the command by -w.
    pub(super) fn rounds(&mut self, watch: &Watch) -> Rounds {
        let rounds = watch.rounds();
        self.watching = rounds.go_on();
        rounds
    }

    /// Returns the answer; nothing when the agent gave none and the command will ask again, because a
    /// watch survives a restart of the agent.
    pub(super) fn patient<T>(
        &mut self,
        rounds: &Rounds,
        answer: Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match answer {
            Err(Failure::Agent(error)) if self.shown > 0 && rounds.go_on() => {
                self.interrupt(&format!("meshctl: {error}\n"))?;
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// Returns the named service, or all of the namespace, or all.
    pub(super) async fn services(&self, name: Option<&NameArg>) -> Result<Vec<Service>, Failure> {
        match name {
            Some(name) => Ok(vec![self.service(name).await?]),
            None => Ok(self.client.services(self.namespace.as_deref()).await?),
        }
    }

    /// Returns the named service.
    pub(super) async fn service(&self, name: &NameArg) -> Result<Service, Failure> {
        let ServiceName { namespace, name } = self.resolve(name)?;
        Ok(self.client.service(&namespace, &name).await?)
    }

    /// Returns the full name of a service.
    pub(super) fn resolve(&self, name: &NameArg) -> Result<ServiceName, service_name::Error> {
        name.within(self.namespace.as_deref())
    }

    /// Writes one answer in the output format; `text` makes the table.
    pub(super) fn show<T: Serialize>(
        &mut self,
        answer: &T,
        text: impl FnOnce(&T, Layout) -> String,
    ) -> Result<(), Failure> {
        let body = match self.format {
            Format::Table | Format::Wide => {
                let layout = self.layout();
                return Ok(self.show_page(layout.folded(text(answer, layout)))?);
            }
            Format::Json => render::json(answer),
            Format::Yaml => render::yaml(answer)?,
        };
        let separator = if self.shown > 0 && self.format == Format::Yaml {
            "---\n"
        } else {
            ""
        };
        self.shown += 1;
        Ok(self.write(&[separator, &body])?)
    }

    /// Writes the result of [`services`](Self::services), or why it is empty.
    pub(super) async fn show_services<T: Serialize>(
        &mut self,
        services: &[Service],
        answer: &T,
        text: impl FnOnce(&T, Layout) -> String,
    ) -> Result<Exit, Failure> {
        if !services.is_empty() {
            return self.show(answer, text).map(|()| Exit::Ok);
        }
        let nothing = self.nothing().await;
        match self.format {
            Format::Table | Format::Wide if self.watching => self.show_page(nothing + "\n")?,
            Format::Table | Format::Wide => self.notify(&nothing)?,
            Format::Json | Format::Yaml => {
                self.show(answer, text)?;
                self.notify(&nothing)?;
            }
        }
        Ok(if self.namespace.is_some() {
            Exit::No
        } else {
            Exit::Ok
        })
    }

    /// Returns why a list is empty.
    async fn nothing(&self) -> String {
        let Some(given) = &self.namespace else {
            return "the agent has no services; `meshctl status` names the directories that it reads".to_owned();
        };
        let all = self.client.services(None).await.unwrap_or_default();
        let mut there: Vec<String> = all.into_iter().map(|service| service.namespace).collect();
        there.dedup();
        format!(
            "no service in namespace {given}; namespaces with services: {}",
            told(there.into_iter())
        )
    }

    /// Writes text as it is, in any output format.
    pub(super) fn write(&mut self, parts: &[&str]) -> io::Result<()> {
        parts
            .iter()
            .try_for_each(|part| self.out.write_all(part.as_bytes()))?;
        self.out.flush()
    }

    /// Writes a line to stderr.
    pub(super) fn notify(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.err, "meshctl: {}", printable_lines(line))
    }

    /// Shows progress in place of the previous one, on a terminal only.
    pub(super) fn progress(&mut self, line: &str) -> io::Result<()> {
        match (self.screen)() {
            None => Ok(()),
            // Start of the line, then erase it.
            Some(_) => write!(self.err, "\r\x1b[2K{line}").and_then(|()| self.err.flush()),
        }
    }

    /// Erases the line of [`progress`](Self::progress).
    pub(super) fn end_progress(&mut self) -> io::Result<()> {
        self.progress("")
    }

    fn layout(&self) -> Layout {
        match (self.format, (self.screen)()) {
            (Format::Wide, _) => Layout::Wide,
            (_, Some(screen)) => Layout::Fit(screen.columns),
            (_, None) => Layout::Whole,
        }
    }

    /// Writes a table below the previous one, or on a terminal in its place.
    fn show_page(&mut self, page: String) -> io::Result<()> {
        let separator = if self.shown > 0 { "\n" } else { "" };
        self.shown += 1;
        match (self.screen)().filter(|_| self.watching) {
            Some(screen) => self.paint(&page, screen)?,
            None => self.write(&[separator, &page])?,
        }
        self.page = page;
        Ok(())
    }

    /// Shows what interrupts a watch; on a terminal below the last table, which stays.
    fn interrupt(&mut self, message: &str) -> io::Result<()> {
        let Some(screen) = (self.screen)().filter(|_| !self.page.is_empty()) else {
            return write!(self.err, "{message}");
        };
        let rows = message.chars().count().div_ceil(screen.columns.max(1));
        // The window may be narrower now.
        let page = clipped(&self.page, screen.columns);
        self.paint(
            &page,
            Screen {
                rows: screen.rows.saturating_sub(rows),
                ..screen
            },
        )?;
        self.write(&[message])
    }

    /// Replaces the screen by the part of a page that fits.
    fn paint(&mut self, page: &str, screen: Screen) -> io::Result<()> {
        // Cursor to the top left, then erase the screen.
        self.write(&["\x1b[H\x1b[2J", &first_screen(page, screen)])
    }
}
