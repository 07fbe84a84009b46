//! The whole network: symbols to samples.

use super::{
    decoder::{Decoder, Memory},
    duration::DurationPredictor,
    encoder::TextEncoder,
    flow::Flow,
    noise::Noise,
    weights::Tensors,
};
use crate::{
    Error, Result,
    infer::{mos::Spare, weights::Checkpoint},
};

/// The longest sentence, seconds: one of a thousand letters lasts about 80, at the slowest speed 320.
const MAX_SENTENCE_S: f64 = 600.0;

/// The network in memory. Any number of threads may share it.
#[derive(Debug)]
pub(super) struct Vits {
    encoder: TextEncoder,
    durations: DurationPredictor,
    flow: Flow,
    decoder: Decoder,
    speakers: Option<Speakers>,
    spare: Spare<Memory>,
}

/// The vectors of the speakers.
#[derive(Debug)]
struct Speakers {
    /// `[n, size]`.
    vectors: Vec<f32>,
    size: usize,
}

/// How symbols are said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Of the noise; `part` gives it a stream of its own.
    pub seed: u64,
    pub part: u64,
    /// How much the voice varies.
    pub noise_scale: f32,
    /// How much the lengths of symbols vary.
    pub noise_w: f32,
    /// How long symbols are by themselves, and how fast all is said then.
    pub length_scale: f64,
    pub speed: f64,
    pub speaker: usize,
}

impl Vits {
    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let tensors = Tensors::new(checkpoint)?;
        let speakers = match tensors.shape("embed_speaker.weight") {
            Some(&[n, size]) if n * size > 0 => {
                Some(Speakers { vectors: tensors.values("embed_speaker.weight", &[n, size])?, size })
            }
            _ => None,
        };
        let size = speakers.as_ref().map(|speakers| speakers.size);
        let encoder = TextEncoder::load(&tensors)?;
        Ok(Self {
            durations: DurationPredictor::load(&tensors, encoder.hidden(), size)?,
            flow: Flow::load(&tensors, encoder.flow_size(), size)?,
            decoder: Decoder::load(&tensors, encoder.flow_size(), size)?,
            encoder,
            speakers,
            spare: Spare::default(),
        })
    }

    /// Symbols that it knows.
    pub(super) fn n_symbols(&self) -> usize {
        self.encoder.n_symbols()
    }

    /// How many speakers there are; 1 where they are not told apart.
    pub(super) fn n_speakers(&self) -> usize {
        self.speakers.as_ref().map_or(1, |speakers| speakers.vectors.len() / speakers.size)
    }

    /// Samples of a frame.
    pub(super) fn hop_length(&self) -> usize {
        self.decoder.hop_length
    }

    /// Says symbols, each below [`Self::n_symbols`]; the samples and how many frames each symbol lasts. The threads of
    /// the current rayon pool share the work; their number does not change a bit.
    ///
    /// # Errors
    /// [`Error::TooLong`] beyond ten minutes.
    pub(super) fn speak(&self, symbols: &[usize], manner: &Manner, sample_rate: u32) -> Result<(Vec<f32>, Vec<usize>)> {
        let size = self.encoder.flow_size();
        let speaker = self.speakers.as_ref();
        let speaker = speaker.map(|all| &all.vectors[manner.speaker * all.size..][..all.size]);
        let mut noise = Noise::new(manner.seed, manner.part);
        let encoded = self.encoder.forward(symbols);
        let durations = self.durations.forward(&encoded.hidden, speaker, &mut noise, manner.noise_w);
        let lengths: Vec<f64> = durations.iter().map(|frames| (frames * manner.length_scale).ceil()).collect();
        let (sum, hop_length) = (lengths.iter().sum::<f64>() / manner.speed, self.decoder.hop_length);
        let seconds = sum * hop_length as f64 / f64::from(sample_rate);
        if seconds.is_nan() || seconds > MAX_SENTENCE_S {
            return Err(Error::TooLong { got_s: seconds, limit_s: MAX_SENTENCE_S });
        }
        let frames = frames(&lengths, manner.speed);
        let mut latents = Vec::with_capacity(sum as usize * size);
        for (prior, &n) in encoded.prior.chunks_exact(2 * size).zip(&frames) {
            let (means, deviations) = prior.split_at(size);
            let deviations: Vec<f32> = deviations.iter().map(|log| log.exp() * manner.noise_scale).collect();
            for _ in 0..n {
                latents.extend(means.iter().zip(&deviations).map(|(mean, deviation)| mean + noise.next() * deviation));
            }
        }
        self.flow.undo(&mut latents, speaker);
        let mut samples = Vec::with_capacity(latents.len() / size * hop_length);
        self.spare.with(|memory| {
            self.decoder.forward(&latents, speaker, memory, |piece| {
                samples.extend_from_slice(piece);
                Ok(())
            })
        })?;
        Ok((samples, frames))
    }
}

/// The frames of symbols with these lengths, at a speed: their ends are rounded, so that the speed is exact even where
/// single symbols are shorter than a frame. At least one in all.
///
/// Differs from VITS, which multiplies the lengths before they are rounded up: at four times the speed every symbol would
/// still last a frame.
fn frames(lengths: &[f64], speed: f64) -> Vec<usize> {
    let (mut sum, mut end) = (0.0, 0);
    let frames = lengths.iter().map(|length| {
        sum += length / speed;
        let start = std::mem::replace(&mut end, sum.round() as usize);
        end - start
    });
    let mut frames: Vec<usize> = frames.collect();
    if let Some(last) = frames.last_mut().filter(|_| end == 0) {
        *last = 1;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::frames;

    #[test]
    fn frames_follow_the_speed() {
        assert_eq!(frames(&[3.0, 1.0, 2.0], 1.0), [3, 1, 2]);
        assert_eq!(frames(&[3.0, 1.0, 2.0], 0.5), [6, 2, 4]);
        assert_eq!(frames(&[1.0; 8], 4.0), [0, 1, 0, 0, 0, 1, 0, 0]);
        assert_eq!(frames(&[1.0], 4.0), [1]);
    }
}
