//! Reads health checks.

mod http;

use std::{num::NonZeroU32, time::Duration};

use crate::{
    model::{HealthCheck, Probe},
    source::{
        duration::{DAY, duration, shown},
        field::Field,
        value,
    },
};

const PROBES: [&str; 4] = ["tcp", "http", "https", "grpc"];

/// Reads `health`.
pub fn read(field: Field<'_>) -> Option<HealthCheck> {
    let field = field.mapping()?;
    let settings = [
        "port",
        "interval",
        "timeout",
        "jitterPercent",
        "rise",
        "fall",
        "allowEmpty",
    ];
    field.only(&[&PROBES[..], &settings].concat());
    let probe = probe(field);
    let port = field.or("port", None, |field| value::port(field).map(Some));
    let times = times(field);
    let jitter = field.or("jitterPercent", 10, |field| value::number(field, 0..=50));
    let rise = field.or("rise", count(2), in_a_row);
    let fall = field.or("fall", count(3), in_a_row);
    let allow_empty = field.or("allowEmpty", false, Field::boolean);
    let (interval, timeout) = times?;
    Some(HealthCheck {
        probe: probe?,
        port: port?,
        interval,
        timeout,
        jitter_percent: jitter?,
        rise: rise?,
        fall: fall?,
        allow_empty: allow_empty?,
    })
}

/// Reads the probe. Exactly one kind must be given.
fn probe(field: Field<'_>) -> Option<Probe> {
    let given: Vec<Field<'_>> = PROBES
        .into_iter()
        .filter_map(|name| field.get(name))
        .collect();
    let probes: Vec<Option<Probe>> = given.iter().map(|field| one(*field)).collect();
    match &*given {
        [_] => probes.into_iter().next().flatten(),
        [] => field.error(
            "says no probe: one of `tcp: {}`, `http: {}`, `https: {}` and `grpc: {}` is needed",
        ),
        [_, second, ..] => {
            second.error("a second probe: only one of tcp, http, https and grpc can be given")
        }
    }
}

fn one(field: Field<'_>) -> Option<Probe> {
    let mapping = field.mapping()?;
    match field.name() {
        Some("http") => http::read(mapping, false).map(Probe::Http),
        Some("https") => http::read(mapping, true).map(Probe::Http),
        Some("grpc") => grpc(mapping),
        _ => {
            for unknown in mapping.children() {
                unknown.report("a TCP probe has no settings of its own");
            }
            Some(Probe::Tcp)
        }
    }
}

fn grpc(field: Field<'_>) -> Option<Probe> {
    field.only(&["service"]);
    let service = field.or("service", "", Field::text)?;
    Some(Probe::Grpc {
        service: service.to_owned(),
    })
}

/// Reads interval and timeout. The default timeout is at most the interval.
fn times(field: Field<'_>) -> Option<(Duration, Duration)> {
    let interval = field.or("interval", Duration::from_secs(5), |field| {
        duration(field, Duration::from_millis(100)..=DAY)
    });
    let timeout = field.or("timeout", None, |field| {
        duration(field, Duration::from_millis(1)..=DAY).map(Some)
    });
    let (interval, timeout) = (interval?, timeout?);
    match (timeout, field.get("timeout")) {
        (Some(timeout), Some(field)) if timeout > interval => field.error(format!(
            "longer than the interval, which is {}",
            shown(interval)
        )),
        (timeout, _) => Some((
            interval,
            timeout.unwrap_or(Duration::from_secs(1).min(interval)),
        )),
    }
}

fn in_a_row(field: Field<'_>) -> Option<NonZeroU32> {
    value::number(field, NonZeroU32::MIN..=NonZeroU32::MAX)
}

const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("given as more than zero")
}
