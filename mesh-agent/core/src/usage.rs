//! Parses command lines, and reports their errors in the form of configuration errors:
//! `WHERE: WHAT, FIX`.
//!
//! ```text
//! arguments ──► clap ──► a command
//!     ▲           └────► its error ──► wording ──► a line
//!     └──────────────────────┴── the arguments without what is wrong
//! ```

mod wording;
mod words;

use std::ffi::OsString;

use clap::{Error, Parser, error::ErrorKind};

/// Result of parsing a command line.
pub enum Usage<C> {
    /// A command.
    Right(C),
    /// A request for help or the version, or a command without its verb, which is answered with
    /// help.
    Answer(Error),
    /// An invalid command line.
    Wrong {
        /// Errors, one line each.
        lines: Vec<String>,
        /// The command without its errors, if enough is left of it.
        rest: Option<C>,
    },
}

/// Parses a command line, program name first. Clap stops at the first error, so each wrong argument
/// is removed and the rest is parsed again, until no error is left or the rest is ambiguous. `hint`
/// adds to the line of an error.
pub fn read<C: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    hint: fn(&Error) -> &'static str,
) -> Usage<C> {
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let command = C::command();
    let mut lines = Vec::new();
    loop {
        match C::try_parse_from(&arguments) {
            Ok(right) if lines.is_empty() => return Usage::Right(right),
            Ok(rest) => {
                return Usage::Wrong {
                    lines,
                    rest: Some(rest),
                };
            }
            Err(error) if lines.is_empty() && is_answer(&error) => return Usage::Answer(error),
            // A missing argument may have been removed.
            Err(error) if !lines.is_empty() && (is_answer(&error) || is_lack(&error)) => break,
            Err(error) => {
                lines.push(wording::line(&error, &command, &arguments) + hint(&error));
                if !words::take_out(&error, &command, &mut arguments) {
                    break;
                }
            }
        }
    }
    Usage::Wrong { lines, rest: None }
}

fn is_answer(error: &Error) -> bool {
    let kind = error.kind();
    !error.use_stderr() || kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn is_lack(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand
    )
}

#[cfg(test)]
mod tests;
