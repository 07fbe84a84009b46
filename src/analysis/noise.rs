//! Noise, and how long a room rings.

use pulp::Arch;
use serde::{Deserialize, Serialize};

use super::spectral::log2;
use super::statistics::percentile;
use super::wada::WADA;
use crate::audio::Once;

/// Parts of a second whose energies are kept.
const PARTS_PER_S: u64 = 100;
/// Samples whose sums are taken together in `f32`, few enough for six digits.
const CHUNK: usize = 1 << 9;
const LANES: usize = 16;
/// The quietest that has a logarithm of its own.
const LEAST: f32 = 1e-30;
/// Share of the quietest parts of 20 ms that are noise.
const QUIET_SHARE: f64 = 0.05;
/// Parts that a decay lasts at least, and the fall that it has, dB.
const MIN_DECAY_PARTS: usize = 6;
const MIN_DECAY_DB: f64 = 12.0;
/// Decays that an estimate is made of at least, and the share of the quickest that belong to the room alone.
const MIN_DECAYS: usize = 4;
const ROOM_SHARE: f64 = 0.25;

/// Noise in a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// RMS below which the quietest twentieth of all 20 ms lies, dBFS, digital silence left out; `None` if all is.
    pub floor_dbfs: Option<f64>,
    /// Signal-to-noise ratio by the distribution of amplitudes (WADA), dB, -20 to 100. It supposes speech in steady noise:
    /// of music or of anything compressed it says little. `None` for silence and less than a second.
    pub snr_wada_db: Option<f64>,
}

/// How long a room rings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reverberation {
    /// Blind estimate of the time in which sound falls by 60 dB, seconds. Sound falls no quicker than the room lets it, so
    /// the quickest quarter of all steady falls of 12 dB or more in 60 ms or longer is taken for the room's. It needs pauses
    /// and abrupt ends, is too long for slow speakers, cannot tell rooms under about 0.2 s apart, and is meant to compare
    /// recordings. `None` with fewer than four such falls.
    pub rt60_s: Option<f64>,
    /// Falls that were found.
    pub n_decays: usize,
}

/// Sums over the waveform.
#[derive(Debug, Clone)]
pub(super) struct NoiseMeter {
    sample_rate: u64,
    n_samples: u64,
    /// Mean square of every 10 ms.
    powers: Vec<f32>,
    energy: f64,
    part_samples: u64,
    sum_abs: f64,
    sum_log: f64,
    n_sounding: u64,
}

/// What one chunk adds up to.
struct Sums {
    squares: f32,
    abs: f32,
    log2: f32,
    n_sounding: u64,
}

