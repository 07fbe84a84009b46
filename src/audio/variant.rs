//! A recording as one listener gets it: the same words, at other times.
//!
//! Two listeners who hear different variants of a recording cannot share what they say about times. The change is small
//! enough that recognizers do not mind: a fifth of a second of silence before it, or 20 ms less; up to 3 dB less; noise
//! 80 dB below full scale; up to 3 % more or less speed.
//!
//! The speed is changed by resampling, so the pitch moves with it, by half a semitone at most: no more than one speaker
//! does from one sentence to the next, and a third of what recognizers are trained with (Ko et al., "Audio augmentation
//! for speech recognition", Interspeech 2015: 10 %). Stretching without a change of pitch would cut speech into pieces and
//! join them, which is heard.

use std::io::{Read, Seek};

use super::encode::{EncodeOptions, Format, SampleType, Sink, encoder};
use super::random::uniform;
use super::{Blocks, Limits, Options};
use crate::Result;

/// Sample rate of every variant, Hz: what recognizers hear.
const SAMPLE_RATE: u32 = 16_000;
/// Step between speeds, Hz of the rate at which the recording is taken: a quarter of a per cent, and the resampler's
/// transforms stay short.
const RATE_STEP: u32 = 40;
/// Number of speeds: from 2.8 % faster to 2.9 % slower.
const N_RATES: u64 = 24;
/// Lowest of those rates, Hz.
const MIN_RATE: u32 = SAMPLE_RATE - 11 * RATE_STEP;
/// Most that is cut from the beginning, samples: 20 ms.
const MAX_CUT: u64 = 320;
/// Most silence before the beginning, samples: 200 ms.
const MAX_LEAD: u64 = 3_200;
/// Most that it is made quieter by, dB. It is not made louder: nothing may clip.
const MAX_ATTENUATION_DB: f64 = 3.0;
/// Sum of two uniform numbers in [-0.5, 0.5) to noise of -80 dBFS: its root mean square is 1 / sqrt(6).
const NOISE: f32 = 2.449_489_7e-4;

/// How one listener hears a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Samples of silence before it; below 0, samples of its beginning that are not there.
    lead: i32,
    /// Rate at which the recording is taken, Hz, before it is played at [`SAMPLE_RATE`].
    rate: u32,
    gain: f32,
    noise: u64,
}

