//! Seeded noise.

/// The next number in [-0.5, 0.5). Source: Steele, Lea and Flood, `SplitMix64`, OOPSLA 2014.
pub(super) fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 40) as f32 / (1 << 24) as f32 - 0.5
}

/// The next number of mean 0 and deviation 1, near enough to the normal distribution: a sum of twelve (Irwin and Hall).
pub(super) fn normal(state: &mut u64) -> f32 {
    (0..12).map(|_| uniform(state)).sum()
}
