//! Matrix products: `gemm` for the encoder's many rows; our own dot products for the decoder, which reads every weight
//! once for all rows, and where a row's sums do not depend on how many rows there are.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Outputs of a tile: with two rows, as many sums at once as hide the time that an addition takes.
const OUTPUTS: usize = 4;
/// Products with fewer multiplications than this are not worth waking another thread.
const MIN_PARALLEL_WORK: usize = 1 << 17;

/// A read-only matrix inside a slice, with any strides.
#[derive(Clone, Copy)]
pub(in crate::infer) struct Matrix<'a> {
    /// The values; element (i, j) is `data[i * row_stride + j * column_stride]`.
    pub data: &'a [f32],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Distance between rows, in elements.
    pub row_stride: usize,
    /// Distance between columns, in elements.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills `data`.
    pub(in crate::infer) fn dense(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub(in crate::infer) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn is_within_data(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1)
                .checked_mul(self.row_stride)
                .zip((self.columns - 1).checked_mul(self.column_stride))
                .and_then(|(row, column)| row.checked_add(column))
                .is_some_and(|last| last < self.data.len())
    }
}

/// Computes `out = scale * (left x right) + keep * out` into the rows of `out`, `row_stride` elements apart.
///
/// Uses the threads of the current rayon pool when `parallel`.
///
/// # Panics
/// When the shapes do not fit each other or reach outside of the slices.
pub(in crate::infer) fn matmul_onto(
    out: &mut [f32],
    row_stride: usize,
    keep: bool,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    parallel: bool,
) {
    let (rows, columns, inner) = (left.rows, right.columns, left.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(inner == right.rows, "inner dimensions differ: {inner} and {}", right.rows);
    assert!(left.is_within_data() && right.is_within_data(), "an operand reaches outside of its slice");
    assert!(columns <= row_stride && (rows - 1) * row_stride + columns <= out.len(), "the result does not fit");
    let threads = if parallel { rayon::current_num_threads() } else { 1 };
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    let stride = usize::cast_signed;
    #[allow(unsafe_code, reason = "gemm takes raw pointers")]
    // SAFETY: the three assertions above keep every element that gemm touches inside its slice; `out` is borrowed
    // exclusively and its rows do not overlap because `columns <= row_stride`.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride(row_stride),
            keep,
            left.data.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.data.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Computes `out[row][j] = inputs[row] . weight[j] + out[row][j]` for a few rows, with `weight` `[outputs, inputs]`.
pub(in crate::infer) fn matvec(out: &mut [f32], inputs: &[f32], weight: &[f32], n_inputs: usize) {
    let n_rows = inputs.len() / n_inputs;
    let n_outputs = weight.len() / n_inputs;
    let parallel = weight.len() * n_rows >= MIN_PARALLEL_WORK && rayon::current_num_threads() > 1;
    let chunk = if parallel { n_outputs.div_ceil(4 * rayon::current_num_threads()) } else { n_outputs };
    if n_rows == 1 {
        let work = out.par_chunks_mut(chunk).zip(weight.par_chunks(chunk * n_inputs));
        let product =
            |(out, weight): (&mut [f32], &[f32])| Arch::new().dispatch(Dots { out, inputs, weight, n_inputs });
        if parallel {
            work.for_each(product);
        } else {
            product((out, weight));
        }
        return;
    }
    // Several rows: output-major, so that a weight is read from memory once for all of them.
    let mut columns = vec![0.0; n_rows * n_outputs];
    let work = columns.par_chunks_mut(chunk * n_rows).zip(weight.par_chunks(chunk * n_inputs));
    work.for_each(|(out, weight)| Arch::new().dispatch(Dots { out, inputs, weight, n_inputs }));
    for (row, out) in out.chunks_exact_mut(n_outputs).enumerate() {
        for (out, dots) in out.iter_mut().zip(columns.chunks_exact(n_rows)) {
            *out += dots[row];
        }
    }
}

/// Computes `out[i] = weight . data[i * stride..]`, each product summed in one order.
pub(in crate::infer) fn dots(out: &mut [f32], data: &[f32], stride: usize, weight: &[f32]) {
    Arch::new().dispatch(Strided { out, data, stride, weight });
}

struct Strided<'a> {
    out: &'a mut [f32],
    data: &'a [f32],
    stride: usize,
    weight: &'a [f32],
}

impl WithSimd for Strided<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (index, out) in self.out.iter_mut().enumerate() {
            *out = dot(simd, &self.data[index * self.stride..][..self.weight.len()], self.weight);
        }
    }
}