impl Sums {
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn of(chunk: &[f32]) -> Self {
        let mut lanes = Lanes::default();
        let (vectors, rest) = chunk.as_chunks();
        for vector in vectors {
            lanes.add(vector);
        }
        let mut last = [0.0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        lanes.add(&last);
        Self {
            squares: lanes.squares.iter().sum(),
            abs: lanes.abs.iter().sum(),
            log2: lanes.log2.iter().sum(),
            n_sounding: lanes.n_sounding.iter().map(|&n| u64::from(n)).sum(),
        }
    }
}

/// Sums of every [`LANES`]th sample; 0 is no sound and has no logarithm.
#[derive(Default)]
struct Lanes {
    squares: [f32; LANES],
    abs: [f32; LANES],
    log2: [f32; LANES],
    n_sounding: [u32; LANES],
}

impl Lanes {
    #[allow(clippy::inline_always, reason = "see Sums::of")]
    #[inline(always)]
    fn add(&mut self, samples: &[f32; LANES]) {
        for lane in 0..LANES {
            let x = samples[lane].abs();
            let log2 = log2(if x > LEAST { x } else { LEAST });
            self.squares[lane] = x.mul_add(x, self.squares[lane]);
            self.abs[lane] += x;
            self.log2[lane] += if x > 0.0 { log2 } else { 0.0 };
            self.n_sounding[lane] += u32::from(x > 0.0);
        }
    }
}

impl NoiseMeter {
    pub(super) fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate: u64::from(sample_rate),
            n_samples: 0,
            powers: Vec::new(),
            energy: 0.0,
            part_samples: 0,
            sum_abs: 0.0,
            sum_log: 0.0,
            n_sounding: 0,
        }
    }

    pub(super) fn push(&mut self, mut samples: &[f32]) {
        while !samples.is_empty() {
            let boundary = (self.powers.len() as u64 + 1) * self.sample_rate / PARTS_PER_S;
            let wanted = usize::try_from(boundary - self.n_samples).unwrap_or(usize::MAX).max(1);
            let (now, later) = samples.split_at(wanted.min(samples.len()));
            self.add(now);
            self.n_samples += now.len() as u64;
            self.part_samples += now.len() as u64;
            if self.n_samples >= boundary {
                self.powers.push((self.energy / self.part_samples as f64) as f32);
                (self.energy, self.part_samples) = (0.0, 0);
            }
            samples = later;
        }
    }

    fn add(&mut self, samples: &[f32]) {
        for chunk in samples.chunks(CHUNK) {
            let once = Once;
            let sums = Arch::new().dispatch(
                #[inline(always)]
                move || {
                    once.spend();
                    Sums::of(chunk)
                },
            );
            self.energy += f64::from(sums.squares);
            self.sum_abs += f64::from(sums.abs);
            self.sum_log += f64::from(sums.log2) * std::f64::consts::LN_2;
            self.n_sounding += sums.n_sounding;
        }
    }

    pub(super) fn noise(&self) -> Noise {
        let pairs = self.powers.chunks_exact(2).map(|pair| f64::midpoint(f64::from(pair[0]), f64::from(pair[1])));
        let mut levels: Vec<f64> = pairs.filter(|&power| power > 0.0).map(|power| 10.0 * power.log10()).collect();
        levels.sort_by(f64::total_cmp);
        Noise { floor_dbfs: percentile(&levels, QUIET_SHARE), snr_wada_db: self.snr_wada_db() }
    }

    fn snr_wada_db(&self) -> Option<f64> {
        if self.n_sounding < self.sample_rate {
            return None;
        }
        let n = self.n_sounding as f64;
        let value = (self.sum_abs / n).ln() - self.sum_log / n;
        let above = WADA.partition_point(|&entry| entry < value);
        if above == 0 || above == WADA.len() {
            return Some(if above == 0 { -20.0 } else { 100.0 });
        }
        let (low, high) = (WADA[above - 1], WADA[above]);
        Some(above as f64 - 21.0 + (value - low) / (high - low))
    }

    pub(super) fn reverberation(&self) -> Reverberation {
        let floor = self.noise().floor_dbfs.unwrap_or(0.0) + 5.0;
        let db = |power: &f32| 10.0 * (f64::from(*power) + 1e-12).log10();
        let levels: Vec<f64> = self.powers.iter().map(db).collect();
        let smooth: Vec<f64> = levels.windows(3).map(|around| around.iter().sum::<f64>() / 3.0).collect();
        let mut times = Vec::new();
        let mut start = 0;
        for index in 1..=smooth.len() {
            let falls = smooth.get(index).is_some_and(|&level| level < smooth[index - 1] && level > floor);
            if !falls {
                times.extend(decay_s(&smooth[start..index]));
                start = index;
            }
        }
        times.sort_by(f64::total_cmp);
        let rt60_s = (times.len() >= MIN_DECAYS).then(|| percentile(&times, ROOM_SHARE)).flatten();
        Reverberation { rt60_s, n_decays: times.len() }
    }
}

