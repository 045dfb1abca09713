//! Weight ramps: slow start of new endpoints and drain of leaving ones. The formulas are closed
//! forms of the elapsed time, so the result does not depend on when or how often they are
//! evaluated.

use std::time::Duration;

use crate::model::{Drain, Ratio, SlowStart};

/// Slow start ends at this part of the target.
const FULL: f64 = 0.999;
/// A drain ends below this part of the target.
const EMPTY: f64 = 0.01;

/// Returns the part of its target that a new endpoint has: S(n+1) = S(n) + α·(T − S(n)), S(0) =
/// α·T, hence S(n)/T = 1 − (1 − α)^(n+1).
pub(super) fn rising(slow_start: &SlowStart, elapsed: Duration) -> f64 {
    let ticks = ticks(elapsed, slow_start.tick).saturating_add(1);
    let share = 1.0 - (1.0 - fraction(slow_start.alpha)).powi(ticks);
    if share > FULL { 1.0 } else { share }
}

/// Returns the part of its target that a draining endpoint has left: C(n+1) = C(n)·β, C(0) = T,
/// hence C(n)/T = β^n.
pub(super) fn falling(drain: Option<&Drain>, elapsed: Duration) -> f64 {
    let share = drain.map_or(0.0, |drain| {
        fraction(drain.beta).powi(ticks(elapsed, drain.tick))
    });
    if share < EMPTY { 0.0 } else { share }
}

/// Returns the time of the first tick after `now` of a ramp that began at `since`.
pub(super) fn next_tick(since: Duration, tick: Duration, now: Duration) -> Duration {
    let ticks = ticks(now.saturating_sub(since), tick).saturating_add(1);
    since.saturating_add(tick.saturating_mul(ticks.unsigned_abs()))
}

fn ticks(elapsed: Duration, tick: Duration) -> i32 {
    i32::try_from(elapsed.as_nanos() / tick.as_nanos().max(1)).unwrap_or(i32::MAX)
}

fn fraction(ratio: Ratio) -> f64 {
    f64::from(ratio.0) / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    proptest! {
        #[test]
        fn closed_forms_are_the_recurrences(alpha in 1_u32..=1_000_000, beta in 0_u32..1_000_000, ticks in 0_u32..300) {
            let slow_start = SlowStart { alpha: Ratio(alpha), tick: TICK };
            let drain = Drain { beta: Ratio(beta), tick: TICK };
            let (mut s, mut c) = (fraction(slow_start.alpha), 1.0);
            for _ in 0..ticks {
                s += fraction(slow_start.alpha) * (1.0 - s);
                c *= fraction(drain.beta);
            }
            let within = TICK * ticks + Duration::from_millis(499);
            let expected = if s > FULL { 1.0 } else { s };
            prop_assert!((rising(&slow_start, within) - expected).abs() < 1e-3);
            prop_assert!(s > FULL - 1e-9 || (rising(&slow_start, within) - s).abs() < 1e-9);
            prop_assert!((c - EMPTY).abs() < 1e-9 || falling(Some(&drain), within) == 0.0 || c > EMPTY - 1e-9);
            prop_assert!(c < EMPTY + 1e-9 || (falling(Some(&drain), within) - c).abs() < 1e-9);
        }
    }

    #[test]
    fn ramps_end() {
        let slow_start = SlowStart {
            alpha: Ratio(1),
            tick: Duration::from_millis(100),
        };
        assert!(rising(&slow_start, Duration::ZERO) > 0.0);
        assert_eq!(rising(&slow_start, Duration::MAX), 1.0);
        let drain = Drain {
            beta: Ratio(999_999),
            tick: Duration::from_millis(100),
        };
        assert_eq!(
            (
                falling(Some(&drain), Duration::ZERO),
                falling(Some(&drain), Duration::MAX)
            ),
            (1.0, 0.0)
        );
        assert_eq!(falling(None, Duration::ZERO), 0.0, "it ends at once");
    }

    #[test]
    fn ticks_are_counted_from_the_beginning() {
        let second = Duration::from_secs;
        assert_eq!(next_tick(second(10), second(3), second(10)), second(13));
        assert_eq!(next_tick(second(10), second(3), second(12)), second(13));
        assert_eq!(next_tick(second(10), second(3), second(13)), second(16));
        assert_eq!(
            next_tick(second(10), second(3), second(1)),
            second(13),
            "the ramp has not begun"
        );
    }
}
