//! One recording made into another whose words are the same: noise, rooms, speed, codecs, levels and silence.

use std::io::Cursor;

use realfft::RealFftPlanner;

use super::random::{normal, uniform};
use super::{EncodeOptions, Format, Limits, Waveform, decode, encode, resample};
use crate::{Error, Result};

/// Longest recording that is augmented, seconds, and longest result.
pub const MAX_AUGMENTED_S: f64 = 600.0;

/// Energy of a room's reverberation against the direct sound: -6 dB, a few metres from the speaker.
const REVERBERANT_SHARE: f64 = 0.25;

/// A room answers first after this time, seconds: a wall one metre away.
const FIRST_REFLECTION_S: f64 = 0.006;

/// Level of what stands for silence, below full scale: recordings have a floor.
const FLOOR_DB: f64 = -70.0;

/// Sample rate of a telephone, Hz, and its companding (ITU-T G.711, mu-law).
const TELEPHONE_HZ: u32 = 8_000;
const MU: f64 = 255.0;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Augmentation {
    /// White noise at this signal-to-noise ratio, dB, over the whole recording.
    Noise(f64),
    /// Noise as loud at every octave (pink), at this signal-to-noise ratio, dB.
    PinkNoise(f64),
    /// A room whose sound falls by 60 dB in this time, seconds.
    Reverberation(f64),
    /// Played this many times as fast, pitch included.
    Speed(f64),
    /// Through Opus at this many bits a second.
    Opus(f64),
    /// Through MP3 at this many bits a second.
    Mp3(f64),
    /// Through a telephone: 8 kHz, 8 bits; the number is how many times in a row.
    Telephone(f64),
    /// Louder by this, dB; what would clip makes the whole softer.
    Gain(f64),
    /// This many seconds of a quiet room before it.
    SilenceBefore(f64),
    /// This many seconds of a quiet room after it.
    SilenceAfter(f64),
}

