//! The Fourier transform of Whisper's frames, several frames at once: every number is a vector of one value for each.
//!
//! 400 real samples are 200 complex ones, transformed in steps of 5, 5 and 8 (Stockham's order, which needs no
//! reversal of bits), then taken apart. Source: Van Loan, "Computational Frameworks for the Fast Fourier Transform",
//! 1992, sections 1.7 and 4.3.
//!
//! What is computed is given as types and not as closures: those are called through a shim that is compiled for the
//! oldest processors, where it is too long to be inlined.

#![allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]

use std::f64::consts::TAU;

use pulp::Simd;

use super::{N_BINS, N_FFT};

/// Most frames that are transformed together: the longest vectors hold as many.
pub(super) const MAX_LANES: usize = 16;

/// Half the frame: the length of the complex transform, and the greatest bin.
const HALF: usize = N_FFT / 2;

/// A complex number of every frame.
#[derive(Clone, Copy)]
struct Complex<S: Simd> {
    simd: S,
    re: S::f32s,
    im: S::f32s,
}

impl<S: Simd> Complex<S> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let simd = self.simd;
        Self { simd, re: simd.add_f32s(self.re, other.re), im: simd.add_f32s(self.im, other.im) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        let simd = self.simd;
        Self { simd, re: simd.sub_f32s(self.re, other.re), im: simd.sub_f32s(self.im, other.im) }
    }

    /// `self - i * other`.
    #[inline(always)]
    fn plus_turned(self, other: Self) -> Self {
        let simd = self.simd;
        Self { simd, re: simd.add_f32s(self.re, other.im), im: simd.sub_f32s(self.im, other.re) }
    }

    /// `self + i * other`.
    #[inline(always)]
    fn minus_turned(self, other: Self) -> Self {
        let simd = self.simd;
        Self { simd, re: simd.sub_f32s(self.re, other.im), im: simd.add_f32s(self.im, other.re) }
    }

    /// `self + other * factor`.
    #[inline(always)]
    fn plus_scaled(self, other: Self, factor: f32) -> Self {
        let (simd, factor) = (self.simd, self.simd.splat_f32s(factor));
        let (re, im) = (simd.mul_add_e_f32s(other.re, factor, self.re), simd.mul_add_e_f32s(other.im, factor, self.im));
        Self { simd, re, im }
    }

    #[inline(always)]
    fn scaled(self, factor: f32) -> Self {
        let (simd, factor) = (self.simd, self.simd.splat_f32s(factor));
        Self { simd, re: simd.mul_f32s(self.re, factor), im: simd.mul_f32s(self.im, factor) }
    }

    #[inline(always)]
    fn times(self, (cos, sin): (f32, f32)) -> Self {
        let simd = self.simd;
        let (cos, sin) = (simd.splat_f32s(cos), simd.splat_f32s(sin));
        let re = simd.negate_mul_add_e_f32s(self.im, sin, simd.mul_f32s(self.re, cos));
        Self { simd, re, im: simd.mul_add_e_f32s(self.re, sin, simd.mul_f32s(self.im, cos)) }
    }

    /// A quarter of |self|^2.
    #[inline(always)]
    fn quarter_power(self) -> S::f32s {
        let simd = self.simd;
        let power = simd.mul_add_e_f32s(self.re, self.re, simd.mul_f32s(self.im, self.im));
        simd.mul_f32s(power, simd.splat_f32s(0.25))
    }
}

/// Factors of the transform, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct Fourier {
    /// cos and sin of -2 pi k / 400.
    roots: Vec<(f32, f32)>,
    now: Vec<f32>,
    next: Vec<f32>,
}

impl Fourier {
    pub(super) fn new() -> Self {
        let root = |k: usize| {
            let (sin, cos) = (-TAU * k as f64 / N_FFT as f64).sin_cos();
            (cos as f32, sin as f32)
        };
        let memory = vec![0.0; N_FFT * MAX_LANES];
        Self { roots: (0..N_FFT).map(root).collect(), now: memory.clone(), next: memory }
    }

    /// Where the samples of the frames go before [`Self::power`], `[N_FFT, S::F32_LANES]`. What it finds is not kept.
    #[inline(always)]
    pub(super) fn frames<S: Simd>(&mut self) -> &mut [f32] {
        &mut self.now[..N_FFT * S::F32_LANES]
    }

    /// |X|^2 of bins 0 to 200 of the frames; to be inlined into a dispatch.
    #[inline(always)]
    pub(super) fn power<S: Simd>(&mut self, simd: S, power: &mut [S::f32s; N_BINS]) {
        let n_values = N_FFT * S::F32_LANES;
        let now = S::as_mut_simd_f32s(&mut self.now[..n_values]).0.first_chunk_mut();
        let next = S::as_mut_simd_f32s(&mut self.next[..n_values]).0.first_chunk_mut();
        let (Some(now), Some(next), Some(roots)) = (now, next, self.roots.first_chunk()) else { return };
        step::<S, 5, 1, Fifth>(simd, now, next, roots);
        step::<S, 5, 5, Fifth>(simd, next, now, roots);
        step::<S, 8, 25, Eighth>(simd, now, next, roots);
        // Bins k and 200 - k are made of the same two numbers.
        for k in 0..=HALF / 2 {
            let (a, b) = (number(simd, next, k), number(simd, next, if k == 0 { 0 } else { HALF - k }));
            let even = Complex { simd, re: simd.add_f32s(a.re, b.re), im: simd.sub_f32s(a.im, b.im) };
            let odd = Complex { simd, re: simd.add_f32s(a.im, b.im), im: simd.sub_f32s(b.re, a.re) }.times(roots[k]);
            // Both halves are twice what they should be.
            power[k] = even.plus(odd).quarter_power();
            power[HALF - k] = even.minus(odd).quarter_power();
        }
    }
}

