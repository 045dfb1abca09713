//! Lines that compare a figure with its target.

use std::fmt;

/// One line: a figure, its target, and whether it is met.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Median over the rounds.
    pub value: f64,
    /// Lowest and highest value.
    pub spread: [f64; 2],
    /// The target.
    pub target: f64,
    /// Whether the figure should be at least the target, instead of at most.
    pub at_least: bool,
}

impl Row {
    /// A figure that should be at most the target.
    pub fn at_most(what: &str, values: &[f64], target: f64) -> Self {
        let (value, low, high) = super::stats::spread(values);
        Self {
            what: what.into(),
            value,
            spread: [low, high],
            target,
            at_least: false,
        }
    }

    /// A figure that should be at least the target.
    pub fn at_least(what: &str, values: &[f64], target: f64) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(what, values, target)
        }
    }

    /// Whether the target is met.
    pub fn holds(&self) -> bool {
        if self.at_least {
            self.value >= self.target
        } else {
            self.value <= self.target
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            value,
            spread: [low, high],
            target,
            at_least,
        } = self;
        let sign = if *at_least { "≥" } else { "≤" };
        let verdict = if self.holds() { "ok" } else { "missed" };
        write!(
            f,
            "{what:<72} {value:>8.3}  ({low:.3}–{high:.3})  {sign} {target:<5} {verdict}"
        )
    }
}
