//! Fits tables to the terminal: chooses the columns and their widths.
//!
//! ```text
//! columns, rows, Layout ──► narrower gaps ──► long names cut in the middle ──► extra columns left out ──► text
//! ```

use std::{borrow::Cow, cmp::Reverse};

use super::render::printable;

/// Spaces between columns, and between columns of a table that is too wide.
const GAP: usize = 3;
const NARROW_GAP: usize = 2;
/// Names are cut to the first width before extra columns are left out, and to the second when all
/// are.
const SHORT_NAME: usize = 16;
const SHORTEST_NAME: usize = 8;
/// Length of `255.255.255.255:65535`.
const IPV4_ENDPOINT: usize = 21;
/// Length of `metrics:9090/TCP`.
const NAMED_PORT: usize = 16;
/// Indentation of the second and later lines of a folded line.
const HANGING: &str = "    ";
/// Most items of a list in one cell.
const LISTED: usize = 3;

/// Size of a terminal in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Characters per line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// How much of an answer to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// All columns, for `-o wide`.
    Wide,
    /// All columns with a value, uncut, for a stdout that is no terminal.
    Whole,
    /// The part that fits into a number of characters.
    Fit(usize),
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column<'a> {
    title: &'a str,
    /// Whether its cells may be cut in the middle.
    is_name: bool,
    /// Shortest width of its cells while other columns can be cut.
    shortest: usize,
    /// Zero for a column that is always shown; of the others the largest is left out first.
    rank: u8,
}

impl<'a> Column<'a> {
    /// Returns a column that is never cut.
    pub(super) const fn new(title: &'a str) -> Self {
        Self {
            title,
            is_name: false,
            shortest: 0,
            rank: 0,
        }
    }

    /// Returns a column of names, which are cut when the table is too wide.
    pub(super) const fn name(title: &'a str) -> Self {
        Self {
            is_name: true,
            ..Self::new(title)
        }
    }

    /// Returns a column of addresses with ports; IPv4 addresses are never cut.
    pub(super) const fn address(title: &'a str) -> Self {
        Self {
            shortest: IPV4_ENDPOINT,
            ..Self::name(title)
        }
    }

    /// Returns a column of ports with names; only long names are cut.
    pub(super) const fn port(title: &'a str) -> Self {
        Self {
            shortest: NAMED_PORT,
            ..Self::name(title)
        }
    }

