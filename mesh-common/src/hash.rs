//! Hash functions of one or two words. Pure: a word in, a word with all its bits spread out.

/// Multiplier of Fibonacci hashing, 2^32 / φ (Knuth, The Art of Computer Programming, 6.4).
pub(crate) const GOLDEN: u32 = 0x9e37_79b1;

/// Spreads every bit over all (`SplitMix64`'s finalizer, Steele et al. 2014).
#[inline(always)]
pub const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
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
