//! Short-time objective intelligibility, plain and extended.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

use super::Pair;
use super::octave_resample::OctaveResampler;
use crate::{Error, Result};

// Source of the constants: pystoi 0.4.1 `stoi.py`, which follows Taal's Matlab code.

/// The rate that the score is defined for, Hz.
const SAMPLE_RATE: u32 = 10_000;
/// Samples in a frame: 25.6 ms.
const FRAME_LENGTH: usize = 256;
const HOP_LENGTH: usize = FRAME_LENGTH / 2;
const N_FFT: usize = 512;
const N_BANDS: usize = 15;
/// Centre of the lowest third-octave band, Hz.
const LOWEST_BAND_HZ: f64 = 150.0;
/// Frames in a segment: 384 ms.
const SEGMENT: usize = 30;
/// Lowest ratio of signal to distortion that is told apart, dB.
const BETA_DB: f64 = -15.0;
/// Frames of the reference that are further below its loudest one are left out, dB.
const DYNAMIC_RANGE_DB: f64 = 40.0;
const EPS: f64 = f64::EPSILON;

/// Samples at 10 kHz that make one segment if none of them is silent.
const MIN_SAMPLES: usize = SEGMENT * HOP_LENGTH + FRAME_LENGTH + 1;

/// Short-time objective intelligibility of the degraded clip: about 0 (unintelligible) to 1 (as the reference).
///
/// The mean over segments of 384 ms and 15 third-octave bands from 150 Hz of the correlation of the envelopes. The plain
/// score normalizes and clips the degraded envelope, [1, 2]; the extended one normalizes the rows and columns of whole
/// segments and so hears modulated noise too, [3]. In theory -1 to 1. Not a percentage of words.
///
/// `None` where the reference has no 30 frames that are not silent (within 40 dB of its loudest), and for a silent
/// reference; 0 for a silent degraded clip. The score is of 10 kHz audio: others, 8 to 96 kHz, are resampled by the
/// filter of GNU Octave, without which the values differ.
///
/// Source: pystoi 0.4.1, to 1e-6. Differs from pystoi: it returns 1e-5 where there is no score, and adds random numbers
/// of 2e-16 to the extended score's segments. [1] Taal et al., ICASSP 2010; [2] Taal et al., IEEE TASLP 19 (2011); [3]
/// Jensen and Taal, IEEE/ACM TASLP 24 (2016).
///
/// # Errors
///
/// [`Error::InvalidInput`] for clips of different lengths or shorter than 0.41 s, and for other sample rates.
pub fn stoi(pair: &Pair, is_extended: bool) -> Result<Option<f64>> {
    let score = if is_extended { "ESTOI" } else { "STOI" };
    pair.of_equal_length(score)?;
    pair.at_a_rate(score)?;
    let n_needed = (MIN_SAMPLES - 1) as u64 * u64::from(pair.sample_rate) / u64::from(SAMPLE_RATE) + 1;
    let n_needed = usize::try_from(n_needed).map_err(|_| Error::InvalidInput(format!("{score} of too much audio")))?;
    pair.at_least(n_needed, score, "30 frames and their overlap")?;
    if pair.is_silent() {
        return Ok(None);
    }
    let (mut reference, mut degraded) = if pair.sample_rate == SAMPLE_RATE {
        (Cow::Borrowed(pair.reference), Cow::Borrowed(pair.degraded))
    } else {
        let resampler = OctaveResampler::new(pair.sample_rate, SAMPLE_RATE);
        (Cow::Owned(resampler.resample(pair.reference)), Cow::Owned(resampler.resample(pair.degraded)))
    };
    let kept = loud_frames(&reference);
    reference = Cow::Owned(joined(&reference, &kept));
    degraded = Cow::Owned(joined(&degraded, &kept));
    let (reference, degraded) = (Envelopes::of(&reference), Envelopes::of(&degraded));
    if reference.n_frames < SEGMENT {
        return Ok(None);
    }
    let n_segments = reference.n_frames - SEGMENT + 1;
    let correlation = if is_extended { extended_correlation } else { correlation };
    let sum: f64 = (0..n_segments).map(|first| correlation(&reference, &degraded, first)).sum();
    Ok(Some(sum / n_segments as f64))
}

/// The symmetric Hann window without its zeros. Source: pystoi 0.4.1, `hanning(258)[1:-1]`.
fn window() -> &'static [f64; FRAME_LENGTH] {
    static WINDOW: OnceLock<[f64; FRAME_LENGTH]> = OnceLock::new();
    WINDOW.get_or_init(|| {
        std::array::from_fn(|index| {
            let angle = std::f64::consts::TAU * (index + 1) as f64 / (FRAME_LENGTH + 1) as f64;
            0.5 - 0.5 * angle.cos()
        })
    })
}

/// Where frames begin: one that ends with the last sample is left out, as in pystoi.
fn frame_starts(n_samples: usize) -> impl Iterator<Item = usize> {
    (0..n_samples.saturating_sub(FRAME_LENGTH)).step_by(HOP_LENGTH)
}