#[inline(always)]
fn number<S: Simd>(simd: S, values: &[S::f32s; N_FFT], index: usize) -> Complex<S> {
    Complex { simd, re: values[2 * index], im: values[2 * index + 1] }
}

/// One step: transforms of `R` numbers that are `HALF / STRIDE / R` apart, of `STRIDE` sequences side by side.
#[inline(always)]
fn step<S: Simd, const R: usize, const STRIDE: usize, T: Transform<R>>(
    simd: S,
    now: &[S::f32s; N_FFT],
    next: &mut [S::f32s; N_FFT],
    roots: &[(f32, f32); N_FFT],
) {
    let apart = HALF / STRIDE / R;
    for p in 0..apart {
        for q in 0..STRIDE {
            let numbers = std::array::from_fn(|k| number(simd, now, q + STRIDE * (p + apart * k)));
            let bins = T::of(numbers);
            for j in 0..R {
                // The factors of the last step, and of every first bin, are 1.
                let is_turned = apart > 1 && j > 0;
                let bin = if is_turned { bins[j].times(roots[2 * STRIDE * p * j]) } else { bins[j] };
                let at = 2 * (q + STRIDE * (R * p + j));
                (next[at], next[at + 1]) = (bin.re, bin.im);
            }
        }
    }
}

/// The transform of `R` numbers.
trait Transform<const R: usize> {
    fn of<S: Simd>(numbers: [Complex<S>; R]) -> [Complex<S>; R];
}

struct Fifth;

impl Transform<5> for Fifth {
    #[inline(always)]
    fn of<S: Simd>([x0, x1, x2, x3, x4]: [Complex<S>; 5]) -> [Complex<S>; 5] {
        const COS: (f32, f32) = (0.309_017, -0.809_017);
        const SIN: (f32, f32) = (0.951_056_5, 0.587_785_25);
        let (s1, d1, s2, d2) = (x1.plus(x4), x1.minus(x4), x2.plus(x3), x2.minus(x3));
        let even1 = x0.plus_scaled(s1, COS.0).plus_scaled(s2, COS.1);
        let even2 = x0.plus_scaled(s1, COS.1).plus_scaled(s2, COS.0);
        let odd1 = d1.scaled(SIN.0).plus_scaled(d2, SIN.1);
        let odd2 = d1.scaled(SIN.1).plus_scaled(d2, -SIN.0);
        let zeroth = x0.plus(s1).plus(s2);
        let (second, third) = (even2.plus_turned(odd2), even2.minus_turned(odd2));
        [zeroth, even1.plus_turned(odd1), second, third, even1.minus_turned(odd1)]
    }
}

struct Eighth;

impl Transform<8> for Eighth {
    /// Of four numbers twice.
    #[inline(always)]
    fn of<S: Simd>([x0, x1, x2, x3, x4, x5, x6, x7]: [Complex<S>; 8]) -> [Complex<S>; 8] {
        const ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;
        let [a0, a1, a2, a3] = fourth([x0, x2, x4, x6]);
        let [b0, b1, b2, b3] = fourth([x1, x3, x5, x7]);
        let (b1, b3) = (b1.plus_turned(b1).scaled(ROOT), b3.minus_turned(b3).scaled(-ROOT));
        let (second, sixth) = (a2.plus_turned(b2), a2.minus_turned(b2));
        [a0.plus(b0), a1.plus(b1), second, a3.plus(b3), a0.minus(b0), a1.minus(b1), sixth, a3.minus(b3)]
    }
}

#[inline(always)]
fn fourth<S: Simd>([x0, x1, x2, x3]: [Complex<S>; 4]) -> [Complex<S>; 4] {
    let (s0, d0, s1, d1) = (x0.plus(x2), x0.minus(x2), x1.plus(x3), x1.minus(x3));
    [s0.plus(s1), d0.plus_turned(d1), s0.minus(s1), d0.minus_turned(d1)]
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Power<'f>(&'f dyn Fn(usize, usize) -> f32);

    impl WithSimd for Power<'_> {
        /// `[lane, bin]`.
        type Output = Vec<Vec<f32>>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let (mut fourier, mut power) = (Fourier::new(), vec![0.0; N_BINS * S::F32_LANES]);
            for (index, value) in fourier.frames::<S>().iter_mut().enumerate() {
                *value = self.0(index / S::F32_LANES, index % S::F32_LANES);
            }
            fourier.power(simd, S::as_mut_simd_f32s(&mut power).0.first_chunk_mut().unwrap());
            (0..S::F32_LANES).map(|lane| power[lane..].iter().step_by(S::F32_LANES).copied().collect()).collect()
        }
    }

    #[test]
    fn power_is_the_definition_in_every_lane() {
        let sample = |n: usize, lane: usize| ((n * n * (lane + 3) + 7 * lane) % 101) as f32 / 50.0 - 1.0;
        for power in [Arch::new().dispatch(Power(&sample)), Arch::Scalar.dispatch(Power(&sample))] {
            for (lane, bins) in power.iter().enumerate() {
                assert_eq!(bins.len(), N_BINS);
                for (k, got) in bins.iter().enumerate() {
                    let (mut re, mut im) = (0.0, 0.0);
                    for n in 0..N_FFT {
                        let (sin, cos) = (TAU * (k * n % N_FFT) as f64 / N_FFT as f64).sin_cos();
                        re += f64::from(sample(n, lane)) * cos;
                        im -= f64::from(sample(n, lane)) * sin;
                    }
                    let want = re * re + im * im;
                    let distance = (f64::from(*got) - want).abs();
                    assert!(distance < 1e-3 + 1e-5 * want, "bin {k}, lane {lane}: {got}, not {want}");
                }
            }
        }
    }
}
