//! What is wrong, told when it begins and when it ends instead of with every step.

use std::collections::BTreeSet;

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
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect();
        (only(&self.wrong, &before), only(&before, &self.wrong))
    }

    /// The same, written to the log.
    pub(super) fn tell(&mut self, now: impl IntoIterator<Item = String>) {
        let (begun, ended) = self.look(now);
        begun.iter().take(TOLD).for_each(|line| error!("{line}"));
        ended.iter().take(TOLD).for_each(|line| info!("no longer so: {line}"));
        let more = begun.len().saturating_sub(TOLD) + ended.len().saturating_sub(TOLD);
        if more > 0 {
            info!("{more} more lines like these; `meshctl status` has all that is wrong now");
        }
    }
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
}
