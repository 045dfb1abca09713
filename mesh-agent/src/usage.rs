//! Command lines: what is wrong with one, in the form of the errors of files: `WHERE: WHAT, FIX`.
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

/// What a command line turned out to be.
pub enum Usage<C> {
    /// A command.
    Right(C),
    /// A question for help or the version, which this answers; or a command without its verb, which help answers.
    Answer(Error),
    /// Not a command.
    Wrong {
        /// What is wrong, a line each.
        lines: Vec<String>,
        /// The command without what is wrong, where enough is left for one.
        rest: Option<C>,
    },
}

/// Reads a command line, program name first. Clap stops at the first error; so what is wrong is taken out, and the rest
/// read again, until nothing is wrong or it cannot be known what the rest means. `hint` adds to what is said of an error.
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
            Ok(rest) => return Usage::Wrong { lines, rest: Some(rest) },
            Err(error) if lines.is_empty() && is_answer(&error) => return Usage::Answer(error),
            // What is missing may have been taken out.
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
    matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand)
}

#[cfg(test)]
mod tests;
