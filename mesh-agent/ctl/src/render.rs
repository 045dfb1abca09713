//! Formats answers: tables for people, JSON and YAML for scripts.

use jiff::SignedDuration;
use serde::Serialize;

use crate::api::types::Endpoint;
pub(super) use crate::printable::printable;

/// Output formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// A table that fits the terminal
    Table,
    /// A table with all columns and full names
    Wide,
    /// JSON, for scripts
    Json,
    /// YAML, for scripts and diffs
    Yaml,
}

/// Returns a number; `-` for zero.
pub(super) fn number(number: u64) -> String {
    if number == 0 {
        "-".to_owned()
    } else {
        number.to_string()
    }
}

/// Returns the weight of an endpoint as [`weight_of`]; only the configured one without a kernel row.
pub(super) fn weight(endpoint: &Endpoint) -> String {
    let Endpoint {
        weight,
        effective_weight,
        index,
        active,
        ..
    } = endpoint;
    match index {
        Some(_) => weight_of(*effective_weight, Some(*weight), *active),
        None => weight.to_string(),
    }
}

/// Returns `2`, or `1 of 2` while the weight differs from the configured one; `<1 of 2` while it is
/// below one and the endpoint takes connections.
pub(super) fn weight_of(effective: u32, configured: Option<u32>, takes: bool) -> String {
    let now = if effective == 0 && takes {
        "<1".to_owned()
    } else {
        effective.to_string()
    };
    match configured {
        Some(configured) if configured != effective => format!("{now} of {configured}"),
        _ => now,
    }
}

/// Returns `850us`, `1.3ms`, `2.0s`; `-` for nothing.
pub(super) fn microseconds(microseconds: Option<u32>) -> String {
    match microseconds {
        None => "-".to_owned(),
        Some(few @ 0..1000) => format!("{few}us"),
        Some(more @ 1000..1_000_000) => format!("{:.1}ms", f64::from(more) / 1000.0),
        Some(many) => format!("{:.1}s", f64::from(many) / 1_000_000.0),
    }
}

/// Returns indented JSON and a newline.
pub(super) fn json<T: Serialize>(answer: &T) -> String {
    let mut text =
        serde_json::to_string_pretty(answer).expect("answers are structs with string keys");
    text.push('\n');
    text
}

/// Returns a YAML document and a newline.
pub(super) fn yaml<T: Serialize>(answer: &T) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        // One line per string, for grep and diff.
        prefer_block_scalars: false,
    };
    serde_saphyr::to_string_with_options(answer, options)
}

/// Returns `1 error`, `2 errors`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Returns a time as `500ms`, `5s`, `1m 30s`.
pub(super) fn milliseconds(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).map(SignedDuration::from_millis);
    time.map_or_else(|_| format!("{milliseconds}ms"), |time| format!("{time:#}"))
}

/// Returns an age in at most two units, as kubectl: `75s`, `5m10s`, `26h3m`, `3d2h`.
pub(super) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{minutes}m{}s", seconds % 60),
        7200..172_800 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        fixture::{ailing, cart, dns, status},
        types::{Service, Status},
    };

    #[test]
    fn weight_below_one_is_shown_as_less_than_one() {
        let weights = [
            (2, 2, true),
            (1, 2, true),
            (0, 1, true),
            (0, 1, false),
            (0, 0, false),
        ];
        let shown = weights
            .map(|(effective, configured, takes)| weight_of(effective, Some(configured), takes));
        assert_eq!(shown, ["2", "1 of 2", "<1 of 1", "0 of 1", "0"]);
    }

    #[test]
    fn yaml_and_json_hold_the_same_values() {
        let status = Status {
            applied_seconds_ago: None,
            ..ailing().status
        };
        assert_eq!(
            serde_saphyr::from_str::<Status>(&yaml(&status).unwrap()).unwrap(),
            status
        );
        assert_eq!(
            serde_json::from_str::<Status>(&json(&status)).unwrap(),
            status
        );
        let services = vec![cart(), dns()];
        assert_eq!(
            serde_saphyr::from_str::<Vec<Service>>(&yaml(&services).unwrap()).unwrap(),
            services
        );
    }

    #[test]
    fn yaml_strings_stay_strings_for_every_parser() {
        let odd = [
            "80",
            "yes",
            "NO",
            "null",
            "~",
            "1e3",
            "0x1f",
            "12:30",
            "2001:10:20:30:40:50:1:2",
            "a: b",
            "- a",
            "#",
            "",
            " a",
            "fd00::1",
            "a\nb\n",
            "\x1b",
            "é",
            "{",
            "1_000",
            "0o7",
            ".5",
            "2026-11-20",
            "on",
            "y",
            "=",
        ];
        insta::assert_snapshot!(yaml(&odd).unwrap(), @r#"
        - "80"
        - "yes"
        - "NO"
        - "null"
        - "~"
        - "1e3"
        - "0x1f"
        - "12:30"
        - "2001:10:20:30:40:50:1:2"
        - "a: b"
        - "- a"
        - '#'
        - ""
        - " a"
        - fd00::1
        - "a\nb\n"
        - "\e"
        - é
        - "{"
        - "1_000"
        - "0o7"
        - ".5"
        - "2026-11-20"
        - "on"
        - "y"
        - "="
        "#);
    }

    #[test]
    fn yaml_has_plain_block_style() {
        let mut status = status();
        status.errors = ailing().status.errors;
        insta::assert_snapshot!(yaml(&status).unwrap(), @r#"
        version: "0.1.0"
        ready: true
        configValid: true
        nodeName: node-a
        pid: 4711
        uptimeSeconds: 93784
        cgroup: /sys/fs/cgroup
        pinDir: /sys/fs/bpf/mesh-agent
        revision: 7
        appliedSecondsAgo: 75
        applyMilliseconds: 3
        capacity:
        - map: SERVICES
          used: 3
          capacity: 65536
        - map: BACKENDS
          used: 6
          capacity: 1000000
        hooks:
        - name: connect4
          programId: 31
          linkId: 8
        sources:
        - /etc/mesh-agent/services.d
        errors:
        - file: /etc/mesh-agent/services.d/shop.yaml
          line: 12
          field: services[0].ports[0].port
          reason: must be 1 to 65535, is 0
        - file: /etc/mesh-agent/services.d/web.yaml
          line: 1
          field: ""
          reason: "is not YAML: found a tab at column 3"
        errorsTotal: 0
        wrong: []
        wrongTotal: 0
        notes: []
        problems: []
        degraded: []
        kernelFeatures: []
        "#);
    }

    #[test]
    fn ages_have_two_units() {
        let ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(
            ages,
            ["0s", "119s", "2m0s", "119m59s", "2h0m", "47h59m", "2d0h"]
        );
    }
}
