//! pYIN: every period that a frame may have, with its probability, then the likeliest way through all frames.
//!
//! Source: Mauch and Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold distributions", ICASSP
//! 2014; candidates, states and transitions are librosa 1.0's.

use super::difference::{Difference, Lags, is_trough, parabolic_shift};
use super::viterbi::{Lattice, Observation};
use crate::Result;

/// States of pitch in a semitone: 10 cents each. Source: librosa's `resolution=0.1`.
const BINS_PER_SEMITONE: usize = 10;
/// Thresholds of a trough, each with its share of the beta distribution (2, 18). Source: librosa.
const N_THRESHOLDS: usize = 100;
/// How much likelier a trough is than the next longer one: e to this. Source: librosa's `boltzmann_parameter`.
const BOLTZMANN: f64 = 2.0;
/// Share of the mass of all thresholds without a trough below that the lowest one gets. Source: librosa.
const NO_TROUGH: f64 = 0.01;
/// Fastest change of pitch, octaves per second. Source: librosa's `max_transition_rate`.
const MAX_OCTAVES_PER_S: f64 = 35.92;

/// How pitch is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pyin {
    /// Lowest frequency that is looked for, Hz.
    pub fmin_hz: f64,
    /// Highest frequency that is looked for, Hz.
    pub fmax_hz: f64,
    /// Length of a frame, samples.
    pub frame_length: usize,
    /// Step between frames, samples.
    pub hop_length: usize,
}

/// The pitch of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoicedFrame {
    /// Fundamental frequency, Hz, in steps of 10 cents from the lowest; `None` for an unvoiced frame.
    pub f0_hz: Option<f64>,
    /// Probability that the frame is voiced.
    pub voiced_probability: f64,
}

/// The pitch of every frame: frame `i` is centred on sample `i * hop_length`, with silence beyond both ends.
///
/// # Errors
///
/// [`crate::Error::InvalidInput`] for options that [`super::yin()`] refuses.
pub fn pyin(samples: &[f32], sample_rate: u32, options: &Pyin) -> Result<Vec<VoicedFrame>> {
    let mut tracker = PitchTracker::new(sample_rate, options)?;
    tracker.push(samples);
    Ok(tracker.finish())
}

/// Finds pitch while samples come; memory is a few numbers a frame.
pub struct PitchTracker {
    options: Pyin,
    sample_rate: f64,
    lags: Lags,
    difference: Difference<f32>,
    thresholds: Thresholds,
    n_bins: usize,
    samples: Vec<f32>,
    n_samples: usize,
    observations: Vec<Observation>,
    candidates: Vec<(u16, f32)>,
}

impl PitchTracker {
    /// A tracker at the start of a recording.
    ///
    /// # Errors
    ///
    /// As [`pyin`].
    pub fn new(sample_rate: u32, options: &Pyin) -> Result<Self> {
        let Pyin { fmin_hz, fmax_hz, frame_length, hop_length } = *options;
        let lags = Lags::of(fmin_hz, fmax_hz, frame_length, hop_length, sample_rate)?;
        let n_bins = (12.0 * BINS_PER_SEMITONE as f64 * (fmax_hz / fmin_hz).log2()).floor() as usize + 1;
        Ok(Self {
            options: *options,
            sample_rate: f64::from(sample_rate),
            difference: Difference::new(frame_length, lags.longest),
            lags,
            thresholds: Thresholds::new(),
            // States are counted in 16 bits: 40 octaves are fewer.
            n_bins: n_bins.min(usize::from(u16::MAX)),
            samples: vec![0.0; frame_length / 2],
            n_samples: 0,
            observations: Vec::new(),
            candidates: Vec::new(),
        })
    }

    /// Takes more samples.
    pub fn push(&mut self, samples: &[f32]) {
        self.n_samples += samples.len();
        self.samples.extend_from_slice(samples);
        let n_ready = (self.samples.len() + self.options.hop_length).saturating_sub(self.options.frame_length)
            / self.options.hop_length;
        self.frames(n_ready);
    }

