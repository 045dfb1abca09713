//! Forms of an answer: tables for people, JSON and YAML for scripts.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use jiff::SignedDuration;
use serde::Serialize;

use crate::api::types::Endpoint;

/// Spaces between columns.
const GAP: u16 = 3;
/// Items of a list shown in one cell.
const SHOWN: usize = 3;

/// The forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For scripts
    Json,
    /// For scripts and diffs
    Yaml,
}

/// Aligned columns below a header; one line per row, nothing else.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let header = header.iter().map(|&name| name.to_owned()).collect();
    columns([header].into_iter().chain(rows))
}

/// As [`table`], without the columns in which every row has `-`.
pub(super) fn sparse(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let shown: Vec<bool> =
        (0..header.len()).map(|at| rows.is_empty() || rows.iter().any(|row| row[at] != "-")).collect();
    let kept =
        |row: Vec<String>| row.into_iter().zip(&shown).filter(|(_, shown)| **shown).map(|(cell, _)| cell).collect();
    let header: Vec<&str> = header.iter().zip(&shown).filter(|(_, shown)| **shown).map(|(&name, _)| name).collect();
    table(&header, rows.into_iter().map(kept))
}

/// `-` for nothing.
pub(super) fn number(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { number.to_string() }
}

/// As [`weight_of`]; an endpoint that the kernel does not have has its configured weight.
pub(super) fn weight(endpoint: &Endpoint) -> String {
    let Endpoint { weight, effective_weight, index, active, .. } = endpoint;
    match index {
        Some(_) => weight_of(*effective_weight, Some(*weight), *active),
        None => weight.to_string(),
    }
}

/// `2`, or `1 of 2` while it has another than the configured one; `<1 of 2` while it has less than one and takes
/// connections.
pub(super) fn weight_of(effective: u32, configured: Option<u32>, takes: bool) -> String {
    let now = if effective == 0 && takes { "<1".to_owned() } else { effective.to_string() };
    match configured {
        Some(configured) if configured != effective => format!("{now} of {configured}"),
        _ => now,
    }
}

/// `850us`, `1.3ms`, `2.0s`; `-` for nothing.
pub(super) fn microseconds(microseconds: Option<u32>) -> String {
    match microseconds {
        None => "-".to_owned(),
        Some(few @ 0..1000) => format!("{few}us"),
        Some(more @ 1000..1_000_000) => format!("{:.1}ms", f64::from(more) / 1000.0),
        Some(many) => format!("{:.1}s", f64::from(many) / 1_000_000.0),
    }
}

/// Aligned columns; one line per row, nothing else.
pub(super) fn columns(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>()));
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Indented JSON and a newline.
pub(super) fn json<T: Serialize>(answer: &T) -> String {
    let mut text = serde_json::to_string_pretty(answer).expect("answers are structs with string keys");
    text.push('\n');
    text
}

/// A YAML document and a newline.
pub(super) fn yaml<T: Serialize>(answer: &T) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        // One line per string, for grep and diff.
        prefer_block_scalars: false,
    };
    serde_saphyr::to_string_with_options(answer, options)
}

/// `a,b,c +2 more`, or `-` for none.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let (shown, more) = items.split_at(items.len().min(SHOWN));
    let shown = shown.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",");
    match (shown.as_str(), more.len()) {
        ("", _) => "-".to_owned(),
        (_, 0) => shown,
        (_, more) => format!("{shown} +{more} more"),
    }
}

/// `1 error`, `2 errors`
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A time as people write it: `500ms`, `5s`, `1m 30s`.
pub(super) fn milliseconds(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).map(SignedDuration::from_millis);
    time.map_or_else(|_| format!("{milliseconds}ms"), |time| format!("{time:#}"))
}

/// Two units at most, as kubectl shows ages: `75s`, `5m10s`, `26h3m`, `3d2h`.
pub(super) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{minutes}m{}s", seconds % 60),
        7200..172_800 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Text without control characters: what a file says must not move the cursor of whoever reads about it.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => printable.extend(c.escape_default()),
            false => printable.push(c),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        fixture::{ailing, cart, dns, status},
        types::{Service, Status},
    };

    #[test]
    fn columns_are_aligned_and_lines_end_where_the_text_ends() {
        let rows =
            [["shop", "cart", ""], ["kube-system", "d\x1b[2Jns\n", "x"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(
            table(&["NAMESPACE", "NAME", "NOTE"], rows),
            "NAMESPACE     NAME             NOTE\n\
             shop          cart\n\
             kube-system   d\\u{1b}[2Jns\\n   x\n"
        );
        assert_eq!(table(&["NAME", "NOTE"], []), "NAME   NOTE\n");
    }

    #[test]
    fn columns_without_a_value_are_left_out() {
        let rows = [["a", "-", "1"], ["b", "-", "-"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(sparse(&["NAME", "NONE", "SOME"], rows), "NAME   SOME\na      1\nb      -\n");
        assert_eq!(sparse(&["NAME", "NONE"], []), "NAME   NONE\n");
        let times = [None, Some(0), Some(999), Some(1250), Some(2_000_000)].map(microseconds);
        assert_eq!(times, ["-", "0us", "999us", "1.2ms", "2.0s"]);
    }

    #[test]
    fn a_weight_below_one_is_neither_one_nor_nothing() {
        let weights = [(2, 2, true), (1, 2, true), (0, 1, true), (0, 1, false), (0, 0, false)];
        let shown = weights.map(|(effective, configured, takes)| weight_of(effective, Some(configured), takes));
        assert_eq!(shown, ["2", "1 of 2", "<1 of 1", "0 of 1", "0"]);
    }

    #[test]
    fn wide_rows_are_not_wrapped() {
        let wide = "x".repeat(500);
        assert_eq!(columns([vec![wide.clone(), wide.clone()]]), format!("{wide}   {wide}\n"));
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let status = Status { applied_seconds_ago: None, ..ailing().status };
        assert_eq!(serde_saphyr::from_str::<Status>(&yaml(&status).unwrap()).unwrap(), status);
        assert_eq!(serde_json::from_str::<Status>(&json(&status)).unwrap(), status);
        let services = vec![cart(), dns()];
        assert_eq!(serde_saphyr::from_str::<Vec<Service>>(&yaml(&services).unwrap()).unwrap(), services);
    }

    #[test]
    fn yaml_strings_stay_strings_for_every_reader() {
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
    fn yaml_is_written_as_people_write_it() {
        let mut status = status();
        status.errors = ailing().status.errors;
        insta::assert_snapshot!(yaml(&status).unwrap(), @r#"
        version: "0.1.0"
        ready: true
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
        notes: []
        problems: []
        "#);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list::<&str>(&[]), "-");
        assert_eq!(list(&["a", "b", "c"]), "a,b,c");
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a,b,c +2 more");
    }

    #[test]
    fn ages_have_two_units() {
        let ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(ages, ["0s", "119s", "2m0s", "119m59s", "2h0m", "47h59m", "2d0h"]);
    }
}