    /// Returns the column as one to leave out when the table is too wide, higher ranks first.
    pub(super) const fn extra(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

impl Layout {
    /// Returns the layout of a block that is indented by two.
    pub(super) fn indented(self) -> Self {
        match self {
            Self::Fit(width) => Self::Fit(width.saturating_sub(2)),
            other => other,
        }
    }

    /// Folds the long lines of a page between words to the width of the terminal. Tables already fit.
    pub(super) fn folded(self, page: String) -> String {
        match self {
            Self::Fit(room) if page.lines().any(|line| length(line) > room) => page
                .lines()
                .fold(String::new(), |page, line| page + &folded(line, room)),
            Self::Fit(_) | Self::Whole | Self::Wide => page,
        }
    }

    /// Returns `a,b,c +2 more` on a terminal, else all items; `-` for none.
    pub(super) fn list<T: AsRef<str>>(self, items: &[T]) -> String {
        let limit = if matches!(self, Self::Fit(_)) {
            LISTED
        } else {
            items.len()
        };
        let (shown, more) = items.split_at(items.len().min(limit));
        let shown = shown
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .join(",");
        match (shown.as_str(), more.len()) {
            ("", _) => "-".to_owned(),
            (_, 0) => shown,
            (_, more) => format!("{shown} +{more} more"),
        }
    }

    /// Formats aligned columns below a header, one line per row. A last line names columns that do
    /// not fit.
    pub(super) fn table(
        self,
        columns: &[Column<'_>],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> String {
        let rows = rows
            .into_iter()
            .map(|row| row.iter().map(|cell| printable(cell)).collect())
            .collect();
        self.fitted(columns.to_vec(), rows)
    }

    /// Like [`table`](Self::table), without columns that have `-` in every row, except for `-o wide`.
    pub(super) fn sparse(
        self,
        columns: &[Column<'_>],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> String {
        let rows: Vec<Vec<String>> = rows.into_iter().collect();
        let has_value = |at: usize| rows.is_empty() || rows.iter().any(|row| row[at] != "-");
        let kept: Vec<usize> = (0..columns.len())
            .filter(|&at| self == Self::Wide || has_value(at))
            .collect();
        let chosen: Vec<Column<'_>> = kept.iter().map(|&at| columns[at]).collect();
        self.table(
            &chosen,
            rows.iter()
                .map(|row| kept.iter().map(|&at| row[at].clone()).collect()),
        )
    }

    fn fitted(self, mut columns: Vec<Column<'_>>, mut rows: Vec<Vec<String>>) -> String {
        let Self::Fit(room) = self else {
            return text(&columns, &rows, &natural(&columns, &rows), GAP);
        };
        if total(&natural(&columns, &rows), GAP) <= room {
            return text(&columns, &rows, &natural(&columns, &rows), GAP);
        }
        let mut left_out = Vec::new();
        loop {
            let widths = shrunk(&columns, &rows, room, SHORT_NAME);
            if total(&widths, NARROW_GAP) <= room {
                return text(&columns, &rows, &widths, NARROW_GAP) + &note(&left_out, room);
            }
            let Some(at) = least(&columns) else { break };
            left_out.push(columns.remove(at).title);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        let widths = shrunk(&columns, &rows, room, SHORTEST_NAME);
        let text = text(&columns, &rows, &widths, NARROW_GAP);
        clipped(&text, room) + &note(&left_out, room)
    }
}

/// Formats lines of `NAME:   value`, which are never cut.
pub(super) fn facts(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    aligned(
        rows.into_iter()
            .map(|(name, value)| vec![format!("{name}:"), value]),
    )
}

/// Formats aligned columns without a header, which are never cut.
pub(super) fn aligned(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|at| widest(&rows, at))
        .collect();
    rows.iter().fold(String::new(), |text, row| {
        text + &line(row.iter().map(String::as_str), &widths, GAP)
    })
}

/// Returns the column to leave out next.
fn least(columns: &[Column<'_>]) -> Option<usize> {
    let extra = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.rank > 0);
    extra
        .max_by_key(|(_, column)| column.rank)
        .map(|(at, _)| at)
}

fn note(left_out: &[&str], room: usize) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    ended(
        &format!("(-o wide shows also {})", left_out.join(", ")),
        room,
    )
    .into_owned()
        + "\n"
}

fn natural(columns: &[Column<'_>], rows: &[Vec<String>]) -> Vec<usize> {
    columns
        .iter()
        .enumerate()
        .map(|(at, column)| length(column.title).max(widest(rows, at)))
        .collect()
}

/// Shrinks the widest names first, none below `shortest` or its title; returns the widths.
fn shrunk(
    columns: &[Column<'_>],
    rows: &[Vec<String>],
    room: usize,
    shortest: usize,
) -> Vec<usize> {
    let mut widths = natural(columns, rows);
    let least = |at: usize| {
        length(columns[at].title)
            .max(shortest)
            .max(columns[at].shortest)
    };
    while total(&widths, NARROW_GAP) > room {
        let names = (0..columns.len()).filter(|&at| columns[at].is_name && widths[at] > least(at));
        let Some(widest) = names.max_by_key(|&at| (widths[at], Reverse(at))) else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

fn widest(rows: &[Vec<String>], at: usize) -> usize {
    rows.iter()
        .map(|row| length(&row[at]))
        .max()
        .unwrap_or_default()
}

fn total(widths: &[usize], gap: usize) -> usize {
    widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1)
}

fn text(columns: &[Column<'_>], rows: &[Vec<String>], widths: &[usize], gap: usize) -> String {
    let header = line(columns.iter().map(|column| column.title), widths, gap);
    rows.iter().fold(header, |text, row| {
        text + &line(row.iter().map(String::as_str), widths, gap)
    })
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize], gap: usize) -> String {
    let mut line = String::new();
    for (cell, &width) in cells.zip(widths) {
        let cell = cut(cell, width);
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', width - length(&cell) + gap));
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Cuts a text to `width` characters, with `…` in place of its middle.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let length = length(text);
    if length <= width {
        return text.into();
    }
    let tail_length = width.saturating_sub(1) / 2;
    let head: String = text
        .chars()
        .take(width.saturating_sub(tail_length + 1))
        .collect();
    let tail: String = text.chars().skip(length - tail_length).collect();
    (head + "…" + &tail).into()
}

/// Cuts a text to `width` characters, with `…` in place of its end.
fn ended(text: &str, width: usize) -> Cow<'_, str> {
    if length(text) <= width {
        return text.into();
    }
    (text
        .chars()
        .take(width.saturating_sub(1))
        .collect::<String>()
        + "…")
        .into()
}

/// Folds a line to lines of at most `room` characters, between words, or within a longer word.
fn folded(line: &str, room: usize) -> String {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect::<String>() + HANGING;
    let (mut text, mut rest) = (String::new(), line.to_owned());
    while length(&rest) > room && room > 2 * indent.len() {
        let most = rest
            .char_indices()
            .nth(room)
            .map_or(rest.len(), |(at, _)| at);
        let least = rest.len() - rest.trim_start().len();
        let at = rest
            .get(..=most)
            .unwrap_or(&rest[..most])
            .rfind(' ')
            .filter(|at| *at > least)
            .unwrap_or(most);
        text = text + rest[..at].trim_end() + "\n";
        rest = indent.clone() + rest[at..].trim_start();
    }
    text + &rest + "\n"
}

/// Cuts the lines of a page at the edge of the screen.
pub(super) fn clipped(page: &str, columns: usize) -> String {
    page.lines().fold(String::new(), |page, line| {
        page + &ended(line, columns) + "\n"
    })
}

/// Returns the first lines of a page that fit the screen, with the number of the others in the last
/// line. One line stays free for the cursor, or the terminal would scroll.
pub(super) fn first_screen(page: &str, screen: Screen) -> String {
    let rows = |line: &str| length(line).div_ceil(screen.columns.max(1)).max(1);
    let room = screen.rows.saturating_sub(1).max(2);
    if page.lines().map(rows).sum::<usize>() <= room {
        return page.to_owned();
    }
    let (mut used, mut shown) = (0, String::new());
    for line in page.lines() {
        used += rows(line);
        if used > room - 1 {
            break;
        }
        shown = shown + line + "\n";
    }
    let more = page.lines().count() - shown.lines().count();
    shown
        + &ended(
            &format!(
                "({more} more lines; a taller window shows more, and so does the command without -w)"
            ),
            screen.columns,
        )
        + "\n"
}

#[cfg(test)]
mod tests;
