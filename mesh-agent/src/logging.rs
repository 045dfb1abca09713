//! The log: its filter (`--log`, or `MESH_LOG`) and its rate limit.
//!
//! ```text
//! event ──► Filter: level, by crate ──► field: printable ──► Limited: a bounded rate of lines of one kind ──► stderr
//! ```

mod recent;

use std::{
    collections::HashMap,
    fmt,
    io::{self, IsTerminal as _, Write},
    str::FromStr,
    sync::Mutex,
    time::Instant,
};

use tracing::{Level, Metadata, callsite::Identifier, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    filter::{Directive, LevelFilter},
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
        writer::OptionalWriter,
    },
};

use self::recent::Recorded;
pub use self::recent::recent;
use crate::printable::printable;

/// Most lines of one kind at a time, and per second after that.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 10.0;

/// Filter of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter(String);

impl Default for Filter {
    fn default() -> Self {
        Self::of(LevelFilter::INFO)
    }
}

impl Filter {
    /// The level applies to the crates of the agent that log. Libraries, including the loader of the programs, log
    /// warnings only. The Kubernetes client logs nothing: the agent reports each failure itself.
    fn of(level: LevelFilter) -> Self {
        let others = level.min(LevelFilter::WARN);
        Self(format!(
            "{others},kube_client=off,kube_runtime=off,mesh_agent={level},mesh_api={level},audit={level}"
        ))
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("empty: give it a value, or leave it out".to_owned());
        }
        if let Some(level) = level(text) {
            return Ok(Self::of(level));
        }
        let is_directive = |part: &str| {
            level(part).is_some() || part.contains('=') && part.parse::<Directive>().is_ok()
        };
        if text.split(',').all(is_directive) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "expected error, warn, info, debug, trace or off, or directives like warn,mesh_agent::owner=debug, found `{text}`"
        ))
    }
}

/// The parser accepts numbers as levels, but they mean nothing to a reader.
fn level(text: &str) -> Option<LevelFilter> {
    text.parse()
        .ok()
        .filter(|_| text.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Starts to write the log to stderr.
pub fn start(Filter(directives): &Filter) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .fmt_fields(debug_fn(field).delimited(" "))
        .with_writer(Limited::new(Instant::now, Recorded(io::stderr)))
        .init();
}

/// Formats one field. Many fields contain names of files and services; text of a file must not
/// start a new line or move the cursor of a terminal.
fn field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = printable(&format!("{value:?}"));
    match field.name() {
        "message" => out.write_str(&value),
        name => write!(out, "{}={value}", name.trim_start_matches("r#")),
    }
}

/// Leaves out lines of one kind above a rate, and adds their number to the next line. Debug, trace
/// and the target `audit` are not limited.
struct Limited<C, W> {
    clock: C,
    out: W,
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

/// Lines from one place in the code.
struct Kind {
    /// Lines that may be written at `at`.
    tokens: f64,
    /// Time of the last update.
    at: Instant,
    left_out: u64,
}

impl Kind {
    /// Whether a line may be written at this time, and how many before it were left out.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens, self.at) = ((self.tokens + elapsed * PER_SECOND).min(BURST), now);
        if self.tokens < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<C: Fn() -> Instant, W> Limited<C, W> {
    fn new(clock: C, out: W) -> Self {
        Self {
            clock,
            out,
            kinds: Mutex::default(),
        }
    }

    fn admit(&self, metadata: &Metadata<'_>) -> Option<u64> {
        if *metadata.level() > Level::INFO || metadata.target() == "audit" {
            return Some(0);
        }
        let now = (self.clock)();
        let mut kinds = self.kinds.lock().expect("nothing panics with the lock");
        let kind = kinds.entry(metadata.callsite()).or_insert(Kind {
            tokens: BURST,
            at: now,
            left_out: 0,
        });
        kind.admit(now)
    }
}

impl<'a, C: Fn() -> Instant, W: MakeWriter<'a>> MakeWriter<'a> for Limited<C, W> {
    type Writer = OptionalWriter<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OptionalWriter::some(self.out.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        let Some(left_out) = self.admit(metadata) else {
            return OptionalWriter::none();
        };
        let mut out = self.out.make_writer_for(metadata);
        if left_out > 0 {
            // The agent continues if the log cannot be written.
            _ = writeln!(
                out,
                "({left_out} lines like the next were left out: too many at once)"
            );
        }
        OptionalWriter::some(out)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{Arc, MutexGuard},
        time::Duration,
    };