/// The starts of the frames that are not silent.
fn loud_frames(samples: &[f64]) -> Vec<usize> {
    let level = |start: usize| {
        let frame = samples[start..start + FRAME_LENGTH].iter().zip(window());
        let energy: f64 = frame.map(|(sample, weight)| (sample * weight) * (sample * weight)).sum();
        20.0 * (energy.sqrt() + EPS).log10()
    };
    let levels: Vec<f64> = frame_starts(samples.len()).map(level).collect();
    let loudest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_loud = |(_, level): &(usize, f64)| loudest - DYNAMIC_RANGE_DB - level < 0.0;
    frame_starts(samples.len()).zip(levels).filter(is_loud).map(|(start, _)| start).collect()
}

/// The frames at these starts, windowed, overlapped and added into one signal.
fn joined(samples: &[f64], starts: &[usize]) -> Vec<f64> {
    let mut joined = vec![0.0; starts.len() * HOP_LENGTH + FRAME_LENGTH - HOP_LENGTH];
    for (index, &start) in starts.iter().enumerate() {
        let place = &mut joined[index * HOP_LENGTH..][..FRAME_LENGTH];
        for ((value, sample), weight) in place.iter_mut().zip(&samples[start..]).zip(window()) {
            *value += sample * weight;
        }
    }
    joined
}

/// The first bin of every third-octave band and the one after its last.
fn bands() -> &'static [(usize, usize); N_BANDS] {
    static BANDS: OnceLock<[(usize, usize); N_BANDS]> = OnceLock::new();
    BANDS.get_or_init(|| {
        let bin_hz = f64::from(SAMPLE_RATE) / N_FFT as f64;
        // No edge is half way between two bins.
        let nearest = |hz: f64| (hz / bin_hz).round() as usize;
        let edge = |sixths: f64| nearest(LOWEST_BAND_HZ * 2.0_f64.powf(sixths / 6.0));
        std::array::from_fn(|band| (edge(2.0 * band as f64 - 1.0), edge(2.0 * band as f64 + 1.0)))
    })
}

/// The envelope of every band: the root of its power in each frame.
struct Envelopes {
    /// `[N_BANDS, n_frames]`.
    values: Vec<f64>,
    n_frames: usize,
}

impl Envelopes {
    fn of(samples: &[f64]) -> Self {
        static TRANSFORM: OnceLock<Arc<dyn RealToComplex<f64>>> = OnceLock::new();
        let transform = TRANSFORM.get_or_init(|| RealFftPlanner::new().plan_fft_forward(N_FFT));
        let (mut frame, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
        let mut scratch = transform.make_scratch_vec();
        let n_frames = frame_starts(samples.len()).count();
        let mut values = vec![0.0; N_BANDS * n_frames];
        for (index, start) in frame_starts(samples.len()).enumerate() {
            for ((value, sample), weight) in frame.iter_mut().zip(&samples[start..]).zip(window()) {
                *value = sample * weight;
            }
            frame[FRAME_LENGTH..].fill(0.0);
            let result = transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch);
            debug_assert!(result.is_ok(), "lengths are the transform's own");
            for (band, &(first, end)) in bands().iter().enumerate() {
                let power: f64 = spectrum[first..end].iter().map(Complex64::norm_sqr).sum();
                values[band * n_frames + index] = power.sqrt();
            }
        }
        Self { values, n_frames }
    }

    /// A band's envelope over the segment that begins with frame `first`.
    fn segment(&self, band: usize, first: usize) -> &[f64; SEGMENT] {
        let values = &self.values[band * self.n_frames + first..];
        values.first_chunk().unwrap_or(&[0.0; SEGMENT])
    }
}

/// The mean correlation of the bands of one segment, the degraded envelope scaled and clipped: [2], equations 3 to 5.
fn correlation(reference: &Envelopes, degraded: &Envelopes, first: usize) -> f64 {
    let clip = 1.0 + 10.0_f64.powf(-BETA_DB / 20.0);
    let of_band = |band: usize| {
        let (mut x, mut y) = (*reference.segment(band, first), *degraded.segment(band, first));
        let scale = norm(&x) / (norm(&y) + EPS);
        for (y, x) in y.iter_mut().zip(&x) {
            *y = (*y * scale).min(x * clip);
        }
        centre(&mut x);
        centre(&mut y);
        dot(&x, &y) / ((norm(&x) + EPS) * (norm(&y) + EPS))
    };
    (0..N_BANDS).map(of_band).sum::<f64>() / N_BANDS as f64
}

