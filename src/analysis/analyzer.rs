//! The analysis of one recording, while its samples come.

use std::collections::BTreeSet;

use super::features::{Features, Frames};
use super::level::LevelMeter;
use super::loudness::{LoudnessMeter, LoudnessTrack, channel_weights};
use super::noise::NoiseMeter;
use super::pitch::{self, Pitch, PitchTracker, Pyin, VoicedFrame};
use super::result::{Analysis, TruePeak, VERSION};
use super::true_peak::TruePeakMeter;
use super::{Field, picture};
use crate::audio::{Resampler, not_finite};
use crate::{Error, Result};

/// Samples of a channel that are looked at together.
const BLOCK: usize = 1 << 13;
/// Most channels, and the sample rates that have an analysis, Hz.
const MAX_CHANNELS: usize = 64;
const SAMPLE_RATES: (u32, u32) = (1_000, 768_000);
/// Highest sample rate that pitch is looked for at, Hz, and the frames of it, seconds.
const PITCH_RATE: u32 = 16_000;
const PITCH_FRAME_S: f64 = 0.1;
const PITCH_HOP_S: f64 = 0.01;
/// Range of pitch, Hz: of the lowest to the highest speaking voices.
const PITCH_HZ: (f64, f64) = (65.0, 500.0);
/// Most seconds in which the voice's steadiness is measured: their samples are kept.
const MAX_VOICE_S: usize = 1_800;
/// Points of the waveform's outline that are kept at most.
const MAX_OUTLINE: usize = 4_096;

/// What is wanted of an analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The fields.
    pub fields: BTreeSet<Field>,
    /// Whether the values of every spectral frame are kept.
    pub keeps_frames: bool,
    /// Whether the tracks, for pictures over time, are kept, and a mel spectrogram painted.
    pub keeps_tracks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fields: Field::ALL.into(), keeps_frames: false, keeps_tracks: false }
    }
}

/// What a recording does over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tracks {
    /// Least and greatest sample of equal parts, in order, at most 4096.
    pub outline: Vec<(f32, f32)>,
    /// Loudness.
    pub loudness: LoudnessTrack,
    /// Pitch, every 10 ms.
    pub pitch: Vec<VoicedFrame>,
    /// Mel spectrogram as PNG; empty if it was not asked for.
    pub picture: Vec<u8>,
    /// Values of every spectral frame, if they were asked for.
    pub frames: Frames,
}

/// Takes interleaved samples in pieces, then gives the analysis. Memory does not grow with the samples, but by a few
/// hundred bytes a second (with mel decibels, 256 kB; for the voice, 64 kB in the first half hour).
pub struct Analyzer {
    options: Options,
    sample_rate: u32,
    n_samples: u64,
    n_invalid: u64,
    channels: Vec<Vec<f32>>,
    mono: Vec<f32>,
    level: Option<LevelMeter>,
    true_peak: Option<TruePeakMeter>,
    loudness: Option<LoudnessMeter>,
    noise: Option<NoiseMeter>,
    features: Option<Features>,
    voice: Option<VoicePart>,
    outline: Outline,
}

/// Pitch, at its own sample rate.
struct VoicePart {
    resampler: Option<Resampler>,
    sample_rate: u32,
    hop_length: usize,
    tracker: PitchTracker,
    buffer: Vec<f32>,
    kept: Option<Vec<f32>>,
}

impl Analyzer {
    /// An analysis of a recording with these channels, in the order of WAVE files.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for no or more than 64 channels, and a sample rate outside 1 kHz to 768 kHz.
    pub fn new(sample_rate: u32, n_channels: usize, options: Options) -> Result<Self> {
        if !(1..=MAX_CHANNELS).contains(&n_channels) {
            return Err(Error::InvalidInput(format!("audio has {n_channels} channels; expected 1 to {MAX_CHANNELS}")));
        }
        if !(SAMPLE_RATES.0..=SAMPLE_RATES.1).contains(&sample_rate) {
            let (low, high) = SAMPLE_RATES;
            return Err(Error::InvalidInput(format!("sample rate is {sample_rate} Hz; expected {low} to {high} Hz")));
        }
        let asks = |field| options.fields.contains(&field);
        let keeps = options.keeps_tracks;
        let needs_features = keeps || options.fields.iter().any(|field| field.is_spectral());
        let weights = channel_weights(n_channels);
        let voice = (asks(Field::Pitch) || asks(Field::Voice)).then(|| VoicePart::new(sample_rate, asks(Field::Voice)));
        Ok(Self {
            sample_rate,
            n_samples: 0,
            n_invalid: 0,
            channels: vec![Vec::with_capacity(BLOCK); n_channels],
            mono: Vec::with_capacity(BLOCK),
            level: asks(Field::Level).then(|| LevelMeter::new(n_channels)),
            true_peak: asks(Field::TruePeak).then(|| TruePeakMeter::new(n_channels)),
            loudness: (asks(Field::Loudness) || keeps).then(|| LoudnessMeter::new(sample_rate, weights)),
            noise: (asks(Field::Noise) || asks(Field::Reverberation)).then(|| NoiseMeter::new(sample_rate)),
            features: needs_features.then(|| Features::new(sample_rate, &options.fields, options.keeps_frames, keeps)),
            voice: voice.transpose()?,
            outline: Outline::new(),
            options,
        })
    }