    use tracing::{debug, info, subscriber::with_default};

    use super::*;

    #[test]
    fn level_applies_to_the_agent_and_libraries_only_warn() {
        let filter = |text: &str| text.parse::<Filter>().map(|Filter(directives)| directives);
        assert_eq!(
            filter("debug"),
            Ok(
                "warn,kube_client=off,kube_runtime=off,mesh_agent=debug,mesh_api=debug,audit=debug"
                    .into()
            )
        );
        assert_eq!(
            filter("INFO"),
            Ok(
                "warn,kube_client=off,kube_runtime=off,mesh_agent=info,mesh_api=info,audit=info"
                    .into()
            )
        );
        assert_eq!(
            filter("error"),
            Ok("error,kube_client=off,kube_runtime=off,mesh_agent=error,mesh_api=error,audit=error".into())
        );
        assert_eq!(
            filter("off"),
            Ok("off,kube_client=off,kube_runtime=off,mesh_agent=off,mesh_api=off,audit=off".into())
        );
        assert_eq!(filter("warn,aya=debug"), Ok("warn,aya=debug".into()));
        assert_eq!(Filter::default(), "info".parse().unwrap());
    }

    #[test]
    fn error_of_an_unknown_level_lists_the_levels() {
        assert_eq!(
            "".parse::<Filter>(),
            Err("empty: give it a value, or leave it out".to_owned())
        );
        for text in [
            "verbose",
            "5",
            "mesh_agent=loud",
            "info,,debug",
            "debug;info",
        ] {
            let reason = text.parse::<Filter>().unwrap_err();
            assert!(
                reason
                    .starts_with("expected error, warn, info, debug, trace or off, or directives"),
                "{reason}"
            );
            assert!(reason.ends_with(&format!("found `{text}`")), "{reason}");
        }
    }

    /// Memory instead of stderr.
    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    struct Part<'a>(MutexGuard<'a, Vec<u8>>);

    impl<'a> MakeWriter<'a> for Text {
        type Writer = Part<'a>;

        fn make_writer(&'a self) -> Part<'a> {
            Part(self.0.lock().unwrap())
        }
    }

    impl Write for Part<'_> {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            self.0.write(part)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    thread_local! {
        static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    #[test]
    fn too_many_lines_of_one_kind_are_left_out_and_counted() {
        let (text, start) = (Text::default(), Instant::now());
        let limited = Limited::new(move || start + ELAPSED.get(), text.clone());
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_writer(limited)
            .finish();
        with_default(log, || {
            let line = |number: u32| info!("line {number}");
            (1..=130).for_each(line);
            info!(file = %"a\u{1b}[31m\nINFO b\u{202e}", r#type = "x\n", "another\nkind");
            ELAPSED.set(Duration::from_secs(1));
            (131..=150).for_each(line);
            (0..200).for_each(|_| debug!("not limited"));
        });
        let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            (lines[0], lines[99], lines[100]),
            (
                " INFO line 1",
                " INFO line 100",
                r#" INFO another\nkind file=a\u{1b}[31m\nINFO b\u{202e} type="x\n""#
            )
        );
        assert_eq!(
            lines[101],
            "(30 lines like the next were left out: too many at once)"
        );
        assert_eq!(
            (lines[102], lines[111]),
            (" INFO line 131", " INFO line 140")
        );
        assert_eq!(
            lines[112..],
            [" DEBUG not limited".replacen(' ', "", 1).as_str(); 200]
        );
    }
}
