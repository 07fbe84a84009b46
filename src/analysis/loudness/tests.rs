//! The test signals of EBU Tech 3341 and Tech 3342, synthesized from their definitions.

use super::*;

/// A level in dBFS, none for silence, and how long it lasts, seconds.
type Piece = (Option<f64>, f64);

const RATES: [u32; 4] = [44_100, 48_000, 96_000, 16_000];

/// Pieces of a 1 kHz sine, each with its level in dBFS (peak; `None`: silence) and its length in seconds.
fn stereo(pieces: &[Piece], sample_rate: u32) -> LoudnessMeter {
    let channel = tone(pieces, sample_rate);
    metered(&[channel.clone(), channel], sample_rate)
}

fn tone(pieces: &[Piece], sample_rate: u32) -> Vec<f32> {
    let mut samples = Vec::new();
    for &(level, seconds) in pieces {
        let amplitude = level.map_or(0.0, |level| 10.0_f64.powf(level / 20.0));
        let end = samples.len() + (seconds * f64::from(sample_rate)).round() as usize;
        while samples.len() < end {
            let phase = std::f64::consts::TAU * 1_000.0 * samples.len() as f64 / f64::from(sample_rate);
            samples.push((amplitude * phase.sin()) as f32);
        }
    }
    samples
}

fn metered(channels: &[Vec<f32>], sample_rate: u32) -> LoudnessMeter {
    let mut meter = LoudnessMeter::new(sample_rate, channel_weights(channels.len()));
    let n = channels[0].len();
    for start in (0..n).step_by(7_001) {
        let end = n.min(start + 7_001);
        let block: Vec<Vec<f32>> = channels.iter().map(|channel| channel[start..end].to_vec()).collect();
        meter.push(&block);
    }
    meter
}

fn near(got: Option<f64>, want: f64, tolerance: f64) -> bool {
    got.is_some_and(|got| (got - want).abs() <= tolerance)
}

#[test]
fn tech_3341_cases_1_to_5_have_their_integrated_loudness() {
    let s = Some;
    let cases: [(&[Piece], f64); 5] = [
        (&[(s(-23.0), 20.0)], -23.0),
        (&[(s(-33.0), 20.0)], -33.0),
        (&[(s(-36.0), 10.0), (s(-23.0), 60.0), (s(-36.0), 10.0)], -23.0),
        (&[(s(-72.0), 10.0), (s(-36.0), 10.0), (s(-23.0), 60.0), (s(-36.0), 10.0), (s(-72.0), 10.0)], -23.0),
        (&[(s(-26.0), 20.0), (s(-20.0), 20.1), (s(-26.0), 20.0)], -23.0),
    ];
    for rate in RATES {
        for (index, (pieces, want)) in cases.iter().enumerate() {
            let found = stereo(pieces, rate).finish();
            let case = index + 1;
            assert!(near(found.integrated_lufs, *want, 0.1), "case {case} at {rate} Hz: {found:?}");
            if case <= 2 {
                assert!(near(found.max_momentary_lufs, *want, 0.1), "case {case} at {rate} Hz: {found:?}");
                assert!(near(found.max_short_term_lufs, *want, 0.1), "case {case} at {rate} Hz: {found:?}");
            }
        }
    }
}

#[test]
fn tech_3341_case_6_weighs_surround_channels() {
    for rate in RATES {
        let at = |level| tone(&[(Some(level), 20.0)], rate);
        let channels = [at(-28.0), at(-28.0), at(-24.0), at(-30.0), at(-30.0)];
        let found = metered(&channels, rate).finish();
        assert!(near(found.integrated_lufs, -23.0, 0.1), "5.0 at {rate} Hz: {found:?}");
        let [left, right, centre, left_surround, right_surround] = channels;
        let with_lfe = [left, right, centre, at(-10.0), left_surround, right_surround];
        let found = metered(&with_lfe, rate).finish();
        assert!(near(found.integrated_lufs, -23.0, 0.1), "5.1 at {rate} Hz: {found:?}");
    }
}

