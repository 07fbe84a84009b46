//! Convolutions of three steps by three bands, with a rectifier behind them.
//!
//! Steps are padded with one zero on either side; bands as the plane's margin says.

use pulp::{Arch, Simd, WithSimd};

use super::plane::Plane;
use crate::audio::Once;
use crate::infer::kernels::{Left, Panels};

/// Weights of a convolution as its file has them.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// `[n_outputs, n_inputs, 3, 3]`.
    pub values: &'a [f32],
    /// `[n_outputs]`.
    pub bias: &'a [f32],
    /// Whether the last dimension is time, else frequency.
    pub is_time_last: bool,
}

impl Weights<'_> {
    fn n_outputs(&self) -> usize {
        self.bias.len()
    }

    fn n_inputs(&self) -> usize {
        self.values.len() / 9 / self.n_outputs()
    }

    fn at(&self, output: usize, input: usize, step: usize, band: usize) -> f32 {
        let tap = if self.is_time_last { band * 3 + step } else { step * 3 + band };
        self.values[(output * self.n_inputs() + input) * 9 + tap]
    }
}

/// What is left of a negative value: 0 or a part of it, less than 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rectifier(pub f32);

impl Rectifier {
    #[allow(clippy::inline_always, reason = "part of a dispatched loop")]
    #[inline(always)]
    fn of(self, value: f32) -> f32 {
        if value > 0.0 { value } else { value * self.0 }
    }
}

/// Room for what is between: it is used again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    transformed: Vec<f32>,
    products: Vec<f32>,
}

/// A convolution with any strides, as one product: for layers with few inputs, or whose steps are strided.
#[derive(Debug)]
pub(super) struct Direct {
    /// `[9 * n_inputs + 1, n_outputs]`; the last row is the bias.
    weights: Panels,
    n_inputs: usize,
    step_stride: usize,
    band_stride: usize,
    rectifier: Rectifier,
}

impl Direct {
    pub(super) fn new(weights: Weights<'_>, (step_stride, band_stride): (usize, usize), rectifier: Rectifier) -> Self {
        let n_inputs = weights.n_inputs();
        let panels = Panels::new(9 * n_inputs + 1, weights.n_outputs(), |tap, output| match tap / n_inputs {
            9 => weights.bias[output],
            tap_of_nine => weights.at(output, tap % n_inputs, tap_of_nine / 3, tap_of_nine % 3),
        });
        Self { weights: panels, n_inputs, step_stride, band_stride, rectifier }
    }

    /// Channels that come out.
    pub(super) fn n_outputs(&self) -> usize {
        self.weights.n_outputs()
    }

    pub(super) fn forward(&self, input: &Plane, out: &mut Plane, margin: usize, scratch: &mut Scratch) {
        let (n_inputs, n_outputs) = (self.n_inputs, self.weights.n_outputs());
        let n_bands = (input.padded_bands() - 3) / self.band_stride + 1;
        out.reshape((input.n_steps - 1) / self.step_stride + 1, n_bands, n_outputs, margin);
        let width = 9 * n_inputs + 1;
        scratch.transformed.clear();
        scratch.transformed.resize(n_bands * width, 1.0);
        for step in 0..out.n_steps {
            for (band, taps) in scratch.transformed.chunks_exact_mut(width).enumerate() {
                for (tap, taps) in taps.chunks_exact_mut(3 * n_inputs).enumerate() {
                    let row = input.padded_row(step * self.step_stride + tap);
                    taps.copy_from_slice(&row[band * self.band_stride * n_inputs..][..3 * n_inputs]);
                }
            }
            let row = out.row_mut(step);
            self.weights.product(Left::new(&scratch.transformed, n_bands, width), row, n_outputs, false);
            let once = Once;
            Arch::new().dispatch(
                #[inline(always)]
                move || {
                    once.spend();
                    for value in row {
                        *value = self.rectifier.of(*value);
                    }
                },
            );
        }
    }
}

