//! The state of each hook, as a pass of the probe found it.

use std::collections::BTreeMap;

/// What the probe found about a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HookState {
    /// Its program did its part.
    Works,
    /// Its program did not run, or did something else.
    Fails(String),
    /// It could not be probed.
    Unknown(String),
}

/// The state of each hook.
pub type Pass = BTreeMap<&'static str, HookState>;

impl HookState {
    /// Returns the worse of two states of one hook.
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
    let fails = |state: &HookState| matches!(state, HookState::Fails(_));
    let failing = pass.iter().filter(|(_, state)| fails(state));
    failing.map(|(hook, _)| *hook).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_states_counts() {
        let (fails, unknown) = (
            HookState::Fails("lost".into()),
            HookState::Unknown("no IPv6".into()),
        );
        for (one, other, worse) in [
            (HookState::Works, HookState::Works, HookState::Works),
            (HookState::Works, unknown.clone(), unknown.clone()),
            (unknown.clone(), HookState::Works, unknown.clone()),
            (fails.clone(), unknown.clone(), fails.clone()),
            (unknown, fails.clone(), fails.clone()),
            (HookState::Works, fails.clone(), fails),
        ] {
            assert_eq!(one.and(other), worse);
        }
    }
}
