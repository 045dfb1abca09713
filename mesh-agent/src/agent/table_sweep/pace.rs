//! Computes when the next sweep is due. Pure.

use std::time::Duration;

/// Shortest time between two of the first sweeps while they find suspects: an agent that was
/// killed while it switched programs leaves rows without sockets. Hooks end sooner.
const AT_ONCE: Duration = Duration::from_millis(50);
/// The number of these sweeps. A row is removed by the third.
const AT_ONCE_SWEEPS: u32 = 6;
/// Time between two sweeps at the start, while a client has many rows, and after a sweep found a
/// row without a socket.
const SOON: Duration = Duration::from_secs(1);
/// Sweeps with this interval after the start. Counts are corrected when two sweeps agree.
const SOON_SWEEPS: u32 = 3;
/// The interval is at least this many times the duration of a sweep, which bounds the processor time.
const COST: u32 = 10;

/// What a sweep found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Findings {
    /// The table, or the quota of a client, is half full.
    pub(super) is_pressed: bool,
    /// A row has no socket.
    pub(super) misses_sockets: bool,
    /// Such a row was suspected before, as all that a switch leaves are.
    pub(super) has_suspects: bool,
}

/// Counts the sweeps since the programs were attached.
#[derive(Default)]
pub(super) struct Pace {
    sweeps: u32,
}

impl Pace {
    /// Returns the pause after a sweep that `took` this long. Without a reason it is the `longest`.
    pub(super) fn pause(
        &mut self,
        findings: Findings,
        took: Duration,
        longest: Duration,
    ) -> Duration {
        self.sweeps = self.sweeps.saturating_add(1);
        let Findings {
            is_pressed,
            misses_sockets,
            has_suspects,
        } = findings;
        if self.sweeps < AT_ONCE_SWEEPS && has_suspects {
            return AT_ONCE.min(longest).max(took);
        }
        let is_soon = self.sweeps < SOON_SWEEPS || is_pressed || misses_sockets;
        let pause = if is_soon { SOON } else { longest };
        pause.min(longest).max(took * COST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);
    const NOTHING: Findings = Findings {
        is_pressed: false,
        misses_sockets: false,
        has_suspects: false,
    };

    /// Pauses after sweeps that all find this.
    fn pauses<const N: usize>(findings: Findings, took: Duration) -> [Duration; N] {
        let mut pace = Pace::default();
        [(); N].map(|()| pace.pause(findings, took, LONGEST))
    }

    #[test]
    fn first_sweeps_follow_at_once_while_they_find_suspects() {
        let has_suspects = Findings {
            misses_sockets: true,
            has_suspects: true,
            ..NOTHING
        };
        let short = Duration::from_millis(1);
        let pauses: [_; AT_ONCE_SWEEPS as usize + 1] = pauses(has_suspects, short);
        let (first, rest) = pauses.split_at(AT_ONCE_SWEEPS as usize - 1);
        assert!(first.iter().all(|pause| *pause == AT_ONCE), "{first:?}");
        assert_eq!(rest, [SOON; 2]);
    }

    #[test]
    fn sweeps_that_find_nothing_are_seldom_after_the_start() {
        let short = Duration::from_millis(1);
        assert_eq!(pauses(NOTHING, short), [SOON, SOON, LONGEST, LONGEST]);
        let is_pressed = Findings {
            is_pressed: true,
            ..NOTHING
        };
        let misses_sockets = Findings {
            misses_sockets: true,
            ..NOTHING
        };
        for findings in [is_pressed, misses_sockets] {
            assert_eq!(pauses(findings, short), [SOON; 4]);
        }
        let long = Duration::from_millis(500);
        assert_eq!(pauses(is_pressed, long), [long * COST; 4]);
    }
}