    /// The pitch of all frames, after the last samples.
    #[must_use]
    pub fn finish(mut self) -> Vec<VoicedFrame> {
        let Pyin { frame_length, hop_length, fmin_hz, .. } = self.options;
        let missing = 1 + self.n_samples / hop_length - self.observations.len();
        self.samples.resize(self.samples.len().max(frame_length + missing * hop_length), 0.0);
        self.frames(missing);
        let semitones = (MAX_OCTAVES_PER_S * 12.0 * hop_length as f64 / self.sample_rate).round_ties_even() as usize;
        let lattice = Lattice::new(self.n_bins, semitones * BINS_PER_SEMITONE / 2);
        let states = lattice.decode(&self.observations, &self.candidates);
        let hz = |bin: usize| fmin_hz * (bin as f64 / (12 * BINS_PER_SEMITONE) as f64).exp2();
        let frame = |(observation, state): (&Observation, usize)| VoicedFrame {
            f0_hz: (state < self.n_bins).then(|| hz(state)),
            voiced_probability: f64::from(observation.voiced),
        };
        self.observations.iter().zip(states).map(frame).collect()
    }

    fn frames(&mut self, n: usize) {
        for index in 0..n {
            let start = index * self.options.hop_length;
            self.observe(start);
        }
        self.samples.drain(..(n * self.options.hop_length).min(self.samples.len()));
    }

    /// Appends the candidates of the frame that begins at `start`.
    fn observe(&mut self, start: usize) {
        let frame = &self.samples[start..start + self.options.frame_length];
        let values = &self.difference.normalized(frame)[self.lags.shortest - 1..];
        let first = self.candidates.len();
        for &(index, probability) in self.thresholds.troughs(values) {
            let period = (self.lags.shortest + index) as f64 + parabolic_shift(values, index);
            let octaves = (self.sample_rate / period / self.options.fmin_hz).log2();
            let bin = (12.0 * BINS_PER_SEMITONE as f64 * octaves).round_ties_even().max(0.0) as usize;
            if bin >= self.n_bins || probability <= 0.0 {
                continue;
            }
            // Of two in the same bin the longer period counts.
            let candidate = (bin as u16, probability as f32);
            match self.candidates[first..].iter_mut().find(|(other, _)| usize::from(*other) == bin) {
                Some(other) => *other = candidate,
                None => self.candidates.push(candidate),
            }
        }
        let sum: f32 = self.candidates[first..].iter().map(|(_, probability)| probability).sum();
        self.observations.push(Observation { end: self.candidates.len(), voiced: sum.clamp(0.0, 1.0) });
    }
}

/// The distribution of thresholds, and working memory.
struct Thresholds {
    /// Mass of the thresholds up to each: of `i / 100`, from 0 on.
    cumulative: [f64; N_THRESHOLDS + 1],
    /// Mass of the Boltzmann distribution of position `k` before it is cut: e^(-2k).
    decay: Vec<f64>,
    troughs: Vec<(usize, f64)>,
    /// Indices into `troughs`, by height; and whether each is below the threshold looked at.
    by_height: Vec<(f64, usize)>,
    is_below: Vec<bool>,
}

impl Thresholds {
    fn new() -> Self {
        let cumulative = std::array::from_fn(|index| {
            let x = index as f64 / N_THRESHOLDS as f64;
            // The incomplete beta function for whole numbers is a binomial sum: all but its first two terms here.
            1.0 - (1.0 - x).powi(19) - 19.0 * x * (1.0 - x).powi(18)
        });
        let decay = (0..32).map(|k| (-BOLTZMANN * f64::from(k)).exp()).collect();
        Self { cumulative, decay, troughs: Vec::new(), by_height: Vec::new(), is_below: Vec::new() }
    }

    /// Every trough and its probability.
    fn troughs(&mut self, values: &[f64]) -> &[(usize, f64)] {
        self.troughs.clear();
        self.by_height.clear();
        for index in 0..values.len() {
            if is_trough(values, index) {
                self.by_height.push((values[index], self.troughs.len()));
                self.troughs.push((index, 0.0));
            }
        }
        self.by_height.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.is_below.clear();
        self.is_below.resize(self.troughs.len(), false);
        let Some(&(lowest, lowest_trough)) = self.by_height.first() else { return &self.troughs };
        self.troughs[lowest_trough].1 += NO_TROUGH * self.cumulative[not_above(lowest)];
        for rank in 0..self.by_height.len() {
            let (height, trough) = self.by_height[rank];
            self.is_below[trough] = true;
            let next = self.by_height.get(rank + 1).map_or(f64::INFINITY, |next| next.0);
            // The thresholds above this trough and not above the next higher one.
            let mass = self.cumulative[not_above(next)] - self.cumulative[not_above(height)];
            if mass <= 0.0 {
                continue;
            }
            let n = rank + 1;
            let cut = 1.0 - (-BOLTZMANN * n as f64).exp();
            let scale = mass * (1.0 - self.decay[1]) / cut;
            let below = self.troughs.iter_mut().zip(&self.is_below).filter(|(_, is_below)| **is_below);
            // Beyond the 32nd the mass is below what f32 tells from nothing.
            for ((_, probability), decay) in below.map(|(trough, _)| trough).zip(&self.decay) {
                *probability += scale * decay;
            }
        }
        &self.troughs
    }
}