/// Time to fall by 60 dB at the rate of a line through a steady fall; `None` if it is too short or too shallow.
fn decay_s(levels: &[f64]) -> Option<f64> {
    // The first parts still have the sound that ends in them.
    let levels = levels.get(2..)?;
    let n = levels.len();
    if n < MIN_DECAY_PARTS || levels[0] - levels[n - 1] < MIN_DECAY_DB {
        return None;
    }
    let centre = (n - 1) as f64 / 2.0;
    let mean = levels.iter().sum::<f64>() / n as f64;
    let (mut over, mut under) = (0.0, 0.0);
    for (index, level) in levels.iter().enumerate() {
        let x = index as f64 - centre;
        over += x * (level - mean);
        under += x * x;
    }
    let slope = over / under * PARTS_PER_S as f64;
    (slope < 0.0).then(|| -60.0 / slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
        }

        /// Marsaglia and Tsang's method for a shape below 1.
        fn gamma(&mut self, shape: f64) -> f64 {
            let d = shape + 1.0 - 1.0 / 3.0;
            let c = 1.0 / (9.0 * d).sqrt();
            loop {
                let x = self.normal();
                let v = (1.0 + c * x).powi(3);
                if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                    return d * v * self.uniform().powf(1.0 / shape);
                }
            }
        }
    }

    #[test]
    fn the_snr_of_speech_like_samples_in_noise_is_found() {
        for snr_db in [0.0, 10.0, 20.0, 30.0] {
            let mut random = Random(snr_db as u64 + 1);
            let noise = (0.4 * 1.4 / 10.0_f64.powf(snr_db / 10.0)).sqrt();
            let samples: Vec<f32> = (0..160_000)
                .map(|_| {
                    let sign = if random.uniform() < 0.5 { -1.0 } else { 1.0 };
                    (0.01 * (sign * random.gamma(0.4) + noise * random.normal())) as f32
                })
                .collect();
            let mut meter = NoiseMeter::new(16_000);
            samples.chunks(999).for_each(|chunk| meter.push(chunk));
            let got = meter.noise().snr_wada_db.unwrap();
            assert!((got - snr_db).abs() < 1.0, "{got} instead of {snr_db} dB");
        }
    }

    #[test]
    fn the_floor_is_the_level_of_the_pauses() {
        let mut random = Random(3);
        let samples: Vec<f32> = (0..160_000_u32)
            .map(|n| {
                let level = if n / 8_000 % 2 == 0 { 0.1 } else { 0.001 };
                (level * random.normal()) as f32
            })
            .collect();
        let mut meter = NoiseMeter::new(16_000);
        meter.push(&samples);
        assert_eq!(meter.powers.len(), 1_000);
        assert!((meter.noise().floor_dbfs.unwrap() + 60.0).abs() < 1.0);
    }

    #[test]
    fn longer_rooms_ring_longer() {
        let mut found = Vec::new();
        for rt60 in [0.3, 0.6, 1.2] {
            let mut random = Random(5);
            let (mut envelope, decay) = (0.0_f64, 10.0_f64.powf(-3.0 / (rt60 * 16_000.0)));
            let samples: Vec<f32> = (0..640_000_u32)
                .map(|n| {
                    envelope = if n % 32_000 < 8_000 { 0.3 } else { envelope * decay };
                    ((envelope + 1e-5) * random.normal()) as f32
                })
                .collect();
            let mut meter = NoiseMeter::new(16_000);
            meter.push(&samples);
            found.push(meter.reverberation().rt60_s.unwrap_or(0.0) / rt60);
        }
        assert!(found.iter().all(|ratio| (0.7..1.4).contains(ratio)), "{found:?}");
    }

    #[test]
    fn silence_has_no_noise() {
        let mut meter = NoiseMeter::new(8_000);
        assert_eq!(meter.noise(), Noise { floor_dbfs: None, snr_wada_db: None });
        meter.push(&[0.0; 80_000]);
        assert_eq!(meter.noise(), Noise { floor_dbfs: None, snr_wada_db: None });
        assert_eq!(meter.reverberation(), Reverberation { rt60_s: None, n_decays: 0 });
    }
}
