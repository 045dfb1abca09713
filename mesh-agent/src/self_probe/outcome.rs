//! What a pass of the probe found about each hook.

use std::collections::BTreeMap;

/// What the probe found about a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its program did its part.
    Works,
    /// Its program did not run, or did something else.
    Fails(String),
    /// It could not be probed.
    Unknown(String),
}

/// The outcome for each hook.
pub type Pass = BTreeMap<&'static str, Outcome>;

impl Outcome {
    /// Returns the worse of two outcomes for one hook.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Fails(_), _) | (_, Self::Works) => self,
            (_, Self::Fails(_)) | (Self::Works, _) => other,
            (Self::Unknown(_), Self::Unknown(_)) => self,
        }
    }
}

/// Returns the hooks that fail.
pub fn failing(pass: &Pass) -> Vec<&'static str> {
    let fails = |outcome: &Outcome| matches!(outcome, Outcome::Fails(_));
    let failing = pass.iter().filter(|(_, outcome)| fails(outcome));
    failing.map(|(hook, _)| *hook).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_outcomes_counts() {
        let (fails, unknown) = (
            Outcome::Fails("lost".into()),
            Outcome::Unknown("no IPv6".into()),
        );
        for (one, other, worse) in [
            (Outcome::Works, Outcome::Works, Outcome::Works),
            (Outcome::Works, unknown.clone(), unknown.clone()),
            (unknown.clone(), Outcome::Works, unknown.clone()),
            (fails.clone(), unknown.clone(), fails.clone()),
            (unknown, fails.clone(), fails.clone()),
            (Outcome::Works, fails.clone(), fails),
        ] {
            assert_eq!(one.and(other), worse);
        }
    }
}
