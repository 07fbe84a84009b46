//! Tokens to small numbers, which the bit-parallel code compares in their place.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Both sequences as numbers from 0 on in order of first appearance: equal tokens have equal numbers.
pub(super) fn intern<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> (Vec<u32>, Vec<u32>) {
    let mut numbers = Interner::default();
    (numbers.of(reference), numbers.of(hypothesis))
}

struct Interner<'t, T> {
    numbers: HashMap<&'t T, u32, RandomState>,
}

impl<T> Default for Interner<'_, T> {
    fn default() -> Self {
        Self { numbers: HashMap::default() }
    }
}

impl<'t, T: Eq + Hash> Interner<'t, T> {
    fn of(&mut self, tokens: &'t [T]) -> Vec<u32> {
        let mut number = |token| {
            // More than 2^32 different tokens do not fit into the memory of today.
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            *self.numbers.entry(token).or_insert(next)
        };
        tokens.iter().map(&mut number).collect()
    }
}
