//! All features of the shared spectra, computed block by block.

use std::collections::BTreeSet;

use pulp::Arch;

use super::bandwidth::MeanSpectrum;
use super::chroma::{ChromaFilters, N_CHROMA};
use super::mel::{Cepstrum, Mel, MelDecibels, N_MELS, N_MFCC};
use super::result::Spectral;
use super::rhythm::rhythm;
use super::spectral::{Lanes, N_CONTRAST, Shaper, log2};
use super::statistics::Moments;
use super::stft::{LANES, SpectraBlock, Stft};
use super::zero_crossings::ZeroCrossings;
use super::{Analysis, Field};
use crate::audio::Once;

/// Length of a frame and step between frames, samples. Source: librosa's defaults.
pub const N_FFT: usize = 2_048;
/// See [`N_FFT`].
pub const HOP_LENGTH: usize = 512;
/// Least power that decibels are taken of, and how far below the greatest they reach. Source: librosa `power_to_db`.
const FLOOR: f32 = 1e-10;
const TOP_DB: f32 = 80.0;

/// Values of every frame, `[n_rows][n_frames]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frames {
    /// Name of the feature and its rows.
    pub features: Vec<(&'static str, Vec<Vec<f32>>)>,
}

/// One feature: its moments, and its values if they are kept.
struct Feature {
    name: &'static str,
    moments: Vec<Moments>,
    values: Option<Vec<Vec<f32>>>,
}

impl Feature {
    fn new(name: &'static str, n_rows: usize, is_kept: bool) -> Self {
        Self { name, moments: vec![Moments::default(); n_rows], values: is_kept.then(|| vec![Vec::new(); n_rows]) }
    }

    fn push(&mut self, rows: &[Lanes], n_frames: usize) {
        for (index, row) in rows.iter().enumerate() {
            if n_frames == LANES {
                self.moments[index].push_block(row);
            } else {
                row[..n_frames].iter().for_each(|&value| self.moments[index].push(value));
            }
            if let Some(values) = &mut self.values {
                values[index].extend_from_slice(&row[..n_frames]);
            }
        }
    }

    fn summaries(&self) -> Vec<super::Summary> {
        self.moments.iter().filter_map(Moments::summary).collect()
    }
}

/// What is computed of each block.
struct Parts {
    shaper: Option<(Shaper, [Feature; 4])>,
    /// Peaks and valleys, power, kept because their floor depends on the greatest of them.
    contrast: Vec<[(Lanes, Lanes); N_CONTRAST + 1]>,
    mel: Option<Mel>,
    mel_feature: Option<Feature>,
    decibels: Option<MelDecibels>,
    chroma: Option<(ChromaFilters, Feature)>,
    spectrum: Option<MeanSpectrum>,
    n_frames: usize,
}

/// Computes spectral features while samples come.
pub(super) struct Features {
    sample_rate: u32,
    fields: BTreeSet<Field>,
    keeps_frames: bool,
    stft: Stft,
    crossings: Option<(ZeroCrossings, Feature)>,
    parts: Parts,
}

impl Features {
    /// `keeps_decibels` keeps the mel spectrum for a picture.
    pub(super) fn new(sample_rate: u32, fields: &BTreeSet<Field>, keeps_frames: bool, keeps_decibels: bool) -> Self {
        let asks = |field| fields.contains(&field);
        let feature = |name, n_rows| Feature::new(name, n_rows, keeps_frames);
        let needs_decibels = keeps_decibels || asks(Field::Mfcc) || asks(Field::Rhythm);
        let shapes = || ["centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness"].map(|name| feature(name, 1));
        Self {
            sample_rate,
            fields: fields.clone(),
            keeps_frames,
            stft: Stft::new(N_FFT, HOP_LENGTH),
            crossings: asks(Field::Spectral)
                .then(|| (ZeroCrossings::new(N_FFT, HOP_LENGTH), feature("zero_crossing_rate", 1))),
            parts: Parts {
                shaper: asks(Field::Spectral).then(|| (Shaper::new(sample_rate, N_FFT), shapes())),
                contrast: Vec::new(),
                mel: (asks(Field::Mel) || needs_decibels).then(|| Mel::new(sample_rate, N_FFT)),
                mel_feature: asks(Field::Mel).then(|| feature("mel", N_MELS)),
                decibels: needs_decibels.then(MelDecibels::new),
                chroma: asks(Field::Chroma)
                    .then(|| (ChromaFilters::new(sample_rate, N_FFT), feature("chroma", N_CHROMA))),
                spectrum: asks(Field::Bandwidth).then(|| MeanSpectrum::new(N_FFT / 2 + 1)),
                n_frames: 0,
            },
        }
    }

    pub(super) fn push(&mut self, mono: &[f32]) {
        let parts = &mut self.parts;
        self.stft.push(mono, &mut |block| parts.take(block));
        if let Some((crossings, feature)) = &mut self.crossings {
            crossings.push(mono, &mut |rate| feature.push(&[[rate; LANES]], 1));
        }
    }