/// A name, what it makes of a value, and the value's least and greatest.
type Named = (&'static str, fn(f64) -> Augmentation, f64, f64);

/// Every change that has a name.
const NAMES: [Named; 10] = [
    ("noise", Augmentation::Noise, -20.0, 80.0),
    ("pink_noise", Augmentation::PinkNoise, -20.0, 80.0),
    ("reverberation", Augmentation::Reverberation, 0.05, 3.0),
    ("speed", Augmentation::Speed, 0.5, 2.0),
    ("opus", Augmentation::Opus, 6_000.0, 128_000.0),
    ("mp3", Augmentation::Mp3, 8_000.0, 320_000.0),
    ("telephone", Augmentation::Telephone, 1.0, 4.0),
    ("gain", Augmentation::Gain, -60.0, 60.0),
    ("silence_before", Augmentation::SilenceBefore, 0.0, 60.0),
    ("silence_after", Augmentation::SilenceAfter, 0.0, 60.0),
];

impl Augmentation {
    /// The change of this name (`noise`, `pink_noise`, `reverberation`, `speed`, `opus`, `mp3`, `telephone`, `gain`,
    /// `silence_before`, `silence_after`) and value.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an unknown name, or a value out of its range.
    pub fn named(name: &str, value: f64) -> Result<Self> {
        let Some((_, make, low, high)) = NAMES.iter().find(|(known, ..)| *known == name) else {
            let known = NAMES.map(|(known, ..)| known).join(", ");
            return Err(Error::InvalidInput(format!("no augmentation {name:?}; expected one of {known}")));
        };
        if !(*low..=*high).contains(&value) {
            return Err(Error::InvalidInput(format!("{name} is {value}; expected {low} to {high}")));
        }
        Ok(make(value))
    }
}

/// The recording after these changes, one after the other, at its own sample rate. The same `seed` gives the same bits.
///
/// Where a sample would be beyond full scale, the whole is made softer until none is.
///
/// # Errors
///
/// [`Error::TooLong`] above [`MAX_AUGMENTED_S`]; [`Error::InvalidInput`] for noise on a recording that is digital silence,
/// or a sample rate that a codec cannot have.
pub fn augment(waveform: &Waveform, steps: &[Augmentation], seed: u64) -> Result<Waveform> {
    let mut state = seed ^ 0x5851_f42d_4c95_7f2d;
    let mut current = waveform.clone();
    for step in steps {
        check_length(&current)?;
        current = apply(current, *step, &mut state)?;
    }
    check_length(&current)?;
    let sample_rate = current.sample_rate();
    let mut samples = current.into_samples();
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    if peak > 1.0 {
        for sample in &mut samples {
            *sample /= peak;
        }
    }
    Waveform::from_samples(samples, sample_rate)
}

fn check_length(waveform: &Waveform) -> Result<()> {
    let got_s = waveform.duration_s();
    if got_s > MAX_AUGMENTED_S { Err(Error::TooLong { got_s, limit_s: MAX_AUGMENTED_S }) } else { Ok(()) }
}

fn apply(waveform: Waveform, step: Augmentation, state: &mut u64) -> Result<Waveform> {
    let sample_rate = waveform.sample_rate();
    let samples = match step {
        Augmentation::Noise(snr_db) => {
            let noise = (0..waveform.n_samples()).map(|_| normal(state)).collect();
            with_noise(waveform.into_samples(), noise, snr_db)?
        }
        Augmentation::PinkNoise(snr_db) => {
            let noise = pink(waveform.n_samples(), state);
            with_noise(waveform.into_samples(), noise, snr_db)?
        }
        Augmentation::Reverberation(rt60_s) => in_a_room(waveform.samples(), sample_rate, rt60_s, state),
        Augmentation::Speed(factor) => return at_speed(&waveform, factor),
        Augmentation::Opus(bit_rate) => return through(&waveform, Format::Opus, bit_rate),
        Augmentation::Mp3(bit_rate) => return through(&waveform, Format::Mp3, bit_rate),
        Augmentation::Telephone(times) => return by_telephone(waveform, times.round() as u32),
        Augmentation::Gain(db) => {
            let factor = decibels(db) as f32;
            waveform.into_samples().into_iter().map(|sample| sample * factor).collect()
        }
        Augmentation::SilenceBefore(seconds) => {
            let mut samples = floor(seconds, sample_rate, state);
            samples.extend_from_slice(waveform.samples());
            samples
        }
        Augmentation::SilenceAfter(seconds) => {
            let mut samples = waveform.into_samples();
            samples.extend(floor(seconds, sample_rate, state));
            samples
        }
    };
    Waveform::from_samples(samples, sample_rate)
}

/// An amplitude of this many dB.
fn decibels(db: f64) -> f64 {
    libm::pow(10.0, db / 20.0)
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum()
}

fn floor(seconds: f64, sample_rate: u32, state: &mut u64) -> Vec<f32> {
    let n_samples = (seconds * f64::from(sample_rate)).round() as usize;
    let level = decibels(FLOOR_DB) as f32;
    (0..n_samples).map(|_| level * normal(state)).collect()
}

/// The sum of the two, the noise scaled so that the ratio of their energies is exactly this.
fn with_noise(mut samples: Vec<f32>, noise: Vec<f32>, snr_db: f64) -> Result<Vec<f32>> {
    let signal = energy(&samples);
    if signal <= 0.0 {
        let message = "the recording is digital silence; noise at a signal-to-noise ratio needs a signal";
        return Err(Error::InvalidInput(message.to_owned()));
    }
    let factor = ((signal / energy(&noise).max(f64::MIN_POSITIVE)).sqrt() / decibels(snr_db)) as f32;
    samples.iter_mut().zip(noise).for_each(|(sample, noise)| *sample += factor * noise);
    Ok(samples)
}

/// The recording with another one behind it, from its beginning and again where it is shorter, at this signal-to-noise
/// ratio, dB, over the whole. Not made softer: [`augment`] does that.
///
/// # Errors
///
/// [`Error::InvalidInput`] for recordings of two sample rates, one that is digital silence, or a ratio that
/// [`Augmentation::Noise`] does not take.
pub fn behind(waveform: &Waveform, other: &Waveform, snr_db: f64) -> Result<Waveform> {
    let (sample_rate, n_samples) = (waveform.sample_rate(), waveform.n_samples());
    Augmentation::named("noise", snr_db)?;
    if other.sample_rate() != sample_rate {
        let message = format!("what is behind has {} Hz; the recording {sample_rate}", other.sample_rate());
        return Err(Error::InvalidInput(message));
    }
    let noise: Vec<f32> = other.samples().iter().copied().cycle().take(n_samples).collect();
    if energy(&noise) <= 0.0 {
        return Err(Error::InvalidInput("what is behind the recording is digital silence".to_owned()));
    }
    Waveform::from_samples(with_noise(waveform.samples().to_vec(), noise, snr_db)?, sample_rate)
}

/// Noise whose power falls by 3 dB an octave. Source: Paul Kellet's filter ("pk3"), within 0.05 dB above 9 Hz at 44.1 kHz.
fn pink(n_samples: usize, state: &mut u64) -> Vec<f32> {
    let mut kept = [0.0_f32; 6];
    let poles = [0.99886, 0.99332, 0.96900, 0.86650, 0.55000, -0.7616];
    let gains = [0.055_517_9, 0.075_075_9, 0.153_852, 0.310_485_6, 0.532_952_2, -0.016_898];
    let mut delayed = 0.0;
    let mut next = || {
        let white = uniform(state);
        for ((kept, pole), gain) in kept.iter_mut().zip(poles).zip(gains) {
            *kept = pole * *kept + gain * white;
        }
        let sum = kept.iter().sum::<f32>() + delayed + 0.5362 * white;
        delayed = 0.115_926 * white;
        sum
    };
    (0..n_samples).map(|_| next()).collect()
}

/// The direct sound, and noise that dies away after it: what a room of many walls sums up to (Polack, 1988).
fn in_a_room(samples: &[f32], sample_rate: u32, rt60_s: f64, state: &mut u64) -> Vec<f32> {
    let rate = f64::from(sample_rate);
    let (first, n_tail) = ((FIRST_REFLECTION_S * rate) as usize, (rt60_s * rate) as usize);
    let mut response: Vec<f32> =
        (0..n_tail.max(first + 1))
            .map(|at| {
                if at < first {
                    0.0
                } else {
                    normal(state) * libm::pow(10.0, -3.0 * at as f64 / (rt60_s * rate)) as f32
                }
            })
            .collect();
    let factor = (REVERBERANT_SHARE / energy(&response).max(f64::MIN_POSITIVE)).sqrt() as f32;
    for sample in &mut response {
        *sample *= factor;
    }
    response[0] = 1.0;
    convolved(samples, &response)
}

/// The convolution, as long as `samples`.
fn convolved(samples: &[f32], response: &[f32]) -> Vec<f32> {
    let n_fft = (samples.len() + response.len()).next_power_of_two().max(2);
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, backward) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
    let spectrum = |of: &[f32]| {
        let mut padded = of.to_vec();
        padded.resize(n_fft, 0.0);
        let mut spectrum = forward.make_output_vec();
        // Fails only for buffers of other lengths than its own.
        let _ = forward.process(&mut padded, &mut spectrum);
        spectrum
    };
    let mut product = spectrum(samples);
    product.iter_mut().zip(spectrum(response)).for_each(|(a, b)| *a *= b);
    // The ends of a real signal's spectrum are real; rounding must not say otherwise.
    product[0].im = 0.0;
    if let Some(last) = product.last_mut() {
        last.im = 0.0;
    }
    let mut found = backward.make_output_vec();
    let _ = backward.process(&mut product, &mut found);
    found.truncate(samples.len());
    for sample in &mut found {
        *sample /= n_fft as f32;
    }
    found
}

