//! Logs each problem when it starts and when it ends, not with every step.

use std::collections::{BTreeSet, HashMap};

use tracing::{error, info};

/// Most lines that one call logs.
const MOST_LINES: usize = 100;

/// The problems of the last call.
#[derive(Default)]
pub(super) struct ProblemLog {
    problems: BTreeSet<String>,
}

impl ProblemLog {
    /// Replaces the known problems; returns those that are new, and those that ended.
    fn take(&mut self, now: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
        let now: BTreeSet<String> = now.into_iter().collect();
        let before = std::mem::replace(&mut self.problems, now);
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).cloned().collect()
        };
        let (mut begun, mut ended) = (only(&self.problems, &before), only(&before, &self.problems));
        forget_moved(&mut begun, &mut ended);
        (begun, ended)
    }

    /// Replaces the known problems, and logs those that are new and those that ended.
    pub(super) fn log(&mut self, now: impl IntoIterator<Item = String>) {
        let (begun, ended) = self.take(now);
        begun
            .iter()
            .take(MOST_LINES)
            .for_each(|line| error!("{line}"));
        ended
            .iter()
            .take(MOST_LINES)
            .for_each(|line| info!("solved: {line}"));
        let more = begun.len().saturating_sub(MOST_LINES) + ended.len().saturating_sub(MOST_LINES);
        if more > 0 {
            info!("{more} more changes of problems; `meshctl status` shows all current problems");
        }
    }
}

/// Removes problems that only moved to another line of their file.
fn forget_moved(begun: &mut Vec<String>, ended: &mut Vec<String>) {
    let mut left: HashMap<String, Vec<String>> = HashMap::new();
    for line in ended.drain(..) {
        left.entry(without_lines(&line)).or_default().push(line);
    }
    begun.retain(|line| {
        left.get_mut(&without_lines(line))
            .and_then(Vec::pop)
            .is_none()
    });
    ended.extend(left.into_values().flatten());
    ended.sort_unstable();
}

/// Returns the text without line numbers, `a.yaml:7`, and list indexes, `services[2]`.
fn without_lines(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut before, mut skips) = (' ', false);
    for c in text.chars() {
        skips = c.is_ascii_digit() && skips;
        if !skips {
            // A line number follows a letter; the port of an address follows a digit or a bracket.
            skips = c == '[' || c == ':' && before.is_alphabetic();
            kept.push(c);
        }
        before = c;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuing_problem_is_logged_once() {
        let mut log = ProblemLog::default();
        let mut look = |now: &[&str]| log.take(now.iter().map(ToString::to_string));
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(look(&["a", "b"]), (lines(&["a", "b"]), vec![]));
        assert_eq!(look(&["a", "b"]), (vec![], vec![]));
        assert_eq!(look(&["b", "c"]), (lines(&["c"]), lines(&["a"])));
        assert_eq!(look(&[]), (vec![], lines(&["b", "c"])));
    }

    #[test]
    fn problem_that_moves_to_another_line_is_not_logged_again() {
        let mut log = ProblemLog::default();
        let mut look = |now: &[&str]| log.take(now.iter().map(ToString::to_string));
        let first = "/srv/a.yaml:10: services[2].ports[0].port: expected a port, found `0`";
        assert_eq!(look(&[first]).0.len(), 1);
        let moved = "/srv/a.yaml:6: services[1].ports[0].port: expected a port, found `0`";
        assert_eq!(look(&[moved]), (vec![], vec![]));
        let twice = "/srv/a.yaml:9: services[2].ports[0].port: expected a port, found `0`";
        assert_eq!(
            look(&[moved, twice]),
            (vec![twice.to_owned()], vec![]),
            "one more of the same"
        );
        let [one, other] =
            [80, 81].map(|port| format!("/srv/a.yaml:6: both ask for 10.96.0.1:{port}"));
        assert_eq!(look(&[moved, twice, &one]).0, std::slice::from_ref(&one));
        assert_eq!(
            look(&[moved, twice, &other]),
            (vec![other], vec![one]),
            "another port is another error"
        );
    }
}
