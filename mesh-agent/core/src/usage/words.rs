//! Finds and removes the words of a command line that an error of clap is about.

use std::ffi::OsString;

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Removes the words that an error is about; returns false if they are unknown.
pub(super) fn take_out(error: &Error, command: &Command, arguments: &mut Vec<OsString>) -> bool {
    let subject = subject(error);
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict if is_flag(subject) => {
            take_flag(subject, command, arguments)
        }
        ErrorKind::UnknownArgument => take(arguments, |word| word == subject).is_some(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if is_flag(subject) => {
            match text(error, ContextKind::InvalidValue) {
                "" => take(arguments, |word| {
                    word.strip_suffix('=').unwrap_or(word) == subject
                })
                .is_some(),
                value => take_value(subject, value, arguments),
            }
        }
        _ => false,
    }
}

/// Returns the subject of an error, without its value: a flag, a positional argument, or the word
/// itself.
pub(super) fn subject(error: &Error) -> &str {
    let subject = text(error, ContextKind::InvalidArg);
    if is_flag(subject) {
        subject.split([' ', '[', '=']).next().unwrap_or(subject)
    } else {
        subject
    }
}

pub(super) fn text(error: &Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}

pub(super) fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word != "-"
}

/// Removes a flag and its value: the word after it, unless that is a flag or a command.
fn take_flag(flag: &str, command: &Command, arguments: &mut Vec<OsString>) -> bool {
    let is_it = |word: &str| {
        word == flag
            || word
                .strip_prefix(flag)
                .is_some_and(|rest| rest.starts_with('='))
    };
    let Some(place) = take(arguments, is_it) else {
        return false;
    };
    let is_value = |word: &str| !is_flag(word) && !is_command(command, word);
    if arguments
        .get(place)
        .and_then(|word| word.to_str())
        .is_some_and(is_value)
    {
        arguments.remove(place);
    }
    true
}

/// Removes a value and its flag, in one word or in two.
fn take_value(flag: &str, value: &str, arguments: &mut Vec<OsString>) -> bool {
    let is_it = |word: &str| is_flag(word) && word.len() > value.len() && word.ends_with(value);
    if take(arguments, is_it).is_some() {
        return true;
    }
    let two = |pair: &[OsString]| {
        pair[0]
            .to_str()
            .is_some_and(|word| is_short(word) || word == flag)
            && pair[1] == value
    };
    let Some(place) = arguments.windows(2).rposition(two) else {
        return false;
    };
    arguments.drain(place..place + 2);
    true
}

fn is_short(word: &str) -> bool {
    is_flag(word) && !word.starts_with("--")
}

fn is_command(command: &Command, word: &str) -> bool {
    let is_it =
        |it: &Command| it.get_name() == word || it.get_all_aliases().any(|alias| alias == word);
    command
        .get_subcommands()
        .any(|it| is_it(it) || is_command(it, word))
}

/// Removes the last such word after the program's name; returns its position.
fn take(arguments: &mut Vec<OsString>, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    let place = arguments
        .iter()
        .skip(1)
        .rposition(|word| word.to_str().is_some_and(&is_it))?
        + 1;
    arguments.remove(place);
    Some(place)
}
