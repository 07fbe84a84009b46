//! Resampling measured with tones: flat pass band, no aliases, no delay, exact length.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking; numbers here are small"
)]

use std::f64::consts::TAU;

use proptest::prelude::*;
use violet::audio::{Resampler, Waveform, resample};

const RATES: [(u32, u32); 9] = [
    (44_100, 16_000),
    (48_000, 16_000),
    (8_000, 16_000),
    (11_025, 16_000),
    (22_050, 16_000),
    (16_000, 44_100),
    (16_000, 8_000),
    (44_101, 16_000),
    (96_000, 44_100),
];

fn tone(hz: f64, sample_rate: u32, n_samples: usize) -> Waveform {
    let sample = |n: usize| (0.5 * (TAU * hz * n as f64 / f64::from(sample_rate)).sin()) as f32;
    Waveform::from_samples((0..n_samples).map(sample).collect(), sample_rate).unwrap()
}

/// Largest difference from a tone of 0.5, leaving out the ends, where the tone begins and stops.
fn worst_difference(got: &Waveform, hz: f64) -> f64 {
    let want = tone(hz, got.sample_rate(), got.n_samples());
    let margin = got.n_samples() / 8;
    let pairs = got.samples().iter().zip(want.samples()).take(got.n_samples() - margin).skip(margin);
    pairs.map(|(&got, &want)| f64::from(got - want).abs()).fold(0.0, f64::max)
}

#[test]
fn tones_up_to_0_91_of_nyquist_pass_unchanged_and_undelayed() {
    for (from, to) in RATES {
        let nyquist = f64::from(from.min(to)) / 2.0;
        for part in [0.01, 0.25, 0.5, 0.8, 0.91] {
            let got = resample(&tone(part * nyquist, from, from as usize), to).unwrap();
            let worst = worst_difference(&got, part * nyquist);
            // -80 dB of a tone of 0.5: far below what a delay of a hundredth of a sample would leave.
            assert!(worst < 0.5e-4, "{from} to {to} at {part} of Nyquist: {worst:e}");
        }
    }
}

#[test]
fn tones_above_the_new_nyquist_frequency_are_gone() {
    for (from, to) in RATES.into_iter().filter(|(from, to)| from > to) {
        let nyquist = f64::from(to) / 2.0;
        for part in [1.0005, 1.05, 1.3, 1.7] {
            let hz = part * nyquist;
            if hz >= f64::from(from) / 2.0 {
                continue;
            }
            let got = resample(&tone(hz, from, from as usize), to).unwrap();
            let margin = got.n_samples() / 8;
            let alias =
                got.samples()[margin..got.n_samples() - margin].iter().map(|sample| sample.abs()).fold(0.0, f32::max);
            let db = 20.0 * (f64::from(alias) / 0.5).max(1e-12).log10();
            assert!(db < -100.0, "{from} to {to} at {part} of Nyquist: {db:.1} dB");
        }
    }
}

#[test]
fn upsampling_makes_no_images() {
    let (from, to, hz) = (8_000, 48_000, 3_500.0);
    let got = resample(&tone(hz, from, from as usize), to).unwrap();
    assert!(worst_difference(&got, hz) < 0.5e-4);
}

#[test]
fn an_impulse_stays_where_it_was() {
    for (from, to) in RATES {
        let mut samples = vec![0.0; from as usize];
        samples[from as usize / 2] = 1.0;
        let got = resample(&Waveform::from_samples(samples, from).unwrap(), to).unwrap();
        let peak = got.samples().iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        let want = f64::from(from / 2) * f64::from(to) / f64::from(from);
        assert!((peak as f64 - want).abs() <= 0.5 + 1e-9, "{from} to {to}: peak at {peak}, not {want}");
    }
}

#[test]
fn silence_and_a_constant_stay_what_they_are() {
    let silence = Waveform::from_samples(vec![0.0; 44_100], 44_100).unwrap();
    assert!(resample(&silence, 16_000).unwrap().samples().iter().all(|&sample| sample == 0.0));
    let constant = Waveform::from_samples(vec![0.7; 44_100], 44_100).unwrap();
    let got = resample(&constant, 16_000).unwrap();
    assert!(got.samples()[4_000..12_000].iter().all(|&sample| (sample - 0.7).abs() < 1e-5));
}

#[test]
fn impossible_rates_are_refused() {
    let waveform = Waveform::from_samples(vec![0.0; 10], 16_000).unwrap();
    for rate in [0, 768_001, u32::MAX] {
        assert!(resample(&waveform, rate).is_err());
        assert!(Resampler::new(rate, 16_000).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn length_is_exact_and_pieces_do_not_matter(
        from in 1_000..60_000_u32, to in 1_000..60_000_u32, n in 0..30_000_usize, piece in 1..5_000_usize,
    ) {
        let samples: Vec<f32> = (0..n).map(|n| ((n * 7_919 % 1_000) as f32 - 500.0) / 1_000.0).collect();
        let whole = resample(&Waveform::from_samples(samples.clone(), from).unwrap(), to).unwrap();
        let want = (n as f64 * f64::from(to) / f64::from(from)).round() as usize;
        prop_assert_eq!(whole.n_samples(), want);
        if from != to {
            let (mut resampler, mut pieces) = (Resampler::new(from, to).unwrap(), Vec::new());
            samples.chunks(piece).for_each(|piece| resampler.push(piece, &mut pieces));
            resampler.finish(&mut pieces);
            prop_assert_eq!(whole.samples(), &pieces[..]);
        }
    }

    #[test]
    fn there_and_back_gives_the_same_below_nyquist(from in 8_000..50_000_u32, hz in 50.0..3_000.0) {
        let waveform = tone(hz, from, from as usize / 2);
        let back = resample(&resample(&waveform, 32_000).unwrap(), from).unwrap();
        prop_assert!(worst_difference(&back, hz) < 1e-4);
    }
}
