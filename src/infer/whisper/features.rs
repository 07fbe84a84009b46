//! A recording as the model hears it, window by window, whether it lies in memory, is decoded from a file on the way, or
//! has not all been spoken yet.

use std::borrow::Cow;

use super::{model::Whisper, segments::Window};
use crate::{
    Result,
    audio::mel::{HOP_LENGTH, LogMelStream, N_FRAMES, SAMPLE_RATE},
};

/// Samples up to this size, the smallest step of 16 bits, are digital silence.
///
/// Differs from openai/whisper, which hears words in it.
const SILENCE: f32 = 1.0 / 32_768.0;
/// Frames that are read ahead of a window to know how loud the recording gets: 10 minutes.
///
/// Differs from openai/whisper, which reads all: longer recordings are measured by the loudest so far.
pub(super) const LOOKAHEAD: usize = 10 * 60 * 100;
/// Samples of a block that is cut from samples in memory: 30 s.
const BLOCK: usize = 480_000;

/// Where samples come from: mono, 16 kHz, in [-1, 1].
pub(super) enum Source<'a> {
    Samples(&'a [f32]),
    Blocks(Box<dyn Iterator<Item = Result<Vec<f32>>> + Send + 'a>),
}

impl<'a> Source<'a> {
    fn next(&mut self) -> Result<Option<Cow<'a, [f32]>>> {
        match self {
            Self::Samples([]) => Ok(None),
            Self::Samples(samples) => {
                let (block, rest) = samples.split_at(samples.len().min(BLOCK));
                *samples = rest;
                Ok(Some(Cow::Borrowed(block)))
            }
            Self::Blocks(blocks) => Ok(blocks.next().transpose()?.map(Cow::Owned)),
        }
    }
}

impl Iterator for Source<'_> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        Source::next(self).map(|block| block.map(Cow::into_owned)).transpose()
    }
}

/// The features of a recording, of which only what may still be needed is kept.
pub(super) struct Features<'a> {
    source: Source<'a>,
    stream: Option<LogMelStream>,
    n_mels: usize,
    /// Frames that are read ahead.
    lookahead: usize,
    /// Log power from frame `first` on, `[n_frames, n_mels]`, and whether each frame's samples are digital silence.
    power: Vec<f32>,
    is_silent: Vec<bool>,
    first: usize,
    /// The greatest log power so far.
    maximum: f32,
    n_samples: usize,
    /// Samples of the frame that is not full yet, and whether they are silent so far.
    n_partial: usize,
    is_partial_silent: bool,
}

/// One window's features.
#[derive(Debug)]
pub(super) struct Heard {
    pub window: Window,
    /// Dense `[n_mels, N_FRAMES]`, zero behind the content.
    pub mel: Vec<f32>,
    /// Whether there is nothing but digital silence in it.
    pub is_silent: bool,
}

impl<'a> Features<'a> {
    pub(super) fn new(source: Source<'a>, n_mels: usize, lookahead: usize) -> Result<Self> {
        Ok(Self {
            source,
            stream: Some(LogMelStream::new(n_mels)?),
            n_mels,
            lookahead: lookahead.max(N_FRAMES),
            power: Vec::new(),
            is_silent: Vec::new(),
            first: 0,
            maximum: f32::NEG_INFINITY,
            n_samples: 0,
            n_partial: 0,
            is_partial_silent: true,
        })
    }

    /// Length read so far, seconds; that of the recording once [`Self::window`] has found its end.
    pub(super) fn duration_s(&self) -> f64 {
        self.n_samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// Frames known so far, one for each 10 ms.
    pub(super) fn n_frames(&self) -> usize {
        self.n_samples / HOP_LENGTH
    }

    /// The window from frame `seek` to `end` at most, computed on the model's threads; `None` behind the end. What lies
    /// before it is forgotten.
    pub(super) fn window(&mut self, seek: usize, end: usize, model: &Whisper) -> Result<Option<Heard>> {
        self.window_on(seek, end, |work| model.install(work))
    }

    fn window_on(&mut self, seek: usize, end: usize, run: impl Fn(&mut (dyn FnMut() + Send))) -> Result<Option<Heard>> {
        // The last frames wait for samples behind them.
        while self.stream.is_some() && self.n_frames() < seek + self.lookahead + 2 {
            self.read(&run)?;
        }
        self.forget(seek);
        let n_frames = self.n_frames().min(end).saturating_sub(seek).min(N_FRAMES);
        if n_frames == 0 {
            return Ok(None);
        }
        let lowest = self.maximum - 8.0;
        let mut mel = vec![0.0; self.n_mels * N_FRAMES];
        for (frame, power) in self.power.chunks_exact(self.n_mels).take(n_frames).enumerate() {
            for (band, value) in power.iter().enumerate() {
                mel[band * N_FRAMES + frame] = (value.max(lowest) + 4.0) / 4.0;
            }
        }
        let is_silent = self.is_silent.iter().take(n_frames).all(|is_silent| *is_silent);
        Ok(Some(Heard { window: Window { seek, n_frames }, mel, is_silent }))
    }

    fn read(&mut self, run: &impl Fn(&mut (dyn FnMut() + Send))) -> Result<()> {
        let n_before = self.power.len();
        if let Some(block) = self.source.next()? {
            let block = finite(block);
            self.n_samples += block.len();
            self.hear_silence(&block);
            if let Some(stream) = &mut self.stream {
                let power = &mut self.power;
                run(&mut || stream.push(&block, power));
            }
        } else {
            let (mut ended, power) = (self.stream.take(), &mut self.power);
            run(&mut || {
                if let Some(stream) = ended.take() {
                    stream.finish(power);
                }
            });
        }
        self.maximum = self.power[n_before..].iter().copied().fold(self.maximum, f32::max);
        Ok(())
    }

    fn hear_silence(&mut self, mut samples: &[f32]) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(HOP_LENGTH - self.n_partial));
            self.n_partial += now.len();
            self.is_partial_silent &= now.iter().all(|sample| sample.abs() <= SILENCE);
            if self.n_partial == HOP_LENGTH {
                self.is_silent.push(self.is_partial_silent);
                (self.n_partial, self.is_partial_silent) = (0, true);
            }
            samples = later;
        }
    }

    fn forget(&mut self, before: usize) {
        let n = before.saturating_sub(self.first).min(self.is_silent.len());
        self.is_silent.drain(..n);
        self.power.drain(..(n * self.n_mels).min(self.power.len()));
        self.first += n;
    }
}

