//! Loudness after ITU-R BS.1770-4, EBU R 128, EBU Tech 3341 and EBU Tech 3342.

mod filter;
mod gating;
mod normalize;
#[cfg(test)]
mod tests;

pub use normalize::{MAX_TRUE_PEAK_DBTP, TARGET_LUFS, normalize_loudness};

use pulp::Arch;
use serde::{Deserialize, Serialize};

use crate::audio::Once;

use filter::{Biquad, Memory, k_weighting};

/// Parts of a second whose energies are kept: loudness is looked at this often.
const PARTS_PER_S: u64 = 100;

/// Loudness of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated loudness, LUFS: gated at -70 LUFS and at 10 LU below the mean of what is above. `None` if nothing is,
    /// or for less than 0.4 s.
    pub integrated_lufs: Option<f64>,
    /// Loudness range, LU: between the 10th and 95th percentiles of short-term loudness, gated at -70 LUFS and at 20 LU
    /// below its mean. `None` as above, or for less than 3 s.
    pub range_lu: Option<f64>,
    /// Greatest momentary loudness (0.4 s), LUFS; `None` for less than 0.4 s and for silence.
    pub max_momentary_lufs: Option<f64>,
    /// Greatest short-term loudness (3 s), LUFS; `None` for less than 3 s and for silence.
    pub max_short_term_lufs: Option<f64>,
}

/// Loudness over time, every 0.1 s.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoudnessTrack {
    /// Momentary loudness of the 0.4 s that end at (index + 4) / 10 s, LUFS; `None` for silence.
    pub momentary_lufs: Vec<Option<f64>>,
    /// Short-term loudness of the 3 s that end at (index + 30) / 10 s, LUFS.
    pub short_term_lufs: Vec<Option<f64>>,
}

/// Weights of channels in the order of WAVE files, by their number: 1 in front and behind, 1.41 at the sides (60 to 120
/// degrees), 0 for low-frequency effects. Source: ITU-R BS.1770-4, annex 1, table 4.
#[must_use]
pub fn channel_weights(n_channels: usize) -> Vec<f64> {
    const SIDE: f64 = 1.41;
    match n_channels {
        4 => vec![1.0, 1.0, SIDE, SIDE],
        5 => vec![1.0, 1.0, 1.0, SIDE, SIDE],
        6 => vec![1.0, 1.0, 1.0, 0.0, SIDE, SIDE],
        7 => vec![1.0, 1.0, 1.0, 0.0, 1.0, SIDE, SIDE],
        8 => vec![1.0, 1.0, 1.0, 0.0, 1.0, 1.0, SIDE, SIDE],
        n => vec![1.0; n],
    }
}

/// Measures loudness while samples come.
#[derive(Debug, Clone)]
pub struct LoudnessMeter {
    sample_rate: u32,
    weights: Vec<f64>,
    filters: [Biquad; 2],
    pairs: Vec<Memory<2>>,
    single: Option<Memory<1>>,
    /// Weighted energy of every part that is over.
    parts: Vec<f64>,
    /// Energy of the part that is not, and where the samples are.
    energy: f64,
    position: u64,
}

impl LoudnessMeter {
    /// A meter for channels with these weights; see [`channel_weights`].
    #[must_use]
    pub fn new(sample_rate: u32, weights: Vec<f64>) -> Self {
        let n_channels = weights.len();
        Self {
            sample_rate,
            filters: k_weighting(f64::from(sample_rate)),
            pairs: vec![Memory::new(); n_channels / 2],
            single: (n_channels % 2 == 1).then(Memory::new),
            weights,
            parts: Vec::new(),
            energy: 0.0,
            position: 0,
        }
    }

    /// Takes more samples of every channel: as many of each.
    pub fn push(&mut self, channels: &[Vec<f32>]) {
        let n = channels.iter().map(Vec::len).min().unwrap_or(0);
        let mut start = 0;
        while start < n {
            let boundary = self.boundary(self.parts.len() as u64 + 1);
            let wanted = usize::try_from(boundary - self.position).unwrap_or(usize::MAX);
            let end = n.min(start.saturating_add(wanted));
            self.energy += self.filtered_energy(channels, start, end);
            self.position += (end - start) as u64;
            if self.position == boundary {
                self.parts.push(std::mem::take(&mut self.energy));
            }
            start = end;
        }
    }

    /// The loudness of all that came.
    #[must_use]
    pub fn finish(&self) -> Loudness {
        gating::measure(&self.parts, &|part| self.boundary(part))
    }

    /// Loudness over time of all that came.
    #[must_use]
    pub fn track(&self) -> LoudnessTrack {
        gating::track(&self.parts, &|part| self.boundary(part))
    }

    /// First sample of a part; where a second has no whole number of them, parts differ by one sample.
    fn boundary(&self, part: u64) -> u64 {
        (part * u64::from(self.sample_rate) + PARTS_PER_S / 2) / PARTS_PER_S
    }

    fn filtered_energy(&mut self, channels: &[Vec<f32>], start: usize, end: usize) -> f64 {
        let (filters, weights) = (&self.filters, &self.weights);
        let (pairs, single) = (&mut self.pairs, &mut self.single);
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                let mut sum = 0.0;
                for ((memory, pair), weights) in pairs.iter_mut().zip(channels.chunks_exact(2)).zip(weights.chunks(2)) {
                    let energy = memory.energy(filters, [&pair[0][start..end], &pair[1][start..end]]);
                    sum += weights[0] * energy[0] + weights[1] * energy[1];
                }
                if let (Some(memory), Some(channel), Some(weight)) = (single, channels.last(), weights.last()) {
                    sum += weight * memory.energy(filters, [&channel[start..end]])[0];
                }
                sum
            },
        )
    }
}