fn at_speed(waveform: &Waveform, factor: f64) -> Result<Waveform> {
    let sample_rate = waveform.sample_rate();
    let faster = (f64::from(sample_rate) * factor).round() as u32;
    let played = Waveform::from_samples(waveform.samples().to_vec(), faster)?;
    resample(&played, sample_rate)
}

fn through(waveform: &Waveform, format: Format, bit_rate: f64) -> Result<Waveform> {
    let options = EncodeOptions { format, bit_rate: Some(bit_rate as u32), ..EncodeOptions::default() };
    let file = encode(waveform.samples(), waveform.sample_rate(), 1, &options)?;
    let decoded = decode(Cursor::new(file), "augmented audio", Some(waveform.sample_rate()), &Limits::default())?;
    let mut samples = decoded.waveform.into_samples();
    // Codecs work in frames; the words' times must not move, nor the length.
    samples.resize(waveform.n_samples(), 0.0);
    Waveform::from_samples(samples, waveform.sample_rate())
}

fn by_telephone(waveform: Waveform, times: u32) -> Result<Waveform> {
    let (sample_rate, n_samples) = (waveform.sample_rate(), waveform.n_samples());
    let mut current = waveform;
    for _ in 0..times {
        let narrow = resample(&current, TELEPHONE_HZ)?;
        let coded = narrow.into_samples().into_iter().map(|sample| companded(f64::from(sample)) as f32).collect();
        current = resample(&Waveform::from_samples(coded, TELEPHONE_HZ)?, sample_rate)?;
    }
    let mut samples = current.into_samples();
    samples.resize(n_samples, 0.0);
    Waveform::from_samples(samples, sample_rate)
}

