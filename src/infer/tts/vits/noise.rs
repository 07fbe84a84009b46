//! Normally distributed numbers: the same from the same seed on every machine.

use std::f64::consts::TAU;

/// A source of numbers with mean 0 and variance 1.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    state: u64,
    second: Option<f64>,
}

impl Noise {
    /// The numbers of a seed, a stream of its own for each `part`.
    pub(super) fn new(seed: u64, part: u64) -> Self {
        let mut noise = Self { state: seed, second: None };
        noise.state = noise.bits() ^ part.wrapping_mul(0xd134_2543_de82_ef95);
        noise
    }

    /// Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014), `SplitMix64`.
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number, by Box and Muller's transform.
    pub(super) fn next(&mut self) -> f32 {
        if let Some(second) = self.second.take() {
            return second as f32;
        }
        let mut uniform = || (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * libm::log(1.0 - uniform())).sqrt(), TAU * uniform());
        self.second = Some(radius * libm::sin(angle));
        (radius * libm::cos(angle)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_normal_and_those_of_their_seed() {
        let numbers = |seed, part| {
            let mut noise = Noise::new(seed, part);
            (0..20_000).map(|_| f64::from(noise.next())).collect::<Vec<_>>()
        };
        let first = numbers(1, 0);
        let moment = |power| first.iter().map(|x| x.powi(power)).sum::<f64>() / first.len() as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03 && (moment(4) - 3.0).abs() < 0.2);
        assert_eq!(first, numbers(1, 0));
        assert_ne!(first, numbers(2, 0));
        assert_ne!(first, numbers(1, 1));
    }
}
