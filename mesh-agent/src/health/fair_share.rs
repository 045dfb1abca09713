//! Fair shares of one rate (max-min fairness): each gets what it asks for, up to one level for all
//! that ask for more. <https://en.wikipedia.org/wiki/Max-min_fairness>

/// Returns the most that one of these demands may have of `total`; no bound where all fit.
pub(super) fn level(total: u64, demands: impl IntoIterator<Item = u64>) -> u64 {
    let mut demands: Vec<u64> = demands.into_iter().collect();
    demands.sort_unstable();
    let (mut left, mut sharers) = (total, demands.len() as u64);
    for demand in demands {
        let fair = left / sharers;
        if demand > fair {
            return fair;
        }
        (left, sharers) = (left - demand, sharers - 1);
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_demands_are_met_and_large_ones_share_the_rest() {
        assert_eq!(level(1000, []), u64::MAX);
        assert_eq!(level(1000, [400, 600]), u64::MAX);
        assert_eq!(level(1000, [200_000]), 1000);
        assert_eq!(level(1000, [200_000, 10]), 990);
        assert_eq!(level(1000, [300, 200_000, 5, 800]), 347);
        assert_eq!(level(2, [5, 5, 5]), 0);
    }
}