    /// Writes all summaries into `analysis`; the frames that were kept, and the decibels.
    pub(super) fn finish(mut self, analysis: &mut Analysis) -> (Frames, Option<MelDecibels>) {
        let parts = &mut self.parts;
        self.stft.finish(&mut |block| parts.take(block));
        if let Some((crossings, feature)) = &mut self.crossings {
            crossings.finish(&mut |rate| feature.push(&[[rate; LANES]], 1));
        }
        let mut kept: Vec<Feature> = Vec::new();
        if let Some((_, [centroid, bandwidth, rolloff, flatness])) = self.parts.shaper.take() {
            let contrast = self.parts.contrast(self.keeps_frames);
            let only = |feature: &Feature| feature.moments[0].summary();
            analysis.spectral = Some(Spectral {
                centroid_hz: only(&centroid),
                bandwidth_hz: only(&bandwidth),
                rolloff_hz: only(&rolloff),
                flatness: only(&flatness),
                zero_crossing_rate: self.crossings.as_ref().and_then(|(_, feature)| only(feature)),
                contrast_db: contrast.as_ref().map(Feature::summaries),
            });
            kept.extend([centroid, bandwidth, rolloff, flatness]);
            kept.extend(contrast);
            kept.extend(self.crossings.take().map(|(_, feature)| feature));
        }
        if let Some(feature) = self.parts.mel_feature.take() {
            analysis.mel = Some(feature.summaries());
            kept.push(feature);
        }
        if let Some((_, feature)) = self.parts.chroma.take() {
            analysis.chroma = Some(feature.summaries());
            kept.push(feature);
        }
        analysis.bandwidth = self.parts.spectrum.take().map(|spectrum| spectrum.bandwidth(self.sample_rate));
        let mut decibels = self.parts.decibels.take();
        if let Some(decibels) = &mut decibels {
            decibels.clamp();
            if self.fields.contains(&Field::Mfcc) {
                let mut feature = Feature::new("mfcc", N_MFCC, self.keeps_frames);
                mfcc(decibels, &mut feature);
                analysis.mfcc = Some(feature.summaries());
                kept.push(feature);
            }
            if self.fields.contains(&Field::Rhythm) {
                analysis.rhythm = Some(rhythm(decibels, self.sample_rate, N_FFT, HOP_LENGTH));
            }
        }
        let features = kept.into_iter().filter_map(|feature| Some((feature.name, feature.values?))).collect();
        (Frames { features }, decibels)
    }
}

fn mfcc(decibels: &MelDecibels, feature: &mut Feature) {
    let cepstrum = Cepstrum::new();
    for (block, n_frames) in decibels.blocks() {
        let (once, cepstrum) = (Once, &cepstrum);
        let rows = Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                cepstrum.coefficients(block)
            },
        );
        feature.push(&rows, n_frames);
    }
}

impl Parts {
    fn take(&mut self, block: &SpectraBlock) {
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                once.spend();
                self.compute(block);
            },
        );
    }

    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn compute(&mut self, block: &SpectraBlock) {
        self.n_frames += block.n_frames;
        if let Some((shaper, features)) = &mut self.shaper {
            let shapes = shaper.shapes(block);
            let rows = [shapes.centroid_hz, shapes.bandwidth_hz, shapes.rolloff_hz, shapes.flatness];
            for (feature, row) in features.iter_mut().zip(rows) {
                feature.push(&[row], block.n_frames);
            }
            self.contrast.extend(shapes.contrast);
        }
        if let Some(mel) = &self.mel {
            let power = mel.power(block);
            if let Some(feature) = &mut self.mel_feature {
                feature.push(&power, block.n_frames);
            }
            if let Some(decibels) = &mut self.decibels {
                decibels.push(&power, block.n_frames);
            }
        }
        if let Some((filters, feature)) = &mut self.chroma {
            feature.push(&filters.chroma(block), block.n_frames);
        }
        if let Some(spectrum) = &mut self.spectrum {
            spectrum.push(block);
        }
    }

    /// Decibels of the peaks over those of the valleys, each at most 80 dB below its greatest.
    fn contrast(&mut self, is_kept: bool) -> Option<Feature> {
        let blocks = std::mem::take(&mut self.contrast);
        if blocks.is_empty() {
            return None;
        }
        let decibels = |value: f32| 10.0 * std::f32::consts::LOG10_2 * log2(value.max(FLOOR));
        let greatest =
            |side: fn(&(Lanes, Lanes)) -> &Lanes| blocks.iter().flatten().flat_map(side).copied().fold(FLOOR, f32::max);
        let floors = (decibels(greatest(|band| &band.0)) - TOP_DB, decibels(greatest(|band| &band.1)) - TOP_DB);
        let mut feature = Feature::new("contrast_db", N_CONTRAST + 1, is_kept);
        for (index, block) in blocks.iter().enumerate() {
            let rows = block.map(|(peaks, valleys)| {
                std::array::from_fn(|lane| decibels(peaks[lane]).max(floors.0) - decibels(valleys[lane]).max(floors.1))
            });
            feature.push(&rows, LANES.min(self.n_frames - index * LANES));
        }
        Some(feature)
    }
}