#[test]
fn tech_3341_cases_9_and_12_are_constant() {
    for rate in RATES {
        let pieces: Vec<_> = (0..5).flat_map(|_| [(Some(-20.0), 1.34), (Some(-30.0), 1.66)]).collect();
        let track = stereo(&pieces, rate).track();
        assert!(track.short_term_lufs.len() > 100);
        assert!(track.short_term_lufs.iter().all(|&level| near(level, -23.0, 0.1)), "case 9 at {rate} Hz");
        let pieces: Vec<_> = (0..25).flat_map(|_| [(Some(-20.0), 0.18), (Some(-30.0), 0.22)]).collect();
        let track = stereo(&pieces, rate).track();
        assert!(track.momentary_lufs[6..].iter().all(|&level| near(level, -23.0, 0.1)), "case 12 at {rate} Hz");
    }
}

#[test]
fn tech_3341_cases_10_and_13_find_tones_wherever_they_begin() {
    for rate in RATES {
        for index in 0..20 {
            let pieces = [(None, 0.15 * f64::from(index)), (Some(-23.0), 3.0), (None, 1.0)];
            let found = stereo(&pieces, rate).finish();
            assert!(near(found.max_short_term_lufs, -23.0, 0.1), "case 10, {index}, at {rate} Hz: {found:?}");
            let pieces = [(None, 0.02 * f64::from(index)), (Some(-23.0), 0.4), (None, 1.0)];
            let found = stereo(&pieces, rate).finish();
            assert!(near(found.max_momentary_lufs, -23.0, 0.1), "case 13, {index}, at {rate} Hz: {found:?}");
        }
    }
}

/// Cases 11 and 14 play the segments one after the other into one meter, which is reset in between.
#[test]
fn tech_3341_cases_11_and_14_follow_rising_tones() {
    for rate in RATES {
        for index in 0..20 {
            let level = -38.0 + f64::from(index);
            let lead = 0.15 * f64::from(index);
            let found = stereo(&[(None, lead), (Some(level), 3.0), (None, 3.0 - lead)], rate).finish();
            assert!(near(found.max_short_term_lufs, level, 0.1), "case 11, {level}, at {rate} Hz: {found:?}");
            let lead = 0.02 * f64::from(index);
            let found = stereo(&[(None, lead), (Some(level), 0.4), (None, 0.4 - lead)], rate).finish();
            assert!(near(found.max_momentary_lufs, level, 0.1), "case 14, {level}, at {rate} Hz: {found:?}");
        }
    }
}

#[test]
fn tech_3342_cases_1_to_4_have_their_range() {
    let cases: [(&[f64], f64); 4] = [
        (&[-20.0, -30.0], 10.0),
        (&[-20.0, -15.0], 5.0),
        (&[-40.0, -20.0], 20.0),
        (&[-50.0, -35.0, -20.0, -35.0, -50.0], 15.0),
    ];
    for rate in RATES {
        for (index, (levels, want)) in cases.iter().enumerate() {
            let pieces: Vec<_> = levels.iter().map(|&level| (Some(level), 20.0)).collect();
            let found = stereo(&pieces, rate).finish();
            assert!(near(found.range_lu, *want, 1.0), "case {} at {rate} Hz: {found:?}", index + 1);
        }
    }
}

#[test]
fn a_full_scale_sine_in_one_channel_is_3_lufs_below_zero() {
    let found = metered(&[tone(&[(Some(0.0), 5.0)], 48_000)], 48_000).finish();
    assert!(near(found.integrated_lufs, -3.01, 0.01), "{found:?}");
}

#[test]
fn what_is_too_short_or_silent_has_no_loudness() {
    let none = Loudness { integrated_lufs: None, range_lu: None, max_momentary_lufs: None, max_short_term_lufs: None };
    assert_eq!(stereo(&[(Some(-20.0), 0.39)], 48_000).finish(), none);
    assert_eq!(stereo(&[(None, 10.0)], 48_000).finish(), none);
    let short = stereo(&[(Some(-20.0), 1.0)], 48_000).finish();
    assert!(short.integrated_lufs.is_some() && short.range_lu.is_none() && short.max_short_term_lufs.is_none());
}
