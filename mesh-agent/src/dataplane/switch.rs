//! Switches the hooks to other programs one after the other, or back when one of them fails.

use std::fmt;

/// Hooks that can be switched, and switched back.
pub(super) trait Hooks {
    /// A switched hook, with what it takes to switch it back.
    type Switched;

    /// Switches a hook, or leaves it as it was.
    fn switch(&mut self, hook: &'static str) -> anyhow::Result<Self::Switched>;

    /// Switches a hook back.
    fn restore(&mut self, switched: &Self::Switched) -> anyhow::Result<()>;

    /// Keeps what the next agent needs to switch these hooks back.
    fn keep(&mut self) -> anyhow::Result<()>;
}

/// A hook could not be switched.
#[derive(Debug)]
pub struct SwitchFailed {
    cause: anyhow::Error,
    /// Hooks that could not be switched back, and why.
    stuck: Vec<(&'static str, String)>,
    /// Version of the layout of the previous programs' maps, if there are any.
    previous: Option<u32>,
}

impl fmt::Display for SwitchFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)?;
        match (self.previous, &self.stuck[..]) {
            (None, _) => Ok(()),
            (Some(abi), []) => write!(
                f,
                "; the programs of the previous agent (ABI {abi}) serve at all hooks"
            ),
            (Some(abi), stuck) => {
                write!(
                    f,
                    "; these hooks cannot be switched back to the previous agent (ABI {abi}), so start this one again:"
                )?;
                stuck
                    .iter()
                    .try_for_each(|(hook, reason)| write!(f, " {hook} ({reason})"))
            }
        }
    }
}

impl std::error::Error for SwitchFailed {}

impl SwitchFailed {
    /// Whether all hooks are as they were before.
    pub(super) fn is_undone(&self) -> bool {
        self.stuck.is_empty()
    }
}

/// Switches `hooks` in this order, and keeps what the next agent needs. After a failure, all that were
/// switched are switched back, the last one first.
pub(super) fn switch_all<H: Hooks>(
    target: &mut H,
    hooks: impl IntoIterator<Item = &'static str>,
    previous: Option<u32>,
) -> Result<Vec<H::Switched>, SwitchFailed> {
    let mut done = Vec::new();
    match switch_each(target, hooks, &mut done).and_then(|()| target.keep()) {
        Ok(()) => Ok(done.into_iter().map(|(_, switched)| switched).collect()),
        Err(cause) => Err(SwitchFailed {
            cause,
            stuck: restore(target, &done),
            previous,
        }),
    }
}

fn switch_each<H: Hooks>(
    target: &mut H,
    hooks: impl IntoIterator<Item = &'static str>,
    done: &mut Vec<(&'static str, H::Switched)>,
) -> anyhow::Result<()> {
    for hook in hooks {
        done.push((hook, target.switch(hook)?));
    }
    Ok(())
}

fn restore<H: Hooks>(
    target: &mut H,
    done: &[(&'static str, H::Switched)],
) -> Vec<(&'static str, String)> {
    let failed = |(hook, switched): &(&'static str, H::Switched)| {
        let error = target.restore(switched).err()?;
        Some((*hook, format!("{error:#}")))
    };
    done.iter().rev().filter_map(failed).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    const HOOKS: [&str; 4] = ["a", "b", "c", "d"];

    /// Which program each hook runs; hooks that cannot be switched, or not back.
    #[derive(Default)]
    struct Fake {
        new: Vec<&'static str>,
        broken: Option<&'static str>,
        stuck: Option<&'static str>,
        cannot_keep: bool,
    }

    impl Hooks for Fake {
        type Switched = &'static str;

        fn switch(&mut self, hook: &'static str) -> anyhow::Result<&'static str> {
            ensure!(self.broken != Some(hook), "{hook} is broken");
            self.new.push(hook);
            Ok(hook)
        }

        fn restore(&mut self, hook: &&'static str) -> anyhow::Result<()> {
            ensure!(self.stuck != Some(*hook), "no program");
            ensure!(self.new.pop() == Some(*hook), "out of order");
            Ok(())
        }

        fn keep(&mut self) -> anyhow::Result<()> {
            ensure!(!self.cannot_keep, "no room");
            Ok(())
        }
    }

    #[test]
    fn failure_at_any_hook_switches_all_others_back() {
        for broken in HOOKS {
            let mut fake = Fake {
                broken: Some(broken),
                ..Fake::default()
            };
            let error = switch_all(&mut fake, HOOKS, Some(6)).unwrap_err();
            assert_eq!(
                (error.to_string(), fake.new.len()),
                (
                    format!(
                        "{broken} is broken; the programs of the previous agent (ABI 6) serve at all hooks"
                    ),
                    0
                )
            );
        }
        let mut fake = Fake::default();
        assert_eq!(switch_all(&mut fake, HOOKS, Some(6)).unwrap(), HOOKS);
        assert_eq!(fake.new, HOOKS);
    }

    #[test]
    fn failure_to_keep_what_the_next_agent_needs_switches_all_back() {
        let mut fake = Fake {
            cannot_keep: true,
            ..Fake::default()
        };
        let error = switch_all(&mut fake, HOOKS, Some(6)).unwrap_err();
        let expected =
            "no room; the programs of the previous agent (ABI 6) serve at all hooks".to_owned();
        assert_eq!((error.to_string(), fake.new), (expected, vec![]));
    }

    #[test]
    fn hook_that_cannot_be_switched_back_is_named() {
        let mut fake = Fake {
            broken: Some("d"),
            stuck: Some("a"),
            ..Fake::default()
        };
        let error = switch_all(&mut fake, HOOKS, Some(6)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "d is broken; these hooks cannot be switched back to the previous agent (ABI 6), so start this one again: \
             a (no program)"
        );
        assert!(!error.is_undone());
    }

    #[test]
    fn first_agent_has_no_previous_one() {
        let mut fake = Fake {
            broken: Some("b"),
            ..Fake::default()
        };
        let error = switch_all(&mut fake, HOOKS, None).unwrap_err();
        assert_eq!(
            (error.to_string(), fake.new),
            ("b is broken".into(), vec![])
        );
    }
}