/// The samples, with silence in place of values that are not numbers.
fn finite(samples: Cow<'_, [f32]>) -> Cow<'_, [f32]> {
    if samples.iter().all(|sample| sample.is_finite()) {
        return samples;
    }
    samples.iter().map(|&sample| if sample.is_finite() { sample } else { 0.0 }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::audio::mel::{N_SAMPLES, log_mel};

    fn sound(n_samples: usize) -> Vec<f32> {
        (0..n_samples).map(|n| (n as f32 * 0.05).sin() * 0.3 + (n as f32 * 0.37).sin() * 0.1).collect()
    }

    #[test]
    fn windows_are_those_of_the_whole_recordings_features() {
        let samples = sound(700_123);
        let whole = log_mel(&samples, 80, N_SAMPLES).unwrap();
        let blocks = samples.chunks(9_999).map(|block| Ok(block.to_vec()));
        for source in [Source::Samples(&samples), Source::Blocks(Box::new(blocks))] {
            let mut features = Features::new(source, 80, LOOKAHEAD).unwrap();
            for seek in [0, 1_001, 3_500, 4_374] {
                let Heard { window, mel, is_silent } =
                    features.window_on(seek, usize::MAX, |work| work()).unwrap().unwrap();
                assert_eq!(window.n_frames, (700_123 / 160 - seek).min(N_FRAMES));
                assert!(!is_silent);
                for (index, value) in mel.iter().enumerate() {
                    let (band, frame) = (index / N_FRAMES, index % N_FRAMES);
                    let want = if frame < window.n_frames { whole[[band, seek + frame]] } else { 0.0 };
                    assert!((value - want).abs() < 1e-6, "band {band}, frame {frame} of the window at {seek}");
                }
            }
            assert!(features.window_on(4_375, usize::MAX, |work| work()).unwrap().is_none());
            assert!((features.duration_s() - 700_123.0 / 16_000.0).abs() < 1e-9);
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_recording() {
        let block = sound(160_000);
        let blocks = std::iter::repeat_n(block, 60).map(Ok); // 10 minutes
        let mut features = Features::new(Source::Blocks(Box::new(blocks)), 80, N_FRAMES).unwrap();
        let (mut seek, mut largest) = (0, 0);
        while let Some(heard) = features.window_on(seek, usize::MAX, |work| work()).unwrap() {
            seek += heard.window.n_frames;
            largest = largest.max(features.power.len());
        }
        assert_eq!(seek, 60_000);
        assert!(largest <= 80 * (N_FRAMES + 1_001), "{largest} values");
    }

    #[test]
    fn silence_is_told_from_sound_and_errors_are_passed_on() {
        let mut samples = vec![f32::NAN; 480_000];
        samples.extend(vec![0.5; 16_000]);
        let mut features = Features::new(Source::Samples(&samples), 80, LOOKAHEAD).unwrap();
        assert!(features.window_on(0, usize::MAX, |work| work()).unwrap().unwrap().is_silent);
        assert!(!features.window_on(3_000, usize::MAX, |work| work()).unwrap().unwrap().is_silent);
        let blocks = [Ok(vec![0.0; 100]), Err(crate::Error::Cancelled)];
        let mut features = Features::new(Source::Blocks(Box::new(blocks.into_iter())), 80, LOOKAHEAD).unwrap();
        assert!(features.window_on(0, usize::MAX, |work| work()).is_err());
    }
}
