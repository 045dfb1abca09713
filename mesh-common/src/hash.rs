//! Hash functions of one or two words. Pure: a word in, a word with all its bits spread out.

/// Multiplier of Fibonacci hashing, 2^32 / φ (Knuth, The Art of Computer Programming, 6.4).
pub(crate) const GOLDEN: u32 = 0x9e37_79b1;

/// 2^64 / φ: its multiples, modulo 2^64, are spread evenly
/// (<https://en.wikipedia.org/wiki/Low-discrepancy_sequence#Additive_recurrence>).
pub const GOLDEN_64: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads every bit over all (`SplitMix64`'s finalizer, Steele et al. 2014).
#[inline(always)]
pub const fn mix(word: u64) -> u64 {
    let once = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ once >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ twice >> 31
}

/// Returns the next state of a generator of random numbers (`SplitMix64`, Steele et al. 2014) and 32
/// bits from it.
#[inline(always)]
pub const fn next_random(state: u64) -> (u64, u32) {
    let next = state.wrapping_add(GOLDEN_64);
    (next, (mix(next) >> 32) as u32)
}

/// Returns other bits from what a weighted draw left of its random number, for the
/// next draw: high bits that depend on all bits of `fraction`.
#[inline(always)]
pub(crate) const fn scatter(fraction: u32) -> u32 {
    fraction
        .wrapping_mul(GOLDEN)
        .rotate_left(16)
        .wrapping_mul(0x85eb_ca6b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_fall_into_all_parts_equally_often_from_any_state() {
        for seed in [1, 2, u64::MAX, 0x1234_5678 << 32 | 1] {
            let (mut state, mut parts) = (seed, [0; 16]);
            for _ in 0..16_000 {
                let bits;
                (state, bits) = next_random(state);
                parts[(bits >> 28) as usize] += 1;
            }
            let far = parts.iter().filter(|part| !(850..=1150).contains(*part));
            assert_eq!(far.count(), 0, "{seed}: {parts:?}");
        }
    }
}