/// The mean correlation of the spectra of one segment, its rows and then its columns normalized: [3], equations 4 to 7.
fn extended_correlation(reference: &Envelopes, degraded: &Envelopes, first: usize) -> f64 {
    let (x, y) = (normalized(reference, first), normalized(degraded, first));
    let mut sums = [0.0; SEGMENT];
    for (x, y) in x.iter().zip(&y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() / SEGMENT as f64
}

/// A segment whose rows (bands over time) and then columns (spectra) have mean 0 and norm 1; what does not vary is 0.
fn normalized(envelopes: &Envelopes, first: usize) -> [[f64; SEGMENT]; N_BANDS] {
    let mut rows: [[f64; SEGMENT]; N_BANDS] = std::array::from_fn(|band| *envelopes.segment(band, first));
    for row in &mut rows {
        centre(row);
        let scale = inverse(norm(row));
        for value in row {
            *value *= scale;
        }
    }
    let mut means = [0.0; SEGMENT];
    for row in &rows {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / N_BANDS as f64);
    }
    let mut scales = [0.0; SEGMENT];
    for row in &mut rows {
        for ((value, mean), scale) in row.iter_mut().zip(&means).zip(&mut scales) {
            *value -= mean;
            *scale += *value * *value;
        }
    }
    for scale in &mut scales {
        *scale = inverse(scale.sqrt());
    }
    for row in &mut rows {
        row.iter_mut().zip(&scales).for_each(|(value, scale)| *value *= scale);
    }
    rows
}

/// 1 / norm; 0 for a norm that is rounding alone.
fn inverse(norm: f64) -> f64 {
    if norm > EPS { 1.0 / norm } else { 0.0 }
}

fn centre(values: &mut [f64; SEGMENT]) {
    let mean = values.iter().sum::<f64>() / SEGMENT as f64;
    for value in values {
        *value -= mean;
    }
}

fn norm(values: &[f64; SEGMENT]) -> f64 {
    dot(values, values).sqrt()
}

/// In six partial sums, so that the products need not wait for each other.
fn dot(left: &[f64; SEGMENT], right: &[f64; SEGMENT]) -> f64 {
    const N_LANES: usize = 6;
    let mut lanes = [0.0; N_LANES];
    for (left, right) in left.chunks_exact(N_LANES).zip(right.chunks_exact(N_LANES)) {
        for ((lane, left), right) in lanes.iter_mut().zip(left).zip(right) {
            *lane += left * right;
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f64> {
        let mut state = seed;
        let mut sample = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        (0..n).map(|_| sample()).collect()
    }

    fn score(reference: &[f64], degraded: &[f64], rate: u32, is_extended: bool) -> Option<f64> {
        stoi(&Pair::new(reference, degraded, rate).unwrap(), is_extended).unwrap()
    }

    #[test]
    fn bands_are_those_of_taals_matlab_code() {
        // Made by pystoi 0.4.1's `thirdoct(10000, 512, 15, 150)`.
        let want = [7, 9, 11, 14, 17, 22, 27, 34, 43, 55, 69, 87, 109, 138, 174, 219];
        assert_eq!(bands().map(|(first, _)| first), want[..15]);
        assert_eq!(bands().map(|(_, end)| end), want[1..]);
    }

    #[test]
    fn a_copy_scores_one_and_silence_nothing() {
        let clip = noise(20_000, 1);
        for is_extended in [false, true] {
            for rate in [8_000, 10_000, 16_000, 44_100] {
                let got = score(&clip, &clip, rate, is_extended).unwrap();
                assert!((got - 1.0).abs() < 1e-9, "{rate} Hz: {got}");
            }
            assert_eq!(score(&vec![0.0; 20_000], &clip, 10_000, is_extended), None);
            assert_eq!(score(&clip, &vec![0.0; 20_000], 10_000, is_extended), Some(0.0));
        }
    }

    #[test]
    fn mostly_silent_references_have_no_score() {
        let mut clip = noise(20_000, 2);
        clip[2_000..].fill(0.0);
        assert_eq!(score(&clip, &clip, 10_000, false), None);
    }

    #[test]
    fn the_shortest_clip_has_a_score_and_a_shorter_one_says_what_is_needed() {
        for (rate, n) in [(10_000, 4_097), (16_000, 6_554), (8_000, 3_277), (48_000, 19_661)] {
            let clip = noise(n, 3);
            assert!(score(&clip, &clip, rate, false).is_some(), "{rate} Hz");
            let pair = Pair::new(&clip[1..], &clip[1..], rate).unwrap();
            let error = stoi(&pair, false).unwrap_err().to_string();
            assert!(error.contains(&format!("at least {n} (410 ms)")), "{error}");
        }
    }

    #[test]
    fn more_noise_is_less_intelligible() {
        let clip: Vec<f64> = noise(30_000, 4).iter().enumerate().map(|(n, x)| x * (n as f64 * 0.002).sin()).collect();
        let other = noise(30_000, 5);
        for is_extended in [false, true] {
            let of = |gain: f64| {
                let mix: Vec<f64> = clip.iter().zip(&other).map(|(clip, noise)| clip + gain * noise).collect();
                score(&clip, &mix, 10_000, is_extended).unwrap()
            };
            let scores = [0.0, 0.05, 0.2, 0.5, 2.0].map(of);
            assert!(scores.windows(2).all(|pair| pair[1] < pair[0]), "{scores:?}");
        }
    }
}
