//! Mel spectrum and what is made of it: decibels, cepstral coefficients.

use super::spectral::{Lanes, log2};
use super::stft::{LANES, SpectraBlock};
use crate::audio::{MelFilter, mel_filters};

/// Mel bands and cepstral coefficients. Source: librosa's defaults.
pub(super) const N_MELS: usize = 128;
/// See [`N_MELS`].
pub(super) const N_MFCC: usize = 20;
/// Least power that decibels are taken of, and how far below the greatest they reach. Source: librosa `power_to_db`.
const FLOOR: f32 = 1e-10;
const TOP_DB: f32 = 80.0;
/// Most frames whose decibels are kept: 3.3 hours at 44.1 kHz, 512 MiB.
const MAX_N_FRAMES: usize = 1 << 20;

/// Mel power of one block, `[N_MELS][LANES]`.
pub(super) type MelBlock = [Lanes; N_MELS];

/// The mel filters for a sample rate.
pub(super) struct Mel(Vec<MelFilter>);

impl Mel {
    pub(super) fn new(sample_rate: u32, n_fft: usize) -> Self {
        Self(mel_filters(N_MELS, n_fft, f64::from(sample_rate)))
    }

    /// Mel power of every frame; to be inlined into a dispatch.
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    pub(super) fn power(&self, block: &SpectraBlock) -> MelBlock {
        let mut mel = [[0.0; LANES]; N_MELS];
        for (sums, filter) in mel.iter_mut().zip(&self.0) {
            for (weight, power) in filter.weights.iter().zip(&block.power[filter.first..]) {
                for lane in 0..LANES {
                    sums[lane] = power[lane].mul_add(*weight, sums[lane]);
                }
            }
        }
        mel
    }
}

/// Decibels of the mel spectrum of all frames, kept because their floor depends on the greatest of them.
pub(super) struct MelDecibels {
    blocks: Vec<MelBlock>,
    pub(super) n_frames: usize,
    greatest: f32,
}

impl MelDecibels {
    pub(super) fn new() -> Self {
        Self { blocks: Vec::new(), n_frames: 0, greatest: f32::MIN }
    }

    /// Takes the next block; frames beyond the most that are kept are left out.
    #[allow(clippy::inline_always, reason = "see Mel::power")]
    #[inline(always)]
    pub(super) fn push(&mut self, mel: &MelBlock, n_frames: usize) {
        if self.n_frames + n_frames > MAX_N_FRAMES {
            return;
        }
        let mut decibels = *mel;
        let mut greatest = [f32::MIN; LANES];
        for row in &mut decibels {
            for lane in 0..LANES {
                let power = if row[lane] > FLOOR { row[lane] } else { FLOOR };
                row[lane] = 10.0 * std::f32::consts::LOG10_2 * log2(power);
                greatest[lane] = if row[lane] > greatest[lane] { row[lane] } else { greatest[lane] };
            }
        }
        self.greatest = greatest[..n_frames].iter().copied().fold(self.greatest, f32::max);
        self.blocks.push(decibels);
        self.n_frames += n_frames;
    }

    /// Raises everything to at least 80 dB below the greatest.
    pub(super) fn clamp(&mut self) {
        let floor = self.greatest - TOP_DB;
        for value in self.blocks.iter_mut().flatten().flatten() {
            *value = if *value > floor { *value } else { floor };
        }
    }

    /// All blocks, each with its number of frames.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&MelBlock, usize)> {
        self.blocks.iter().enumerate().map(|(index, block)| (block, LANES.min(self.n_frames - index * LANES)))
    }
}

/// The cosine transform from mel bands to cepstral coefficients: type 2, orthonormal.
pub(super) struct Cepstrum(Vec<[f32; N_MELS]>);

impl Cepstrum {
    pub(super) fn new() -> Self {
        let n = N_MELS as f64;
        let row = |k: usize| {
            let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
            std::array::from_fn(|m| (scale * (std::f64::consts::PI / n * (m as f64 + 0.5) * k as f64).cos()) as f32)
        };
        Self((0..N_MFCC).map(row).collect())
    }

    /// Coefficients of every frame; to be inlined into a dispatch.
    #[allow(clippy::inline_always, reason = "see Mel::power")]
    #[inline(always)]
    pub(super) fn coefficients(&self, decibels: &MelBlock) -> [Lanes; N_MFCC] {
        let mut found = [[0.0; LANES]; N_MFCC];
        for (sums, row) in found.iter_mut().zip(&self.0) {
            let mut total = [0.0_f32; LANES];
            for (weight, values) in row.iter().zip(decibels) {
                for lane in 0..LANES {
                    total[lane] = values[lane].mul_add(*weight, total[lane]);
                }
            }
            *sums = total;
        }
        found
    }
}
