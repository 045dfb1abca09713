//! Formats each of clap's errors as one line.

use std::{error::Error as _, ffi::OsString};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::words::{is_flag, subject, text};

/// Formats an error: `--otput: unknown flag; did you mean --output?`
pub(super) fn line(error: &Error, command: &Command, arguments: &[OsString]) -> String {
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(error, command, arguments),
        ErrorKind::InvalidSubcommand => unknown_command(error, command, arguments),
        ErrorKind::ArgumentConflict => conflict(error, command),
        ErrorKind::InvalidValue if expected(error).is_empty() => {
            format!(
                "{}: empty: give it a value, or leave it out",
                place(error, command)
            )
        }
        ErrorKind::InvalidValue => {
            let meant = did_you_mean(error, ContextKind::SuggestedValue);
            format!(
                "{}: expected {}, found `{value}`{meant}",
                place(error, command),
                expected(error)
            )
        }
        ErrorKind::ValueValidation => {
            let reason = error
                .source()
                .map_or_else(|| format!("cannot be `{value}`"), ToString::to_string);
            format!("{}: {reason}", place(error, command))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = strings(error, ContextKind::InvalidArg).join(", ");
            format!("{missing}: missing; write `{}`", usage(error))
        }
        ErrorKind::InvalidUtf8 => {
            "a word of the command line is not UTF-8: write it in UTF-8".to_owned()
        }
        // Kinds that do not occur in these command lines keep clap's words.
        _ => error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned(),
    }
}

fn unknown_argument(error: &Error, command: &Command, arguments: &[OsString]) -> String {
    let word = subject(error);
    let what = if is_flag(word) {
        "unknown flag"
    } else {
        "unexpected word"
    };
    let fix = match did_you_mean(error, ContextKind::SuggestedArg) {
        meant if meant.is_empty() => {
            format!(
                "; `{} --help` says what can stand there",
                path(command, arguments, word).0
            )
        }
        meant => meant,
    };
    format!("{word}: {what}{fix}")
}

fn unknown_command(error: &Error, command: &Command, arguments: &[OsString]) -> String {
    let word = text(error, ContextKind::InvalidSubcommand);
    let known: Vec<&str> = path(command, arguments, word)
        .1
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .map(Command::get_name)
        .collect();
    let meant = did_you_mean(error, ContextKind::SuggestedSubcommand);
    format!(
        "{word}: unknown command; known here: {}{meant}",
        known.join(", ")
    )
}

fn conflict(error: &Error, command: &Command) -> String {
    let place = place(error, command);
    match error.get(ContextKind::PriorArg) {
        Some(ContextValue::String(other))
            if error.get(ContextKind::InvalidArg) != error.get(ContextKind::PriorArg) =>
        {
            format!("{place}: cannot stand beside {other}: leave out one of them")
        }
        _ => format!("{place}: given twice: give it once"),
    }
}

/// Returns the flag with its environment variable, or the positional argument, as in help.
fn place(error: &Error, command: &Command) -> String {
    let subject = subject(error);
    match variable(command, subject) {
        Some(variable) => format!("{subject} (or {variable})"),
        None => subject.to_owned(),
    }
}

fn variable(command: &Command, flag: &str) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    let found = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long));
    let own = found.and_then(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()));
    own.or_else(|| command.get_subcommands().find_map(|it| variable(it, flag)))
}

/// Formats the expected values: `table, wide, json or yaml`
fn expected(error: &Error) -> String {
    let values = strings(error, ContextKind::ValidValue);
    match values.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => values.concat(),
    }
}

/// Suggests the most likely words, best first.
fn did_you_mean(error: &Error, kind: ContextKind) -> String {
    let mut meant = match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.as_str()],
        _ => strings(error, kind),
    };
    meant.reverse();
    if meant.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", meant.join(" or "))
    }
}

fn strings(error: &Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::Strings(strings)) => strings.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Returns the usage: `meshctl service get <NAME>`
fn usage(error: &Error) -> String {
    let usage = error
        .get(ContextKind::Usage)
        .map(ToString::to_string)
        .unwrap_or_default();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

/// Returns the command, and its full name, that the words before `end` select.
fn path<'a>(command: &'a Command, arguments: &[OsString], end: &str) -> (String, &'a Command) {
    let mut path = (command.get_name().to_owned(), command);
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    for word in words.take_while(|word| !word.starts_with(end)) {
        if let Some(next) = path.1.find_subcommand(word) {
            path = (format!("{} {}", path.0, next.get_name()), next);
        }
    }
    path
}
