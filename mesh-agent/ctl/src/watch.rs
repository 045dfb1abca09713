//! `-w`: repeats an answer.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Shortest interval, so that requests do not overload the agent.
const SHORTEST: Duration = Duration::from_millis(100);

/// The option of commands that can be watched.
#[derive(clap::Args)]
pub(super) struct Watch {
    /// Repeat every INTERVAL, like 500ms, 1s or 2m, until interrupted [default interval: 1s]
    #[arg(short, long = "watch", value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "1s")]
    #[arg(value_parser = parse)]
    watch: Option<Duration>,
}

impl Watch {
    /// Returns the rounds of the command: one, or endless.
    pub(super) fn rounds(&self) -> Rounds {
        match self.watch {
            None => Rounds::Once { done: false },
            Some(every) => {
                let mut ticks = interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Rounds::Every(ticks)
            }
        }
    }
}

/// See [`Watch::rounds`].
pub(super) enum Rounds {
    Once { done: bool },
    Every(Interval),
}

impl Rounds {
    /// Returns whether another round follows in any case.
    pub(super) fn go_on(&self) -> bool {
        matches!(self, Self::Every(_))
    }

    /// Waits for the next round; returns false when there is none.
    pub(super) async fn next(&mut self) -> bool {
        match self {
            Self::Once { done } => !std::mem::replace(done, true),
            Self::Every(ticks) => {
                ticks.tick().await;
                true
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum IntervalError {
    #[error(
        "expected a number and ms, s or m, like 500ms or 2s, found `{0}`; a service name goes before -w"
    )]
    Malformed(String),
    #[error("expected {shortest} ms or more, found `{0}`", shortest = SHORTEST.as_millis())]
    TooShort(String),
}

fn parse(text: &str) -> Result<Duration, IntervalError> {
    let malformed = || IntervalError::Malformed(text.to_owned());
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_| malformed())?;
    let every = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number.into()),
        "s" => Duration::from_secs(number.into()),
        "m" => Duration::from_secs(60 * u64::from(number)),
        _ => return Err(malformed()),
    };
    if every < SHORTEST {
        Err(IntervalError::TooShort(text.to_owned()))
    } else {
        Ok(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_a_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "3", "s", "cart", "1h", "-1s", "1.5s", "99999999999s"] {
            assert_eq!(parse(text), Err(IntervalError::Malformed(text.to_owned())));
        }
        assert_eq!(parse("0s"), Err(IntervalError::TooShort("0s".into())));
        assert_eq!(parse("99ms"), Err(IntervalError::TooShort("99ms".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_are_one_or_endless() {
        let mut once = Watch { watch: None }.rounds();
        assert!(once.next().await);
        assert!(!once.next().await);
        let mut every = Watch {
            watch: Some(Duration::from_secs(5)),
        }
        .rounds();
        let start = tokio::time::Instant::now();
        for _ in 0..4 {
            assert!(every.next().await);
        }
        assert_eq!(start.elapsed(), Duration::from_secs(15));
    }
}
