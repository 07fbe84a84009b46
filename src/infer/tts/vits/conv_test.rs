//! Convolutions against the sums that they are.

use proptest::prelude::*;

use super::{
    conv::{Activation, Begin, Conv, Upsample, Weights},
    line::{Line, Rows},
};

fn pseudo_random(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0) - 1.0)
        .collect()
}

fn leaky(value: f32) -> f64 {
    f64::from(if value > 0.0 { value } else { value * 0.1 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_convolution_in_pieces_is_its_sum(
        n_inputs in 1_usize..70, n_outputs in 1_usize..40, kernel in 1_usize..8, dilation in 1_usize..5,
        total in 1_usize..60, piece in 1_usize..30, seed: u32,
    ) {
        let values = pseudo_random(n_outputs * n_inputs * kernel, seed);
        let weights = Weights { values, bias: pseudo_random(n_outputs, seed ^ 1), n_inputs, kernel };
        let conv = Conv::new(&weights, dilation);
        let input = pseudo_random(total * n_inputs, seed ^ 2);
        let (mut line, mut out, mut n_given) = (Line::default(), Vec::new(), 0);
        line.restart(n_inputs, total, 0);
        // As much as can be computed each time, and what is not needed any more forgotten.
        while out.len() < total * n_outputs {
            let n = piece.min(total - n_given);
            line.extend(n).copy_from_slice(&input[n_given * n_inputs..][..n * n_inputs]);
            n_given += n;
            let steps = out.len() / n_outputs..line.ready(conv.reach().1).max(out.len() / n_outputs);
            let at = out.len();
            out.resize(at + steps.len() * n_outputs, 0.0);
            conv.forward(line.rows(), steps.clone(), Activation::Leaky(0.1), Begin::Bias, &mut out[at..]);
            line.forget(steps.end.saturating_sub(conv.reach().0));
        }
        let before = (kernel - 1) * dilation / 2;
        for (step, row) in out.chunks_exact(n_outputs).enumerate() {
            for (output, got) in row.iter().enumerate() {
                let mut sum = f64::from(weights.bias[output]);
                for tap in 0..kernel {
                    let Some(from) = (step + tap * dilation).checked_sub(before).filter(|from| *from < total) else { continue };
                    for channel in 0..n_inputs {
                        let weight = weights.values[(output * n_inputs + channel) * kernel + tap];
                        sum += leaky(input[from * n_inputs + channel]) * f64::from(weight);
                    }
                }
                prop_assert!((f64::from(*got) - sum).abs() < 1e-4, "{} and {}", got, sum);
            }
        }
    }

    #[test]
    fn an_upsampler_is_its_sum(
        n_inputs in 1_usize..20, n_outputs in 1_usize..10, stride in 1_usize..6, half in 0_usize..8, total in 1_usize..20, seed: u32,
    ) {
        let kernel = stride + 2 * half;
        let values = pseudo_random(n_inputs * n_outputs * kernel, seed);
        let bias = pseudo_random(n_outputs, seed ^ 1);
        let up = Upsample::new(&values, &bias, kernel, stride, 0.5);
        let input = pseudo_random(total * n_inputs, seed ^ 2);
        let n_phases = up.n_phases(total);
        let mut out = vec![0.0; n_phases * stride * n_outputs];
        up.forward(Rows::all(&input, n_inputs), 0..n_phases, Activation::Leaky(0.1), &mut out);
        let got = &out[up.padding() * n_outputs..][..total * stride * n_outputs];
        // The definition: every input adds its kernel to what is around `stride` times its place.
        let mut sums = vec![0.0; (total * stride + kernel) * n_outputs];
        for (step, tap, channel, output) in (0..total).flat_map(|step| (0..kernel).flat_map(move |tap| (0..n_inputs).flat_map(move |channel| (0..n_outputs).map(move |output| (step, tap, channel, output))))) {
            let weight = f64::from(values[(channel * n_outputs + output) * kernel + tap]) * 0.5;
            sums[(step * stride + tap) * n_outputs + output] += leaky(input[step * n_inputs + channel]) * weight;
        }
        for (at, got) in got.iter().enumerate() {
            let want = sums[half * n_outputs + at] + f64::from(bias[at % n_outputs]);
            prop_assert!((f64::from(*got) - want).abs() < 1e-4, "{} and {} at {}", got, want, at);
        }
    }
}