/// Steps that a tile gives, and that it reads.
const TILE: usize = 4;
const POINTS: usize = 6;
/// Rows of a product that are worth reading all weights for.
const MIN_ROWS: usize = 144;

/// A convolution with one step's stride by Winograd's F(4, 3) along time: 6 products for 4 steps instead of 12.
///
/// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.1 and its matrices for
/// F(4, 3), here in one dimension; the bands' three taps are summed inside of the products.
#[derive(Debug)]
pub(super) struct Winograd {
    /// For each point `[3 * n_inputs, n_outputs]`.
    weights: [Panels; POINTS],
    bias: Vec<f32>,
    n_inputs: usize,
    band_stride: usize,
    rectifier: Rectifier,
}

impl Winograd {
    pub(super) fn new(weights: Weights<'_>, band_stride: usize, rectifier: Rectifier) -> Self {
        let n_inputs = weights.n_inputs();
        let panels = std::array::from_fn(|point| {
            Panels::new(3 * n_inputs, weights.n_outputs(), |tap, output| {
                let [a, b, c] = [0, 1, 2].map(|step| weights.at(output, tap % n_inputs, step, tap / n_inputs));
                match point {
                    0 => a / 4.0,
                    1 => -(a + b + c) / 6.0,
                    2 => -(a - b + c) / 6.0,
                    3 => a / 24.0 + b / 12.0 + c / 6.0,
                    4 => a / 24.0 - b / 12.0 + c / 6.0,
                    _ => c,
                }
            })
        });
        Self { weights: panels, bias: weights.bias.to_vec(), n_inputs, band_stride, rectifier }
    }

    /// Channels that come out.
    pub(super) fn n_outputs(&self) -> usize {
        self.bias.len()
    }

    pub(super) fn forward(&self, input: &Plane, out: &mut Plane, margin: usize, scratch: &mut Scratch) {
        let n_outputs = self.bias.len();
        let n_bands = (input.padded_bands() - 3) / self.band_stride + 1;
        out.reshape(input.n_steps, n_bands, n_outputs, margin);
        let (row_len, out_len) = (input.row_len(), n_bands * n_outputs);
        let tiles_at_once = MIN_ROWS.div_ceil(n_bands);
        let n_tiles = input.n_steps.div_ceil(TILE);
        scratch.transformed.resize(POINTS * tiles_at_once * row_len, 0.0);
        scratch.products.resize(POINTS * tiles_at_once * out_len, 0.0);
        for first in (0..n_tiles).step_by(tiles_at_once) {
            let groups = tiles_at_once.min(n_tiles - first);
            let mut points = split(&mut scratch.transformed, tiles_at_once * row_len);
            for tile in 0..groups {
                let rows = std::array::from_fn(|row| input.padded_row(TILE * (first + tile) + row));
                let points = points.each_mut().map(|point| &mut point[tile * row_len..][..row_len]);
                let once = Once;
                Arch::new().dispatch(
                    #[inline(always)]
                    move || {
                        once.spend();
                        transform(rows, points);
                    },
                );
            }
            let mut products = split(&mut scratch.products, tiles_at_once * out_len);
            for ((weights, point), product) in self.weights.iter().zip(&points).zip(&mut products) {
                let row_stride = self.band_stride * self.n_inputs;
                let left = Left { groups, group_stride: row_len, ..Left::new(point, n_bands, row_stride) };
                weights.product(left, product, n_outputs, false);
            }
            for tile in 0..groups {
                let products = products.each_ref().map(|product| &product[tile * out_len..][..out_len]);
                let step = TILE * (first + tile);
                let rows = out.tile_mut(step);
                Arch::new().dispatch(Combine { products, rows, bias: &self.bias, slope: self.rectifier.0 });
                out.clear_behind(step + TILE);
            }
        }
    }
}

