//! Decides when changes are sent on: a single one at once, many in batches.

use std::time::Duration;

use tokio::time::Instant;

/// Least time between two updates.
const BATCH: Duration = Duration::from_millis(100);

/// The pace of updates.
#[derive(Default)]
pub struct Pace {
    sent: Option<Instant>,
}

impl Pace {
    /// Returns when the next update may be sent.
    pub fn due(&self, now: Instant) -> Instant {
        self.sent.map_or(now, |sent| (sent + BATCH).max(now))
    }

    /// Notes that an update was sent.
    pub fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_change_is_sent_at_once_and_the_next_ones_together() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.due(start), start);
        pace.sent(start);
        let soon = start + BATCH / 4;
        assert_eq!(pace.due(soon), start + BATCH);
        let later = start + BATCH * 2;
        assert_eq!(pace.due(later), later);
    }
}
