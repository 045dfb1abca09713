//! What is wrong, told when it begins and when it ends instead of with every step.

use std::collections::{BTreeSet, HashMap};

use tracing::{error, info};

/// Lines about one look, at most.
const TOLD: usize = 100;

/// What was wrong at the last look.
#[derive(Default)]
pub(super) struct News {
    wrong: BTreeSet<String>,
}

impl News {
    /// Takes what is wrong now; returns what is newly so, and what no longer is.
    fn look(&mut self, now: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
        let now: BTreeSet<String> = now.into_iter().collect();
        let before = std::mem::replace(&mut self.wrong, now);
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).cloned().collect()
        };
        let (mut begun, mut ended) = (only(&self.wrong, &before), only(&before, &self.wrong));
        forget_moved(&mut begun, &mut ended);
        (begun, ended)
    }

    /// The same, written to the log.
    pub(super) fn tell(&mut self, now: impl IntoIterator<Item = String>) {
        let (begun, ended) = self.look(now);
        begun.iter().take(TOLD).for_each(|line| error!("{line}"));
        ended
            .iter()
            .take(TOLD)
            .for_each(|line| info!("no longer so: {line}"));
        let more = begun.len().saturating_sub(TOLD) + ended.len().saturating_sub(TOLD);
        if more > 0 {
            info!("{more} more lines like these; `meshctl status` has all that is wrong now");
        }
    }
}

/// Takes out what is only on another line of its file now.
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

/// A text without the numbers of lines, `a.yaml:7`, and of list elements, `services[2]`.
fn without_lines(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut before, mut skips) = (' ', false);
    for c in text.chars() {
        skips = c.is_ascii_digit() && skips;
        if !skips {
            // The port of an address follows a digit or a bracket.
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
    fn what_goes_on_is_told_once() {
        let mut news = News::default();
        let mut look = |now: &[&str]| news.look(now.iter().map(ToString::to_string));
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(look(&["a", "b"]), (lines(&["a", "b"]), vec![]));
        assert_eq!(look(&["a", "b"]), (vec![], vec![]));
        assert_eq!(look(&["b", "c"]), (lines(&["c"]), lines(&["a"])));
        assert_eq!(look(&[]), (vec![], lines(&["b", "c"])));
    }

    #[test]
    fn what_moves_to_another_line_is_no_news() {
        let mut news = News::default();
        let mut look = |now: &[&str]| news.look(now.iter().map(ToString::to_string));
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
