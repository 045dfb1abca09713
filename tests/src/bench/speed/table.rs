//! Prints figures as tables of 100 columns.

use super::{
    figures::{Figure, Figures},
    names::DIRECT,
    numbers::number,
};
use crate::bench::stats::spread;

/// Prints medians: a row for each measure, a column for each contender. Wraps columns that do not
/// fit.
pub fn matrix(figures: &Figures, part: &str, shown: impl Fn(&str) -> bool) {
    let contenders = figures.distinct(|it| (it.part == part).then_some(&it.contender));
    let measures = figures
        .distinct(|it| (it.part == part && shown(&it.measure)).then_some((&it.measure, it.unit)));
    for columns in contenders.chunks(COLUMNS) {
        println!();
        for line in
            (0..LINES).filter(|&line| columns.iter().any(|name| !heading(name, line).is_empty()))
        {
            let words: String = columns
                .iter()
                .map(|name| format!("{:>WIDTH$}", heading(name, line)))
                .collect();
            println!("{}", format!("  {:<NAMES$}{words}", "").trim_end());
        }
        for (measure, unit) in &measures {
            let of = |name: &String| figures.find(part, name, measure).map(Figure::median);
            let medians: Vec<_> = columns.iter().map(|name| of(name)).collect();
            if medians.iter().any(Option::is_some) {
                let cell = |median: &Option<f64>| {
                    format!("{:>WIDTH$}", median.map_or("–".to_owned(), number))
                };
                let cells: String = medians.iter().map(cell).collect();
                let name = if unit.is_empty() {
                    (*measure).clone()
                } else {
                    format!("{measure}, {unit}")
                };
                println!("  {name:<NAMES$}{cells}");
            }
        }
    }
}

/// Prints a table for each measure, with a row for each contender: median, range, and the ratios to
/// no mesh and to the agent.
pub fn compare(figures: &Figures, part: &str) {
    for (measure, unit) in
        figures.distinct(|it| (it.part == part).then_some((&it.measure, it.unit)))
    {
        let rows: Vec<&Figure> = figures
            .iter()
            .filter(|it| it.part == part && it.measure == *measure)
            .collect();
        let ours = rows
            .iter()
            .find(|it| it.contender.starts_with("mesh 10,000"));
        println!(
            "\n  {:<26}{:>12}  {:<20}{:>10}{:>14}",
            format!("{measure}, {unit}"),
            "median",
            "spread",
            "/ direct",
            "mesh 10,000 /"
        );
        for row in &rows {
            let [low, high] = row.range();
            let to_direct = middle(&figures.ratios(part, measure, &row.contender, DIRECT));
            let of_ours = ours.map_or(String::new(), |ours| number(ours.median() / row.median()));
            let spread = format!("{}–{}", number(low), number(high));
            println!(
                "    {:<24}{:>12}  {spread:<20}{to_direct:>10}{of_ours:>14}",
                row.contender,
                number(row.median())
            );
        }
    }
}

fn middle(ratios: &[f64]) -> String {
    if ratios.is_empty() {
        "–".into()
    } else {
        number(spread(ratios).0)
    }
}

/// Width of names and of figures, number of columns, and lines of the heading.
const NAMES: usize = 42;
const WIDTH: usize = 11;
const COLUMNS: usize = 5;
const LINES: usize = 4;

/// Returns one line of a heading that is wrapped to a narrow column.
fn heading(name: &str, line: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split(' ') {
        match lines.last_mut() {
            Some(last) if last.len() + word.len() < WIDTH - 1 => *last = format!("{last} {word}"),
            _ => lines.push(word.chars().take(WIDTH - 1).collect()),
        }
    }
    let skip = LINES.saturating_sub(lines.len());
    line.checked_sub(skip)
        .and_then(|line| lines.get(line).cloned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_stand_on_the_table() {
        let lines = |name| [0, 1, 2, 3].map(|line| heading(name, line));
        assert_eq!(
            lines("mesh 10,000 affinity"),
            ["", "mesh", "10,000", "affinity"]
        );
        assert_eq!(
            lines("Cilium (published anchor, scaled)"),
            ["Cilium", "(published", "anchor,", "scaled)"]
        );
    }
}
