//! The Fourier transform of Whisper's frames, several frames at once: every number is a vector of one value for each.
//!
//! 400 real samples are 200 complex ones, transformed in steps of 5, 5 and 8 (Stockham's order, which needs no
//! reversal of bits), then taken apart. Source: Van Loan, "Computational Frameworks for the Fast Fourier Transform",
//! 1992, sections 1.7 and 4.3.

#![allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]

use std::f64::consts::TAU;

use super::N_FFT;

/// Frames that are transformed together.
pub(super) const LANES: usize = 8;
pub(super) type Lanes = [f32; LANES];

/// Half the frame: the length of the complex transform, and the greatest bin.
const HALF: usize = N_FFT / 2;
const ZERO: Lanes = [0.0; LANES];

/// A complex number of every lane.
#[derive(Debug, Clone, Copy)]
struct Complex {
    re: Lanes,
    im: Lanes,
}

const NOTHING: Complex = Complex { re: ZERO, im: ZERO };

impl Complex {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self { re: each(self.re, other.re, |a, b| a + b), im: each(self.im, other.im, |a, b| a + b) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { re: each(self.re, other.re, |a, b| a - b), im: each(self.im, other.im, |a, b| a - b) }
    }

    /// `self + other * factor`.
    #[inline(always)]
    fn plus_scaled(self, other: Self, factor: f32) -> Self {
        let add = |a: f32, b: f32| b.mul_add(factor, a);
        Self { re: each(self.re, other.re, add), im: each(self.im, other.im, add) }
    }

    #[inline(always)]
    fn scaled(self, factor: f32) -> Self {
        Self { re: self.re.map(|x| x * factor), im: self.im.map(|x| x * factor) }
    }

    /// Times -i.
    #[inline(always)]
    fn turned(self) -> Self {
        Self { re: self.im, im: self.re.map(|x| -x) }
    }

    #[inline(always)]
    fn times(self, (cos, sin): (f32, f32)) -> Self {
        let re = each(self.re, self.im, |re, im| re.mul_add(cos, -(im * sin)));
        Self { re, im: each(self.re, self.im, |re, im| re.mul_add(sin, im * cos)) }
    }
}

#[inline(always)]
fn each(a: Lanes, b: Lanes, of: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut found = ZERO;
    for lane in 0..LANES {
        found[lane] = of(a[lane], b[lane]);
    }
    found
}

/// Factors of the transform, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct Fourier {
    /// cos and sin of -2 pi k / 400.
    roots: Vec<(f32, f32)>,
    now: Vec<Complex>,
    next: Vec<Complex>,
}

impl Fourier {
    pub(super) fn new() -> Self {
        let root = |k: usize| {
            let (sin, cos) = (-TAU * k as f64 / N_FFT as f64).sin_cos();
            (cos as f32, sin as f32)
        };
        Self { roots: (0..N_FFT).map(root).collect(), now: vec![NOTHING; HALF], next: vec![NOTHING; HALF] }
    }

    /// |X|^2 of bins 0 to 200 of the frames; to be inlined into a dispatch.
    #[inline(always)]
    pub(super) fn power(&mut self, frames: &[Lanes; N_FFT], power: &mut [Lanes; HALF + 1]) {
        for (number, pair) in self.now.iter_mut().zip(frames.chunks_exact(2)) {
            *number = Complex { re: pair[0], im: pair[1] };
        }
        self.step::<5>(HALF, 1, fifth);
        self.step::<5>(HALF / 5, 5, fifth);
        self.step::<8>(HALF / 25, 25, eighth);
        for (k, power) in power.iter_mut().enumerate() {
            let (a, b) = (self.now[k % HALF], self.now[(HALF - k) % HALF]);
            let mirrored = Complex { re: b.re, im: b.im.map(|x| -x) };
            let (even, odd) = (a.plus(mirrored), a.minus(mirrored).turned().times(self.roots[k]));
            let bin = even.plus(odd);
            // Both halves are twice what they should be.
            *power = each(bin.re, bin.im, |re, im| 0.25 * re.mul_add(re, im * im));
        }
    }