/// The four steps of a tile from its products: in vectors by hand, for eleven slices at once are too many for the compiler.
struct Combine<'a> {
    products: [&'a [f32]; POINTS],
    rows: [&'a mut [f32]; TILE],
    bias: &'a [f32],
    slope: f32,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[allow(clippy::inline_always, reason = "part of a dispatched loop")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { products, rows, bias, slope } = self;
        let n = bias.len();
        let slope = simd.splat_f32s(slope);
        let (bias, bias_rest) = S::as_simd_f32s(bias);
        let [y0, y1, y2, y3] = rows.map(|row| row.chunks_exact_mut(n));
        for (band, (((y0, y1), y2), y3)) in y0.zip(y1).zip(y2).zip(y3).enumerate() {
            let parts = products.map(|product| &product[band * n..][..n]);
            let (wholes, tails) =
                (parts.map(|part| S::as_simd_f32s(part).0), parts.map(|part| S::as_simd_f32s(part).1));
            let [(y0, rest0), (y1, rest1), (y2, rest2), (y3, rest3)] =
                [y0, y1, y2, y3].map(|row| S::as_mut_simd_f32s(row));
            for (i, &bias) in bias.iter().enumerate() {
                let points = std::array::from_fn(|point| wholes[point][i]);
                [y0[i], y1[i], y2[i], y3[i]] = steps(simd, points, bias, slope);
            }
            if !bias_rest.is_empty() {
                let points = std::array::from_fn(|point| simd.partial_load_f32s(tails[point]));
                let steps = steps(simd, points, simd.partial_load_f32s(bias_rest), slope);
                for (rest, step) in [rest0, rest1, rest2, rest3].into_iter().zip(steps) {
                    simd.partial_store_f32s(rest, step);
                }
            }
        }
    }
}

/// Four steps from six points, and what the rectifier leaves of them.
#[allow(clippy::inline_always, clippy::many_single_char_names, reason = "part of a dispatched loop; the paper's names")]
#[inline(always)]
fn steps<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; POINTS], bias: S::f32s, slope: S::f32s) -> [S::f32s; TILE] {
    let (add, times) = (|x, y| simd.add_f32s(x, y), |x: f32, y| simd.mul_f32s(simd.splat_f32s(x), y));
    let (sum1, difference1) = (add(b, c), simd.sub_f32s(b, c));
    let (sum2, difference2) = (add(d, e), simd.sub_f32s(d, e));
    let steps = [
        add(add(a, sum1), add(sum2, bias)),
        add(difference1, add(times(2.0, difference2), bias)),
        add(sum1, add(times(4.0, sum2), bias)),
        add(add(difference1, f), add(times(8.0, difference2), bias)),
    ];
    steps.map(|step| simd.max_f32s(step, simd.mul_f32s(step, slope)))
}

/// Values of each step that are transformed before they are written to the points: beside each other, six streams that are
/// read and six that are written wait for one another.
const BLOCK: usize = 256;

/// The points of six steps.
#[allow(clippy::inline_always, reason = "part of a dispatched loop")]
#[inline(always)]
fn transform(rows: [&[f32]; POINTS], mut points: [&mut [f32]; POINTS]) {
    let n = rows[0].len();
    for start in (0..n).step_by(BLOCK) {
        let len = BLOCK.min(n - start);
        let mut block = [[0.0; BLOCK]; POINTS];
        transform_block(rows.map(|row| &row[start..][..len]), block.each_mut().map(|point| &mut point[..len]));
        for (point, block) in points.iter_mut().zip(&block) {
            point[start..][..len].copy_from_slice(&block[..len]);
        }
    }
}

#[allow(clippy::inline_always, clippy::many_single_char_names, reason = "part of a dispatched loop; six steps")]
#[inline(always)]
fn transform_block(rows: [&[f32]; POINTS], points: [&mut [f32]; POINTS]) {
    let n = rows[0].len();
    let [r0, r1, r2, r3, r4, r5] = rows.map(|row| &row[..n]);
    let [p0, p1, p2, p3, p4, p5] = points.map(|point| &mut point[..n]);
    for i in 0..n {
        let (a, b, c, d, e, f) = (r0[i], r1[i], r2[i], r3[i], r4[i], r5[i]);
        let (even, odd) = (e - 4.0 * c, d - 4.0 * b);
        let (even2, odd2) = (e - c, 2.0 * (d - b));
        p0[i] = 4.0 * a - 5.0 * c + e;
        p1[i] = even + odd;
        p2[i] = even - odd;
        p3[i] = even2 + odd2;
        p4[i] = even2 - odd2;
        p5[i] = 4.0 * b - 5.0 * d + f;
    }
}

