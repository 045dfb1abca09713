//! Waits for conditions with a deadline. The only module that sleeps.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

use crate::machine;

const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// How many times longer a deadline is in an emulated machine.
const EMULATED: u32 = 10;

/// Sleeps, for tests about time: a timeout that must expire, or must not.
pub fn pass(duration: Duration) {
    thread::sleep(duration);
}

/// Polls until there is a value; panics with `what` at the deadline.
pub fn until_some<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    try_until_some(deadline, look).unwrap_or_else(|| panic!("{what}: not within {deadline:?}"))
}

/// Polls until there is a value or the deadline is over.
pub fn try_until_some<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = if machine::is_emulated() {
        deadline * EMULATED
    } else {
        deadline
    };
    let start = Instant::now();
    loop {
        // The clock is read before polling, so that one poll happens after the deadline even if
        // polling is slow.
        let late = start.elapsed() > deadline;
        match look() {
            Some(value) => return Some(value),
            None if late => return None,
            None => thread::sleep(BETWEEN_LOOKS),
        }
    }
}

/// Polls until `holds`; panics with `what` at the deadline.
pub fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    until_some(what, deadline, || holds().then_some(()));
}

/// Polls until the value is `expected`; panics with both at the deadline.
pub fn until_equal<T: PartialEq + Debug>(
    what: &str,
    deadline: Duration,
    expected: &T,
    mut look: impl FnMut() -> T,
) {
    let mut seen = None;
    let equal = try_until_some(deadline, || {
        seen = Some(look());
        (seen.as_ref() == Some(expected)).then_some(())
    });
    assert!(
        equal.is_some(),
        "{what}: not within {deadline:?}\nexpected {expected:#?}\nlast seen {seen:#?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_condition() {
        let mut looks = 0;
        until_equal("looks", Duration::from_secs(5), &3, || {
            looks += 1;
            looks
        });
        assert_eq!(looks, 3);
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        assert_eq!(try_until_some(Duration::ZERO, || None::<()>), None);
    }
}
