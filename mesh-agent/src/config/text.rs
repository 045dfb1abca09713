//! Parses settings from the text of a flag or of the environment. An invalid value is kept as its
//! error, so that all errors are reported at once.

use std::{
    convert::Infallible, num::NonZeroU8, ops::RangeInclusive, path::PathBuf, time::Duration,
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use ipnet::IpNet;

use crate::{
    api::group::{Group, NoGroup},
    duration,
    metrics::Address,
    source::{Serve, ServiceDir, ServiceDirError, settings::Field},
};

/// 16 million rows of SLOTS are 256 MiB.
pub const MAX_ROWS: u32 = 1 << 23;

/// A value, or the error in its text.
pub type Parsed<T> = Result<T, String>;

/// Converts a parser to one for clap, which never fails.
pub fn parsed<T: 'static>(
    read: fn(&str) -> Parsed<T>,
) -> impl Fn(&str) -> Result<Parsed<T>, Infallible> + Clone {
    move |text| Ok(read(text))
}

/// Parses a field of the settings file like the text of a flag, and reports errors at its place.
pub fn from_file<T>(field: Field<'_>, read: fn(&str) -> Parsed<T>) -> Option<Parsed<T>> {
    match read(field.text()?) {
        Ok(value) => Some(Ok(value)),
        Err(reason) => field.error(reason),
    }
}

/// Returns a valid value.
pub fn valid<T>(given: Option<Parsed<T>>) -> Option<T> {
    given.and_then(Result::ok)
}

/// Returns the valid values.
pub fn all_valid<T>(given: Vec<Parsed<T>>) -> Vec<T> {
    given.into_iter().filter_map(Result::ok).collect()
}

/// Parses a path. An empty one is reported later with all other errors.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Parses `[NAME=]DIR`.
pub fn services(text: &str) -> Parsed<ServiceDir> {
    text.parse()
        .map_err(|error: ServiceDirError| error.to_string())
}

/// Parses an address and a port, or a socket file.
pub fn metrics(text: &str) -> Parsed<Address> {
    let what =
        "an address and a port, like 127.0.0.1:9090, or like unix:/run/mesh-agent/metrics.sock";
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Address::Unix(path.into())),
        Some(_) => expected(what, text),
        None => text
            .parse()
            .map(Address::Tcp)
            .or_else(|_| expected(what, text)),
    }
}

/// Parses a network.
pub fn network(text: &str) -> Parsed<IpNet> {
    text.parse()
        .or_else(|_| expected("a network, like 10.96.0.0/16", text))
}

/// Parses `FIRST-LAST`.
pub fn ports(text: &str) -> Parsed<RangeInclusive<u16>> {
    let bounds = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let range = bounds
        .filter(|(first, last)| (1..=*last).contains(first))
        .map(|(first, last)| first..=last);
    range.map_or_else(
        || expected("the first and the last port, like 30000-32767", text),
        Ok,
    )
}

/// Parses `true` or `false`.
pub fn boolean(text: &str) -> Parsed<bool> {
    text.parse().or_else(|_| expected("true or false", text))
}

/// Parses `all` or `annotated`.
pub fn serve(text: &str) -> Parsed<Serve> {
    match text {
        "all" => Ok(Serve::All),
        "annotated" => Ok(Serve::Annotated),
        _ => expected("all or annotated", text),
    }
}

/// Parses the name or number of a group.
pub fn group(text: &str) -> Parsed<Group> {
    text.parse().map_err(|error: NoGroup| error.to_string())
}

/// Parses a duration with its unit, longer than zero.
pub fn interval(text: &str) -> Parsed<Duration> {
    let interval = duration::parse(text).filter(|interval| !interval.is_zero());
    interval.map_or_else(
        || {
            expected(
                "a duration above zero with its unit, like 500ms, 10s or 5m",
                text,
            )
        },
        Ok,
    )
}

/// Parses a number of rows: at least one, and at most what fits into the memory of a node.
pub fn rows(text: &str) -> Parsed<u32> {
    let rows = text
        .parse()
        .ok()
        .filter(|rows| (1..=MAX_ROWS).contains(rows));
    rows.map_or_else(
        || expected(&format!("a whole number from 1 to {MAX_ROWS}"), text),
        Ok,
    )
}

/// Parses a percentage above zero.
pub fn percent(text: &str) -> Parsed<NonZeroU8> {
    let percent = text
        .parse()
        .ok()
        .filter(|percent: &NonZeroU8| percent.get() <= 100);
    percent.map_or_else(|| expected("a whole number from 1 to 100", text), Ok)
}

pub fn expected<T>(what: &str, text: &str) -> Parsed<T> {
    Err(format!("expected {what}, found `{text}`"))
}