    /// Takes more samples, frame by frame: one of every channel. Those that are not finite count as 0.
    pub fn push(&mut self, interleaved: &[f32]) {
        let n_channels = self.channels.len();
        for block in interleaved.chunks(BLOCK * n_channels) {
            for (index, channel) in self.channels.iter_mut().enumerate() {
                channel.clear();
                match n_channels {
                    1 => channel.extend_from_slice(block),
                    2 => channel.extend(block.as_chunks::<2>().0.iter().map(|frame| frame[index])),
                    _ => channel.extend(block.chunks_exact(n_channels).map(|frame| frame[index])),
                }
            }
            self.take_block();
        }
    }

    /// Takes more samples, channel by channel: as many of each.
    pub fn push_planar(&mut self, channels: &[&[f32]]) {
        let n = channels.iter().map(|channel| channel.len()).min().unwrap_or(0);
        for start in (0..n).step_by(BLOCK) {
            let end = n.min(start + BLOCK);
            for (own, channel) in self.channels.iter_mut().zip(channels) {
                own.clear();
                own.extend_from_slice(&channel[start..end]);
            }
            self.take_block();
        }
    }

    fn take_block(&mut self) {
        for channel in &mut self.channels {
            if not_finite(channel).is_some() {
                for sample in channel.iter_mut().filter(|sample| !sample.is_finite()) {
                    *sample = 0.0;
                    self.n_invalid += 1;
                }
            }
        }
        self.mono.clear();
        match self.channels.as_slice() {
            [only] => self.mono.extend_from_slice(only),
            [left, right] => self.mono.extend(left.iter().zip(right).map(|(left, right)| (left + right) * 0.5)),
            [first, rest @ ..] => {
                self.mono.extend_from_slice(first);
                for channel in rest {
                    self.mono.iter_mut().zip(channel).for_each(|(sum, sample)| *sum += sample);
                }
                let scale = 1.0 / self.channels.len() as f32;
                self.mono.iter_mut().for_each(|sample| *sample *= scale);
            }
            [] => {}
        }
        self.n_samples += self.mono.len() as u64;
        if let Some(level) = &mut self.level {
            level.push(&self.channels);
        }
        if let Some(true_peak) = &mut self.true_peak {
            true_peak.push(&self.channels);
        }
        if let Some(loudness) = &mut self.loudness {
            loudness.push(&self.channels);
        }
        if let Some(noise) = &mut self.noise {
            noise.push(&self.mono);
        }
        if let Some(features) = &mut self.features {
            features.push(&self.mono);
        }
        if let Some(voice) = &mut self.voice {
            voice.push(&self.mono);
        }
        if self.options.keeps_tracks {
            self.outline.push(&self.mono);
        }
    }

