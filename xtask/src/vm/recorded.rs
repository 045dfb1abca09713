//! Verified instructions of each program, recorded in the repository by series of kernels. The kernel
//! test `verifier_cost` compares with them.

use std::{collections::BTreeMap, fs};

use anyhow::Context;

use super::report::Report;
use crate::workspace;

/// Environment variable that rewrites the record.
pub const UPDATE: &str = "UPDATE_VERIFIED";
/// The record, below the top of the repository.
const FILE: &str = "tests/verified-instructions.txt";

/// Numbers by series and program.
type Record = BTreeMap<(Vec<u32>, String), u32>;

/// Records the numbers of these kernels; keeps those of others.
pub fn update(reports: &[Report]) -> anyhow::Result<()> {
    let path = workspace::root().join(FILE);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let verified = reports.iter().flat_map(Report::verified);
    fs::write(&path, updated(&text, verified))?;
    println!("recorded in {FILE}");
    Ok(())
}

fn updated<'a>(text: &str, verified: impl Iterator<Item = (&'a str, &'a str, u32)>) -> String {
    let (head, lines): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
    let mut record: Record = lines.into_iter().filter_map(entry).collect();
    record
        .extend(verified.map(|(kernel, program, count)| ((series(kernel), program.into()), count)));
    let lines = record
        .iter()
        .map(|((series, program), count)| format!("{}.{} {program} {count}", series[0], series[1]));
    head.into_iter()
        .map(str::to_owned)
        .chain(lines)
        .map(|line| line + "\n")
        .collect()
}

/// Reads a line like `6.1 connect4 36523`.
fn entry(line: &str) -> Option<((Vec<u32>, String), u32)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [of, program, count] = words[..] else {
        return None;
    };
    Some(((series(of), program.into()), count.parse().ok()?))
}

/// Returns the first two numbers of a release, so that 6.12 comes after 6.1.
fn series(release: &str) -> Vec<u32> {
    let numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or_default());
    numbers.chain([0, 0]).take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_numbers_replace_those_of_the_series_and_all_are_sorted() {
        let text = "# What it is.\n6.12 connect4 5\n6.1 sock_ops 3\n6.1 connect4 1\n";
        let verified = [
            ("6.1.0-56-cloud-amd64", "connect4", 2),
            ("6.18.1+deb13-cloud-amd64", "connect4", 7),
        ];
        assert_eq!(
            updated(text, verified.into_iter()),
            "# What it is.\n6.1 connect4 2\n6.1 sock_ops 3\n6.12 connect4 5\n6.18 connect4 7\n"
        );
    }
}