fn split(values: &mut [f32], n: usize) -> [&mut [f32]; POINTS] {
    let mut parts = values.chunks_exact_mut(n);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pseudo_random(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0)
            .collect()
    }

    fn plane(n_steps: usize, n_bands: usize, n_channels: usize, margin: usize, seed: u32) -> Plane {
        let mut plane = Plane::default();
        plane.reshape(n_steps, n_bands, n_channels, margin);
        for step in 0..n_steps {
            plane.row_mut(step).copy_from_slice(&pseudo_random(n_bands * n_channels, seed + step as u32 * 7919));
        }
        plane
    }

    /// The sum that a convolution is, in f64.
    fn naive(input: &Plane, weights: Weights<'_>, (step, band): (usize, usize), output: usize) -> f64 {
        let mut sum = f64::from(weights.bias[output]);
        for (tap_step, tap_band, channel) in (0..9 * input.n_channels).map(|i| (i % 9 / 3, i % 3, i / 9)) {
            let value = input.padded_row(step + tap_step)[(band + tap_band) * input.n_channels + channel];
            sum += f64::from(value) * f64::from(weights.at(output, channel, tap_step, tap_band));
        }
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn convolutions_are_their_sums(
            n_steps in 1_usize..13, n_bands in 3_usize..20, n_inputs in 1_usize..9, n_outputs in 1_usize..40,
            margin in 0_usize..2, band_stride in 1_usize..3, step_stride in 1_usize..3, is_time_last: bool, seed in 0_u32..1000,
        ) {
            let input = plane(n_steps, n_bands, n_inputs, margin, seed);
            let (values, bias) = (pseudo_random(9 * n_inputs * n_outputs, seed ^ 0x4d), pseudo_random(n_outputs, seed ^ 5));
            let weights = Weights { values: &values, bias: &bias, is_time_last };
            let (mut out, mut scratch, slope) = (Plane::default(), Scratch::default(), 0.1_f32);
            for is_winograd in [false, true] {
                let strides = if is_winograd { (1, band_stride) } else { (step_stride, band_stride) };
                if is_winograd {
                    Winograd::new(weights, band_stride, Rectifier(slope)).forward(&input, &mut out, 1, &mut scratch);
                } else {
                    Direct::new(weights, strides, Rectifier(slope)).forward(&input, &mut out, 1, &mut scratch);
                }
                prop_assert_eq!(out.n_steps, (n_steps - 1) / strides.0 + 1);
                prop_assert_eq!(out.n_bands, (n_bands + 2 * margin - 3) / strides.1 + 1);
                for (step, band, output) in (0..out.n_steps).flat_map(|step| (0..out.n_bands).flat_map(move |band| (0..n_outputs).map(move |output| (step, band, output)))) {
                    let sum = naive(&input, weights, (step * strides.0, band * strides.1), output);
                    let want = if sum > 0.0 { sum } else { sum * f64::from(slope) };
                    let got = f64::from(out.row(step)[band * n_outputs + output]);
                    prop_assert!((got - want).abs() < 5e-5, "{} and {} at {:?}", got, want, (step, band, output));
                }
                // What surrounds the result is zero: the next layer's padding.
                prop_assert!(out.padded_row(0).iter().chain(out.padded_row(out.n_steps + 1)).all(|&value| value == 0.0));
                prop_assert!((1..=out.n_steps).all(|step| out.padded_row(step)[..n_outputs].iter().all(|&value| value == 0.0)));
            }
        }
    }
}