    /// The analysis of all that came, and what it does over time.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the picture cannot be painted.
    pub fn finish(self) -> Result<(Analysis, Tracks)> {
        let asks = |field| self.options.fields.contains(&field);
        let mut analysis = Analysis {
            version: VERSION,
            duration_s: self.n_samples as f64 / f64::from(self.sample_rate),
            sample_rate: self.sample_rate,
            n_channels: self.channels.len(),
            n_invalid_samples: self.n_invalid,
            level: self.level.map(LevelMeter::finish),
            true_peak: self.true_peak.map(|meter| TruePeak { true_peak_dbtp: meter.finish() }),
            loudness: self.loudness.as_ref().filter(|_| asks(Field::Loudness)).map(LoudnessMeter::finish),
            noise: self.noise.as_ref().filter(|_| asks(Field::Noise)).map(NoiseMeter::noise),
            reverberation: self.noise.as_ref().filter(|_| asks(Field::Reverberation)).map(NoiseMeter::reverberation),
            ..Analysis::default()
        };
        let mut tracks = Tracks::default();
        if let Some(features) = self.features {
            let (frames, decibels) = features.finish(&mut analysis);
            tracks.frames = frames;
            if let Some(decibels) = decibels.filter(|_| self.options.keeps_tracks) {
                tracks.picture = picture::png(&decibels)?;
            }
        }
        if let Some(voice) = self.voice {
            let (frames, found) = voice.finish();
            analysis.pitch = asks(Field::Pitch).then(|| Pitch::of(&frames));
            analysis.voice = found;
            tracks.pitch = frames;
        }
        if self.options.keeps_tracks {
            tracks.outline = self.outline.points;
            tracks.loudness = self.loudness.as_ref().map(LoudnessMeter::track).unwrap_or_default();
        }
        Ok((analysis, tracks))
    }
}

impl VoicePart {
    fn new(sample_rate: u32, keeps_samples: bool) -> Result<Self> {
        let own_rate = sample_rate.min(PITCH_RATE);
        let hop_length = ((PITCH_HOP_S * f64::from(own_rate)).round() as usize).max(1);
        let options = Pyin {
            fmin_hz: PITCH_HZ.0,
            fmax_hz: PITCH_HZ.1.min(f64::from(own_rate) / 2.0),
            frame_length: (PITCH_FRAME_S * f64::from(own_rate)).round() as usize,
            hop_length,
        };
        Ok(Self {
            resampler: (own_rate != sample_rate).then(|| Resampler::new(sample_rate, own_rate)).transpose()?,
            sample_rate: own_rate,
            hop_length,
            tracker: PitchTracker::new(own_rate, &options)?,
            buffer: Vec::new(),
            kept: keeps_samples.then(Vec::new),
        })
    }

    fn push(&mut self, mono: &[f32]) {
        if let Some(resampler) = &mut self.resampler {
            self.buffer.clear();
            resampler.push(mono, &mut self.buffer);
            self.take_buffer();
        } else {
            self.buffer.clear();
            self.buffer.extend_from_slice(mono);
            self.take_buffer();
        }
    }

    fn take_buffer(&mut self) {
        self.tracker.push(&self.buffer);
        if let Some(kept) = &mut self.kept {
            let room = (MAX_VOICE_S * self.sample_rate as usize).saturating_sub(kept.len());
            kept.extend_from_slice(&self.buffer[..room.min(self.buffer.len())]);
        }
    }

    fn finish(mut self) -> (Vec<VoicedFrame>, Option<pitch::Voice>) {
        if let Some(resampler) = self.resampler.take() {
            self.buffer.clear();
            resampler.finish(&mut self.buffer);
            self.take_buffer();
        }
        let frames = self.tracker.finish();
        let hop_s = self.hop_length as f64 / f64::from(self.sample_rate);
        let voice = self.kept.map(|samples| {
            let n_frames = frames.len().min(1 + samples.len() / self.hop_length);
            let f0: Vec<Option<f64>> = frames[..n_frames].iter().map(|frame| frame.f0_hz).collect();
            pitch::voice(&samples, self.sample_rate, &f0, hop_s)
        });
        (frames, voice)
    }
}

/// The waveform's outline: parts are joined in pairs whenever there are too many.
struct Outline {
    points: Vec<(f32, f32)>,
    part: usize,
    n: usize,
    now: (f32, f32),
}

impl Outline {
    fn new() -> Self {
        Self { points: Vec::new(), part: 64, n: 0, now: (f32::MAX, f32::MIN) }
    }

    fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.now = (self.now.0.min(sample), self.now.1.max(sample));
            self.n += 1;
            if self.n == self.part {
                self.points.push(self.now);
                (self.n, self.now) = (0, (f32::MAX, f32::MIN));
                if self.points.len() == MAX_OUTLINE {
                    let pairs = self.points.chunks_exact(2);
                    self.points = pairs.map(|pair| (pair[0].0.min(pair[1].0), pair[0].1.max(pair[1].1))).collect();
                    self.part *= 2;
                }
            }
        }
    }
}