/// `out[j][row] += weight[j] . inputs[row]`.
struct Dots<'a> {
    out: &'a mut [f32],
    inputs: &'a [f32],
    weight: &'a [f32],
    n_inputs: usize,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, inputs, weight, n_inputs } = self;
        let n_rows = inputs.len() / n_inputs;
        let mut weights = weight.chunks_exact(OUTPUTS * n_inputs);
        let mut outs = out.chunks_exact_mut(OUTPUTS * n_rows);
        for (out, weight) in (&mut outs).zip(&mut weights) {
            some_dots::<S, OUTPUTS>(simd, out, inputs, weight, n_inputs);
        }
        let out = outs.into_remainder().chunks_exact_mut(n_rows);
        for (out, weight) in out.zip(weights.remainder().chunks_exact(n_inputs)) {
            some_dots::<S, 1>(simd, out, inputs, weight, n_inputs);
        }
    }
}

/// [`Dots`] of a few outputs.
#[inline(always)]
fn some_dots<S: Simd, const N: usize>(simd: S, out: &mut [f32], inputs: &[f32], weight: &[f32], n_inputs: usize) {
    let n_rows = inputs.len() / n_inputs;
    let mut pairs = inputs.chunks_exact(2 * n_inputs);
    let mut row = 0;
    for pair in &mut pairs {
        tile::<S, N, 2>(simd, &mut out[row..], n_rows, weight, pair, n_inputs);
        row += 2;
    }
    if row < n_rows {
        tile::<S, N, 1>(simd, &mut out[row..], n_rows, weight, pairs.remainder(), n_inputs);
    }
}

/// Some outputs of some rows. Each product is summed in one order, whatever is computed beside it.
#[inline(always)]
fn tile<S: Simd, const N: usize, const ROWS: usize>(
    simd: S,
    out: &mut [f32],
    n_rows: usize,
    weight: &[f32],
    inputs: &[f32],
    n_inputs: usize,
) {
    let n_vectors = n_inputs / S::F32_LANES;
    let weights: [_; N] = std::array::from_fn(|output| S::as_simd_f32s(&weight[output * n_inputs..][..n_inputs]));
    let inputs: [_; ROWS] = std::array::from_fn(|row| S::as_simd_f32s(&inputs[row * n_inputs..][..n_inputs]));
    let (weight_vectors, vectors) = (weights.map(|part| &part.0[..n_vectors]), inputs.map(|part| &part.0[..n_vectors]));
    let mut sums = [[simd.splat_f32s(0.0); ROWS]; N];
    for at in 0..n_vectors {
        for (sums, weight) in sums.iter_mut().zip(weight_vectors) {
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.mul_add_e_f32s(weight[at], vector[at], *sum);
            }
        }
    }
    for (output, sums) in sums.into_iter().enumerate() {
        for (row, sum) in sums.into_iter().enumerate() {
            let rest: f32 = weights[output].1.iter().zip(inputs[row].1).map(|(weight, x)| weight * x).sum();
            out[output * n_rows + row] += simd.reduce_sum_f32s(sum) + rest;
        }
    }
}

/// The dot product of two slices of one length, in four independent sums of vectors.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = S::as_simd_f32s(left);
    let (right, right_rest) = S::as_simd_f32s(right);
    let (left4, left1) = pulp::as_arrays::<4, _>(left);
    let (right4, right1) = pulp::as_arrays::<4, _>(right);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (left, right) in left4.iter().zip(right4) {
        for lane in 0..4 {
            sums[lane] = simd.mul_add_e_f32s(left[lane], right[lane], sums[lane]);
        }
    }
    for (&left, &right) in left1.iter().zip(right1) {
        sums[0] = simd.mul_add_e_f32s(left, right, sums[0]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    simd.reduce_sum_f32s(sum) + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn dot_products_are_the_definition_and_no_row_depends_on_its_neighbours(
            n_rows in 1_usize..8, n_inputs in 1_usize..90, n_outputs in 1_usize..40, seed: u32,
        ) {
            let random = |n: usize, seed: u32| -> Vec<f32> {
                let mixed = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
                (0..n as u32).map(|i| mixed(i) as f32 / 8_388_608.0 - 1.0).collect()
            };
            let (inputs, weight) = (random(n_rows * n_inputs, seed), random(n_outputs * n_inputs, !seed));
            let mut out = vec![0.5; n_rows * n_outputs];
            matvec(&mut out, &inputs, &weight, n_inputs);
            for (row, (out, input)) in out.chunks_exact(n_outputs).zip(inputs.chunks_exact(n_inputs)).enumerate() {
                let mut alone = vec![0.5; n_outputs];
                matvec(&mut alone, input, &weight, n_inputs);
                prop_assert_eq!(out, &alone[..], "row {}", row);
                for (out, weight) in out.iter().zip(weight.chunks_exact(n_inputs)) {
                    let exact: f64 = input.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                    prop_assert!((f64::from(*out) - 0.5 - exact).abs() < 1e-4, "{} for {}", out, exact);
                }
            }
        }
    }
}
