//! Counts the answers of each endpoint, and shows them as bars.

use std::collections::BTreeMap;

/// Number of answers by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Returns the number of all answers.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the answers of one endpoint.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Returns the number of endpoints that answered.
    pub fn names(&self) -> usize {
        self.0.len()
    }

    /// Returns the share of one endpoint, 0 to 1.
    pub fn share(&self, name: &str) -> f64 {
        ratio(self.of(name), self.total())
    }

    /// Returns one line per endpoint: name, bar, percent, count.
    pub fn bars(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(name, count)| bar(name, *count, self.total()))
            .collect()
    }
}

impl<T: Into<String>> FromIterator<T> for Tally {
    fn from_iter<I: IntoIterator<Item = T>>(answers: I) -> Self {
        let mut tally = Self::default();
        for answer in answers {
            *tally.0.entry(answer.into()).or_default() += 1;
        }
        tally
    }
}

/// Width of 100 %.
const WIDTH: u64 = 40;

fn bar(name: &str, count: u64, total: u64) -> String {
    let filled = (count * WIDTH).div_ceil(total.max(1));
    let bar: String = (0..filled).map(|_| '█').collect();
    format!(
        "{name:<11} {bar:<40} {:>5.1} %  {count:>5}",
        100.0 * ratio(count, total)
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts of a demo")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_name_share_and_count() {
        let tally: Tally = ["a", "b", "b", "b"].into_iter().collect();
        assert_eq!(tally.total(), 4);
        assert_eq!(
            tally.bars(),
            [
                format!("{:<11} {:<40}  25.0 %      1", "a", "█".repeat(10)),
                format!("{:<11} {:<40}  75.0 %      3", "b", "█".repeat(30)),
            ]
        );
    }

    #[test]
    fn nothing_counted_is_no_share() {
        assert_eq!(Tally::default().share("a").to_bits(), 0.0_f64.to_bits());
    }
}