    /// One step: transforms of `R` numbers that are `n / R` apart, of `stride` sequences side by side.
    #[inline(always)]
    fn step<const R: usize>(&mut self, n: usize, stride: usize, transform: impl Fn([Complex; R]) -> [Complex; R]) {
        let apart = n / R;
        for p in 0..apart {
            for q in 0..stride {
                let mut numbers = [NOTHING; R];
                for (k, number) in numbers.iter_mut().enumerate() {
                    *number = self.now[q + stride * (p + apart * k)];
                }
                let bins = transform(numbers);
                let target = &mut self.next[q + stride * R * p..];
                target[0] = bins[0];
                for j in 1..R {
                    target[stride * j] = bins[j].times(self.roots[p * j * (N_FFT / n) % N_FFT]);
                }
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }
}

/// The transform of five numbers.
#[inline(always)]
fn fifth([x0, x1, x2, x3, x4]: [Complex; 5]) -> [Complex; 5] {
    const COS: (f32, f32) = (0.309_017, -0.809_017);
    const SIN: (f32, f32) = (0.951_056_5, 0.587_785_25);
    let (s1, d1, s2, d2) = (x1.plus(x4), x1.minus(x4).turned(), x2.plus(x3), x2.minus(x3).turned());
    let even1 = x0.plus_scaled(s1, COS.0).plus_scaled(s2, COS.1);
    let even2 = x0.plus_scaled(s1, COS.1).plus_scaled(s2, COS.0);
    let odd1 = d1.scaled(SIN.0).plus_scaled(d2, SIN.1);
    let odd2 = d1.scaled(SIN.1).plus_scaled(d2, -SIN.0);
    [x0.plus(s1).plus(s2), even1.plus(odd1), even2.plus(odd2), even2.minus(odd2), even1.minus(odd1)]
}

/// The transform of eight numbers: of four twice.
#[inline(always)]
fn eighth([x0, x1, x2, x3, x4, x5, x6, x7]: [Complex; 8]) -> [Complex; 8] {
    const ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;
    let [a0, a1, a2, a3] = fourth([x0, x2, x4, x6]);
    let [b0, b1, b2, b3] = fourth([x1, x3, x5, x7]);
    let (b1, b2, b3) = (b1.times((ROOT, -ROOT)), b2.turned(), b3.times((-ROOT, -ROOT)));
    [a0.plus(b0), a1.plus(b1), a2.plus(b2), a3.plus(b3), a0.minus(b0), a1.minus(b1), a2.minus(b2), a3.minus(b3)]
}

#[inline(always)]
fn fourth([x0, x1, x2, x3]: [Complex; 4]) -> [Complex; 4] {
    let (s0, d0, s1, d1) = (x0.plus(x2), x0.minus(x2), x1.plus(x3), x1.minus(x3).turned());
    [s0.plus(s1), d0.plus(d1), s0.minus(s1), d0.minus(d1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_the_definition_in_every_lane() {
        let mut frames = [ZERO; N_FFT];
        for (n, frame) in frames.iter_mut().enumerate() {
            for (lane, value) in frame.iter_mut().enumerate() {
                *value = ((n * n * (lane + 3) + 7 * lane) % 101) as f32 / 50.0 - 1.0;
            }
        }
        let mut power = [ZERO; HALF + 1];
        Fourier::new().power(&frames, &mut power);
        for (k, bins) in power.iter().enumerate() {
            for (lane, got) in bins.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, frame) in frames.iter().enumerate() {
                    let (sin, cos) = (TAU * (k * n % N_FFT) as f64 / N_FFT as f64).sin_cos();
                    re += f64::from(frame[lane]) * cos;
                    im -= f64::from(frame[lane]) * sin;
                }
                let want = re * re + im * im;
                assert!((f64::from(*got) - want).abs() < 1e-3 + 1e-5 * want, "bin {k}, lane {lane}: {got}, not {want}");
            }
        }
    }
}