/// Thresholds, of those above 0, that a height is not below.
fn not_above(height: f64) -> usize {
    let n = (height * N_THRESHOLDS as f64).floor().clamp(0.0, N_THRESHOLDS as f64) as usize;
    // As the grid's own numbers compare, whatever the product was rounded to.
    let threshold = |index: usize| index as f64 / N_THRESHOLDS as f64;
    if n < N_THRESHOLDS && height >= threshold(n + 1) {
        n + 1
    } else if n > 0 && height < threshold(n) {
        n - 1
    } else {
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Pyin = Pyin { fmin_hz: 65.0, fmax_hz: 500.0, frame_length: 1_024, hop_length: 160 };

    fn vowel(hz: f64, seconds: f64) -> Vec<f32> {
        let at = |n: usize| {
            let phase = std::f64::consts::TAU * hz * n as f64 / 16_000.0;
            (1..8).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum::<f64>() * 0.2
        };
        (0..(seconds * 16_000.0) as usize).map(|n| at(n) as f32).collect()
    }

    #[test]
    fn vowels_have_their_pitch_and_silence_has_none() {
        for hz in [90.0, 123.4, 220.0, 330.0] {
            let mut samples = vec![0.0; 8_000];
            samples.extend(vowel(hz, 1.0));
            samples.extend([0.0; 8_000]);
            let frames = pyin(&samples, 16_000, &OPTIONS).unwrap();
            assert_eq!(frames.len(), 201);
            for frame in &frames[60..140] {
                let cents = 1_200.0 * (frame.f0_hz.unwrap() / hz).log2();
                assert!(cents.abs() < 10.0 && frame.voiced_probability > 0.4, "{hz}: {frame:?}");
            }
            assert!(frames[..40].iter().chain(&frames[160..]).all(|frame| frame.f0_hz.is_none()));
        }
    }

    #[test]
    fn samples_in_pieces_give_the_same_frames() {
        let samples = vowel(150.0, 0.7);
        let whole = pyin(&samples, 16_000, &OPTIONS).unwrap();
        for piece in [1, 999] {
            let mut tracker = PitchTracker::new(16_000, &OPTIONS).unwrap();
            samples.chunks(piece).for_each(|piece| tracker.push(piece));
            assert_eq!(tracker.finish(), whole);
        }
        assert_eq!(pyin(&[], 16_000, &OPTIONS).unwrap().len(), 1);
    }

    #[test]
    fn the_probabilities_are_those_of_the_definition() {
        let values: Vec<f64> = (0..60_i32).map(|n| f64::from(n * n * 7 % 101) / 101.0).collect();
        let got = Thresholds::new().troughs(&values).to_vec();
        let thresholds = Thresholds::new();
        let mass = |j: usize| thresholds.cumulative[j] - thresholds.cumulative[j - 1];
        let lowest = got.iter().map(|&(index, _)| index).min_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
        for &(index, probability) in &got {
            let mut want = 0.0;
            for j in 1..=N_THRESHOLDS {
                let below = |&&(other, _): &&(usize, f64)| values[other] < j as f64 / 100.0;
                let n = got.iter().filter(below).count();
                if values[index] < j as f64 / 100.0 {
                    let position = got.iter().filter(below).take_while(|(other, _)| *other < index).count();
                    let decay = |k: usize| (-BOLTZMANN * k as f64).exp();
                    want += mass(j) * (1.0 - decay(1)) * decay(position) / (1.0 - decay(n));
                } else if index == lowest {
                    want += NO_TROUGH * mass(j);
                }
            }
            assert!((probability - want).abs() < 1e-12, "{index}: {probability} instead of {want}");
        }
    }
}