/// A sample after 8 bits of mu-law.
fn companded(sample: f64) -> f64 {
    let compressed = libm::log1p(MU * sample.abs().min(1.0)) / libm::log1p(MU);
    let level = (compressed * 127.0).round() / 127.0;
    (libm::expm1(level * libm::log1p(MU)) / MU).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 16_000;

    fn tone(seconds: f64, hz: f64) -> Waveform {
        let n = (seconds * f64::from(RATE)) as usize;
        let sample = |at: usize| (0.3 * (std::f64::consts::TAU * hz * at as f64 / f64::from(RATE)).sin()) as f32;
        Waveform::from_samples((0..n).map(sample).collect(), RATE).unwrap()
    }

    fn with(name: &str, value: f64) -> Waveform {
        augment(&tone(1.0, 440.0), &[Augmentation::named(name, value).unwrap()], 7).unwrap()
    }

    /// The level of one frequency, as a share of the tone's own.
    fn level(waveform: &Waveform, hz: f64) -> f64 {
        let step = std::f64::consts::TAU * hz / f64::from(RATE);
        let sum = |of: fn(f64) -> f64| -> f64 {
            waveform.samples().iter().enumerate().map(|(at, s)| f64::from(*s) * of(step * at as f64)).sum()
        };
        2.0 * sum(f64::sin).hypot(sum(f64::cos)) / waveform.n_samples() as f64 / 0.3
    }

    #[test]
    fn noise_has_the_ratio_that_was_asked_for() {
        for (name, snr_db) in [("noise", 10.0), ("noise", -5.0), ("pink_noise", 3.0)] {
            // Soft enough for noise above it.
            let clean = with("gain", -20.0);
            let noisy = augment(&clean, &[Augmentation::named(name, snr_db).unwrap()], 3).unwrap();
            let rest: Vec<f32> = noisy.samples().iter().zip(clean.samples()).map(|(a, b)| a - b).collect();
            let found = 10.0 * (energy(clean.samples()) / energy(&rest)).log10();
            assert!((found - snr_db).abs() < 0.01, "{name} {snr_db}: {found}");
        }
    }

    #[test]
    fn what_is_behind_has_the_ratio_that_was_asked_for_and_repeats() {
        let (speech, other) = (tone(1.0, 440.0), tone(0.25, 1_000.0));
        let mixed = behind(&speech, &other, 20.0).unwrap();
        // A tenth of the amplitude, for all of the time; a quarter of a second is a whole number of periods.
        assert!((level(&mixed, 1_000.0) - 0.1).abs() < 1e-3 && (level(&mixed, 440.0) - 1.0).abs() < 1e-3);
        assert_eq!(mixed.n_samples(), speech.n_samples());
        let silent = Waveform::from_samples(vec![0.0; 100], RATE).unwrap();
        assert!(behind(&speech, &silent, 20.0).is_err() && behind(&silent, &speech, 20.0).is_err());
        assert!(behind(&speech, &Waveform::from_samples(vec![0.1; 9], 8_000).unwrap(), 20.0).is_err());
        assert!(behind(&speech, &other, f64::NAN).is_err());
    }

    #[test]
    fn pink_noise_has_as_much_energy_in_every_octave_and_white_twice_as_much() {
        let octaves = |noise: &[f32]| {
            let of = |low: f64| {
                let bins = 200;
                let hz = |bin: i32| low * (1.0 + f64::from(bin) / f64::from(bins));
                let waveform = Waveform::from_samples(noise.to_vec(), RATE).unwrap();
                (0..bins).map(|bin| level(&waveform, hz(bin)).powi(2)).sum::<f64>() * low
            };
            of(2_000.0) / of(1_000.0)
        };
        let mut state = 3;
        let white: Vec<f32> = (0..RATE).map(|_| normal(&mut state)).collect();
        assert!((octaves(&white) / 2.0 - 1.0).abs() < 0.35, "{}", octaves(&white));
        let found = octaves(&pink(RATE as usize, &mut state));
        assert!((found - 1.0).abs() < 0.35, "{found}");
    }

    #[test]
    fn a_room_keeps_length_and_direct_sound_and_dies_away_in_its_time() {
        let mut click = vec![0.0_f32; RATE as usize];
        click[100] = 0.5;
        let rt60_s = 0.4;
        let room = augment(
            &Waveform::from_samples(click, RATE).unwrap(),
            &[Augmentation::named("reverberation", rt60_s).unwrap()],
            1,
        )
        .unwrap();
        let samples = room.samples();
        assert_eq!(samples.len(), RATE as usize);
        assert!((samples[100] - 0.5).abs() < 1e-3 && samples[..100].iter().all(|s| s.abs() < 1e-4));
        // Half of the time is 30 dB.
        let piece = |from_s: f64| {
            let from = 100 + (from_s * f64::from(RATE)) as usize;
            10.0 * energy(&samples[from..from + 800]).log10()
        };
        let fall = piece(0.05) - piece(0.05 + rt60_s / 2.0);
        assert!((fall - 30.0).abs() < 3.0, "{fall}");
        let tail = energy(samples) - f64::from(samples[100]).powi(2);
        assert!((tail / 0.25 - REVERBERANT_SHARE).abs() < 0.02, "{tail}");
    }

    #[test]
    fn speed_changes_length_and_pitch_by_its_factor() {
        let fast = with("speed", 1.25);
        assert_eq!(fast.n_samples(), 12_800);
        assert!(level(&fast, 550.0) > 0.9 && level(&fast, 440.0) < 0.1);
    }

    #[test]
    fn codecs_keep_the_tone_and_the_length() {
        for (name, value) in [("opus", 32_000.0), ("mp3", 64_000.0), ("telephone", 1.0), ("telephone", 3.0)] {
            let coded = with(name, value);
            assert_eq!(coded.n_samples(), RATE as usize, "{name}");
            assert!((level(&coded, 440.0) - 1.0).abs() < 0.15, "{name}: {}", level(&coded, 440.0));
            assert_ne!(coded, tone(1.0, 440.0), "{name} changed nothing");
        }
        let high = augment(&tone(1.0, 6_000.0), &[Augmentation::named("telephone", 1.0).unwrap()], 0).unwrap();
        assert!(level(&high, 6_000.0) < 0.01, "a telephone has nothing above 4 kHz");
    }

    #[test]
    fn gain_is_in_decibels_and_nothing_clips() {
        assert!((level(&with("gain", -20.0), 440.0) - 0.1).abs() < 1e-3);
        let loud = with("gain", 40.0);
        let peak = loud.samples().iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((peak - 1.0).abs() < 1e-6 && (level(&loud, 440.0) * 0.3 - 1.0).abs() < 0.01);
    }

    #[test]
    fn silence_is_quiet_but_no_digital_zero() {
        let before = with("silence_before", 0.5);
        assert_eq!(before.n_samples(), 24_000);
        let quiet = &before.samples()[..8_000];
        let level_db = 10.0 * (energy(quiet) / 8_000.0).log10();
        assert!((level_db - FLOOR_DB).abs() < 1.0, "{level_db}");
        assert_eq!(&before.samples()[8_000..], tone(1.0, 440.0).samples());
        assert_eq!(with("silence_after", 2.0).n_samples(), 48_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_another_one_others() {
        let steps = [Augmentation::Noise(10.0), Augmentation::Reverberation(0.3)];
        let of = |seed| augment(&tone(0.2, 200.0), &steps, seed).unwrap();
        assert_eq!(of(4), of(4));
        assert_ne!(of(4), of(5));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |name: &str, value: f64| Augmentation::named(name, value).unwrap_err().to_string();
        assert!(refused("echo", 1.0).contains("\"echo\"; expected one of noise, "));
        assert_eq!(refused("speed", 3.0), "speed is 3; expected 0.5 to 2");
        assert!(refused("gain", f64::NAN).contains("NaN"));
        let silent = Waveform::from_samples(vec![0.0; 100], RATE).unwrap();
        assert!(augment(&silent, &[Augmentation::Noise(0.0)], 0).is_err());
        let long = Waveform::from_samples(vec![0.1; 601], 1).unwrap();
        assert!(matches!(augment(&long, &[], 0), Err(Error::TooLong { .. })));
        let empty = Waveform::from_samples(Vec::new(), RATE).unwrap();
        assert_eq!(augment(&empty, &[Augmentation::Reverberation(0.1)], 0).unwrap(), empty);
    }
}