impl Variant {
    /// The variant of these random bytes: the same bytes, the same variant.
    #[must_use]
    pub fn of(bytes: &[u8; 32]) -> Self {
        let [lead, rate, gain, noise] = [0, 8, 16, 24].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        });
        let quieter_db = MAX_ATTENUATION_DB * (gain >> 11) as f64 / (1_u64 << 53) as f64;
        Self {
            lead: (lead % (MAX_CUT + MAX_LEAD + 1)) as i32 - MAX_CUT as i32,
            rate: MIN_RATE + (rate % N_RATES) as u32 * RATE_STEP,
            gain: libm::pow(10.0, -quieter_db / 20.0) as f32,
            noise,
        }
    }

    /// Silence before the recording, seconds; below 0, what is cut of it.
    #[must_use]
    pub fn lead_s(&self) -> f64 {
        f64::from(self.lead) / f64::from(SAMPLE_RATE)
    }

    /// How fast the recording is played: 1 is its own speed.
    #[must_use]
    pub fn speed(&self) -> f64 {
        f64::from(SAMPLE_RATE) / f64::from(self.rate)
    }

    /// Writes the variant of the audio in `reader` to `sink` as FLAC, mono, 16 kHz, 16 bits; returns its length in
    /// seconds. Neither is ever in memory as a whole. `name` stands for the input in errors.
    ///
    /// # Errors
    ///
    /// As [`Blocks::from_reader`] and [`super::Encoder::write`].
    pub fn render(
        &self,
        reader: impl Read + Seek + Send + Sync,
        name: &str,
        sink: impl Sink,
        limits: &Limits,
    ) -> Result<f64> {
        let blocks = Blocks::from_reader(reader, name, &Options::mono(Some(self.rate), limits))?;
        let flac = EncodeOptions {
            format: Format::Flac,
            sample_type: SampleType::I16,
            // The noise is there already.
            dither: None,
            ..EncodeOptions::default()
        };
        let mut encoder = encoder(sink, "the variant", SAMPLE_RATE, 1, &flac)?;
        let mut state = self.noise;
        let mut noise = || NOISE * (uniform(&mut state) + uniform(&mut state));
        let lead: Vec<f32> = (0..self.lead).map(|_| noise()).collect();
        let (mut n_samples, mut to_cut) = (lead.len(), usize::try_from(-self.lead).unwrap_or(0));
        encoder.write(&lead)?;
        for block in blocks {
            let mut block = block?;
            let n_cut = to_cut.min(block.len());
            to_cut -= n_cut;
            block.drain(..n_cut);
            for sample in &mut block {
                *sample = self.gain * *sample + noise();
            }
            n_samples += block.len();
            encoder.write(&block)?;
        }
        if n_samples == 0 {
            // All of a very short recording was cut, and a file without samples is no audio.
            encoder.write(&[noise()])?;
            n_samples = 1;
        }
        encoder.finish()?;
        Ok(n_samples as f64 / f64::from(SAMPLE_RATE))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::audio::{self, Waveform};

    fn bytes(seed: u8) -> [u8; 32] {
        std::array::from_fn(|at| (u32::from(seed) * 97 + at as u32 * 61 + 13) as u8)
    }

    fn variant(lead: i32, rate: u32) -> Variant {
        Variant { lead, rate, gain: 0.8, noise: 7 }
    }

    /// Clicks at these times, seconds, as a WAV file of 4 s at 44.1 kHz.
    fn clicks(times: &[f64]) -> Vec<u8> {
        let mut samples = vec![0.0; 4 * 44_100];
        for time in times {
            samples[(time * 44_100.0) as usize] = 0.9;
        }
        audio::encode(&samples, 44_100, 1, &EncodeOptions::default()).unwrap()
    }

    fn rendered(variant: &Variant, file: &[u8]) -> (Vec<u8>, f64) {
        let mut bytes = Cursor::new(Vec::new());
        let seconds = variant.render(Cursor::new(file), "clicks", &mut bytes, &Limits::default()).unwrap();
        (bytes.into_inner(), seconds)
    }

    fn heard(file: &[u8]) -> Waveform {
        audio::decode(Cursor::new(file), "a file", Some(SAMPLE_RATE), &Limits::default()).unwrap().waveform
    }

    #[test]
    fn a_click_is_heard_where_the_variant_says() {
        let file = clicks(&[1.0, 3.0]);
        for (lead, rate) in [(3_200, 15_560), (-320, 16_480), (0, 16_000), (777, 16_040)] {
            let variant = variant(lead, rate);
            let (bytes, seconds) = rendered(&variant, &file);
            let waveform = heard(&bytes);
            assert!((waveform.n_samples() as f64 / 16_000.0 - seconds).abs() < 1e-9);
            let expected_s = 4.0 / variant.speed() + variant.lead_s();
            assert!((seconds - expected_s).abs() < 1e-3, "{seconds} {expected_s}");
            for at_s in [1.0, 3.0] {
                let near = ((at_s / variant.speed() + variant.lead_s()) * 16_000.0).round() as usize;
                let window = &waveform.samples()[near - 200..near + 200];
                let loudest = (0..400).max_by(|&a, &b| window[a].abs().total_cmp(&window[b].abs())).unwrap();
                assert!(loudest.abs_diff(200) <= 1, "{lead} {rate}: {loudest}");
            }
        }
    }

    #[test]
    fn the_rest_is_noise_80_db_below_full_scale() {
        let (bytes, _) = rendered(&variant(0, 16_000), &clicks(&[]));
        let samples = heard(&bytes);
        let power = samples.samples().iter().map(|s| f64::from(s * s)).sum::<f64>() / samples.n_samples() as f64;
        // Rounding to 16 bits adds a twelfth of a step squared.
        assert!((10.0 * power.log10() + 80.0).abs() < 0.2, "{} dBFS", 10.0 * power.log10());
    }

    #[test]
    fn the_same_bytes_give_the_same_file_and_others_another() {
        let file = clicks(&[0.5]);
        let files: Vec<_> = (0..4).map(|seed| rendered(&Variant::of(&bytes(seed)), &file).0).collect();
        assert_eq!(files[0], rendered(&Variant::of(&bytes(0)), &file).0);
        assert!((1..4).all(|other| files[other] != files[0]));
    }

    #[test]
    fn what_is_drawn_stays_within_what_is_said() {
        for seed in 0..=255 {
            let drawn = Variant::of(&bytes(seed));
            assert!((-0.02..=0.2).contains(&drawn.lead_s()), "{drawn:?}");
            assert!((0.97..=1.03).contains(&drawn.speed()), "{drawn:?}");
            assert!((0.707..=1.0).contains(&drawn.gain), "{drawn:?}");
        }
    }

    #[test]
    fn a_recording_shorter_than_the_cut_is_still_a_file() {
        let file = audio::encode(&[0.5; 10], 16_000, 1, &EncodeOptions::default()).unwrap();
        let (bytes, seconds) = rendered(&variant(-320, 16_000), &file);
        assert_eq!((heard(&bytes).n_samples(), seconds), (1, 1.0 / 16_000.0));
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        let refused =
            variant(0, 16_000).render(Cursor::new(b"no audio"), "x", Cursor::new(Vec::new()), &Limits::default());
        assert!(refused.is_err());
    }
}
