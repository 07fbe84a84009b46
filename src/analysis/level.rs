//! Levels of samples: peak, RMS, offset, clipping, effective bit depth.

use pulp::Arch;
use serde::{Deserialize, Serialize};

use super::statistics::amplitude_db;
use crate::audio::Once;

/// Samples whose sums are taken together in `f32`, few enough for six digits.
const CHUNK: usize = 1 << 10;
const LANES: usize = 16;
/// Samples in a row at the extreme of a channel that are a clipped peak.
const MIN_CLIPPED_RUN: u64 = 3;
/// Steps of the sample grid by which the samples before and after a clipped peak miss it at least. A peak that is not
/// clipped, but flat because of its low frequency, is reached in smaller ones.
const MIN_CLIPPED_STEP: f32 = 5.0;
/// Scale at which the samples of 24-bit audio are integers.
const GRID: f32 = 8_388_608.0;
/// A sum with it of up to half of that is rounded to an integer.
const ROUNDER: f32 = 1.5 * GRID;

/// Levels of a recording. Decibels are relative to full scale, at which a sample is 1; a sine of full scale has an RMS of
/// -3.01 dBFS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Greatest absolute sample, dBFS; `None` for silence.
    pub peak_dbfs: Option<f64>,
    /// Root of the mean square of all channels' samples, dBFS; `None` for silence.
    pub rms_dbfs: Option<f64>,
    /// Peak over RMS, dB: 0 for a square wave, 3.01 for a sine.
    pub crest_db: Option<f64>,
    /// Mean of the samples, the channel's farthest from 0; full scale is 1.
    pub dc_offset: Option<f64>,
    /// Clipped peaks: 3 or more successive samples equal to the channel's greatest or least, not reached gradually.
    pub clipped_runs: u64,
    /// Samples in them.
    pub clipped_samples: u64,
    /// Bits of the samples that are in use: all samples are multiples of 2^(1 - bits). `None` for samples that are not of
    /// 24 bits or fewer: decoded from a lossy codec, resampled, floating point, above full scale.
    pub effective_bits: Option<u32>,
    /// Of every channel.
    pub channels: Vec<ChannelLevel>,
}

/// Levels of one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelLevel {
    /// As [`Level::peak_dbfs`].
    pub peak_dbfs: Option<f64>,
    /// As [`Level::rms_dbfs`].
    pub rms_dbfs: Option<f64>,
    /// Mean of the samples.
    pub dc_offset: Option<f64>,
}

/// Meters of all channels.
#[derive(Debug, Clone)]
pub(super) struct LevelMeter {
    channels: Vec<ChannelMeter>,
}

impl LevelMeter {
    pub(super) fn new(n_channels: usize) -> Self {
        Self { channels: vec![ChannelMeter::default(); n_channels] }
    }

    /// Takes more samples of every channel.
    pub(super) fn push(&mut self, channels: &[Vec<f32>]) {
        for (meter, samples) in self.channels.iter_mut().zip(channels) {
            meter.push(samples);
        }
    }

    pub(super) fn finish(mut self) -> Level {
        self.channels.iter_mut().for_each(ChannelMeter::end_runs);
        let n: u64 = self.channels.iter().map(|channel| channel.n).sum();
        let squares: f64 = self.channels.iter().map(|channel| channel.squares).sum();
        let peak = self.channels.iter().map(ChannelMeter::peak).fold(0.0, f64::max);
        let (peak_dbfs, rms_dbfs) = (amplitude_db(peak), amplitude_db((squares / n.max(1) as f64).sqrt()));
        let grid = self.channels.iter().fold(0, |grid, channel| grid | channel.grid);
        let is_on_grid = self.channels.iter().all(|channel| channel.is_on_grid);
        let ceilings = || self.channels.iter().flat_map(|channel| [&channel.top, &channel.bottom]);
        let offsets = self.channels.iter().filter_map(ChannelMeter::dc_offset);
        Level {
            peak_dbfs,
            rms_dbfs,
            crest_db: peak_dbfs.zip(rms_dbfs).map(|(peak, rms)| peak - rms),
            dc_offset: offsets.max_by(|a, b| a.abs().total_cmp(&b.abs())),
            clipped_runs: ceilings().map(|ceiling| ceiling.n_runs).sum(),
            clipped_samples: ceilings().map(|ceiling| ceiling.n_samples).sum(),
            effective_bits: (is_on_grid && grid != 0).then(|| 24 - grid.trailing_zeros()),
            channels: self.channels.iter().map(ChannelMeter::level).collect(),
        }
    }
}

#[derive(Debug, Clone)]
struct ChannelMeter {
    n: u64,
    sum: f64,
    squares: f64,
    /// All samples as 24-bit integers, or-ed.
    grid: i32,
    is_on_grid: bool,
    top: Ceiling,
    bottom: Ceiling,
    last: f32,
}

impl Default for ChannelMeter {
    fn default() -> Self {
        Self {
            n: 0,
            sum: 0.0,
            squares: 0.0,
            grid: 0,
            is_on_grid: true,
            top: Ceiling::default(),
            bottom: Ceiling::default(),
            last: 0.0,
        }
    }
}

impl ChannelMeter {
    fn push(&mut self, samples: &[f32]) {
        for chunk in samples.chunks(CHUNK) {
            let once = Once;
            let sums = Arch::new().dispatch(
                #[inline(always)]
                move || {
                    once.spend();
                    Sums::of(chunk)
                },
            );
            self.n += chunk.len() as u64;
            self.sum += f64::from(sums.sum);
            self.squares += f64::from(sums.squares);
            self.is_on_grid &= sums.is_on_grid;
            self.grid |= sums.grid;
            let step = if self.grid == 0 { 1.0 } else { (1_i64 << self.grid.trailing_zeros()) as f32 };
            let min_step = MIN_CLIPPED_STEP * if self.is_on_grid { step.max(256.0) } else { 256.0 } / GRID;
            if self.top.concerns(sums.max) {
                self.top.push(chunk, self.last, 1.0, min_step);
            }
            if self.bottom.concerns(-sums.min) {
                self.bottom.push(chunk, self.last, -1.0, min_step);
            }
            self.last = chunk.last().copied().unwrap_or(self.last);
        }
    }

    fn end_runs(&mut self) {
        self.top.end_run(0.0, 0.0);
        self.bottom.end_run(0.0, 0.0);
    }

    fn peak(&self) -> f64 {
        f64::from(self.top.level.max(self.bottom.level).max(0.0))
    }

    fn dc_offset(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    fn level(&self) -> ChannelLevel {
        let rms = (self.squares / self.n.max(1) as f64).sqrt();
        ChannelLevel { peak_dbfs: amplitude_db(self.peak()), rms_dbfs: amplitude_db(rms), dc_offset: self.dc_offset() }
    }
}

/// What one chunk adds up to.
struct Sums {
    sum: f32,
    squares: f32,
    min: f32,
    max: f32,
    grid: i32,
    is_on_grid: bool,
}

impl Sums {
    #[allow(clippy::inline_always, reason = "only what is inlined into a dispatch is compiled for the vectors found")]
    #[inline(always)]
    fn of(chunk: &[f32]) -> Self {
        let mut lanes = Lanes::new();
        let (vectors, rest) = chunk.as_chunks::<LANES>();
        for vector in vectors {
            for (lane, &x) in vector.iter().enumerate() {
                lanes.add(lane, x);
            }
        }
        for (lane, &x) in rest.iter().enumerate() {
            lanes.add(lane, x);
        }
        Self {
            sum: lanes.sum.iter().sum(),
            squares: lanes.squares.iter().sum(),
            min: lanes.min.iter().copied().fold(f32::MAX, f32::min),
            max: lanes.max.iter().copied().fold(f32::MIN, f32::max),
            grid: lanes.grid.iter().fold(0, |grid, value| grid | value),
            is_on_grid: lanes.off.iter().all(|&value| value == 0),
        }
    }
}

/// Sums of every [`LANES`]th sample.
struct Lanes {
    sum: [f32; LANES],
    squares: [f32; LANES],
    min: [f32; LANES],
    max: [f32; LANES],
    grid: [i32; LANES],
    off: [i32; LANES],
}

#[allow(clippy::inline_always, reason = "see Sums::of")]
impl Lanes {
    #[inline(always)]
    fn new() -> Self {
        Self {
            sum: [0.0; LANES],
            squares: [0.0; LANES],
            min: [f32::MAX; LANES],
            max: [f32::MIN; LANES],
            grid: [0; LANES],
            off: [0; LANES],
        }
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, x: f32) {
        self.sum[lane] += x;
        self.squares[lane] += x * x;
        self.min[lane] = if x < self.min[lane] { x } else { self.min[lane] };
        self.max[lane] = if x > self.max[lane] { x } else { self.max[lane] };
        // Half the integer, rounded by a sum whose last bit is 1: a conversion that minds what does not fit is no vector.
        let half = x * (GRID / 2.0);
        let rounded = half + ROUNDER;
        let rest = half - (rounded - ROUNDER);
        let is_odd = rest.abs() == 0.5;
        let whole = rounded.to_bits().wrapping_sub(ROUNDER.to_bits()).cast_signed();
        self.grid[lane] |= (whole << 1) | i32::from(is_odd);
        self.off[lane] |= (i32::from(rest != 0.0) & i32::from(!is_odd)) | i32::from(x.abs() > 1.0);
    }
}

/// The greatest value of a channel (or of its negative), and the runs of samples at it.
#[derive(Debug, Clone, Default)]
struct Ceiling {
    level: f32,
    run: u64,
    /// How far below the ceiling the sample before the run was.
    entry: f32,
    n_runs: u64,
    n_samples: u64,
}

impl Ceiling {
    /// Whether a chunk with this greatest value may change anything.
    fn concerns(&self, max: f32) -> bool {
        max > 0.0 && max >= self.level || self.run > 0
    }

    fn push(&mut self, samples: &[f32], before: f32, sign: f32, min_step: f32) {
        let mut before = before * sign;
        for sample in samples {
            let x = sample * sign;
            if x > self.level {
                *self = Self { level: x, run: 1, entry: x - before, n_runs: 0, n_samples: 0 };
            } else if x == self.level && x > 0.0 {
                self.entry = if self.run == 0 { x - before } else { self.entry };
                self.run += 1;
            } else if self.run > 0 {
                self.end_run(self.level - x, min_step);
            }
            before = x;
        }
    }

    fn end_run(&mut self, exit: f32, min_step: f32) {
        let is_sudden = self.entry.max(exit) > min_step;
        if self.run >= MIN_CLIPPED_RUN && is_sudden {
            self.n_runs += 1;
            self.n_samples += self.run;
        }
        self.run = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(channels: &[Vec<f32>]) -> Level {
        let mut meter = LevelMeter::new(channels.len());
        for start in (0..channels[0].len()).step_by(3_000) {
            let block: Vec<Vec<f32>> =
                channels.iter().map(|channel| channel[start..channel.len().min(start + 3_000)].to_vec()).collect();
            meter.push(&block);
        }
        meter.finish()
    }

    fn sine(hz: f64, amplitude: f64, sample_rate: f64) -> Vec<f32> {
        let at = |n: u32| (amplitude * (std::f64::consts::TAU * hz * f64::from(n) / sample_rate).sin()) as f32;
        (0..sample_rate as u32).map(at).collect()
    }

    fn close(got: Option<f64>, want: f64) -> bool {
        got.is_some_and(|got| (got - want).abs() < 1e-4)
    }

    #[test]
    fn a_sine_has_its_levels() {
        let found = level(&[sine(1_000.0, 0.5, 48_000.0)]);
        assert!(close(found.peak_dbfs, -6.020_6) && close(found.rms_dbfs, -9.030_9), "{found:?}");
        assert!(close(found.crest_db, 3.010_3) && close(found.dc_offset, 0.0), "{found:?}");
        assert_eq!((found.clipped_runs, found.effective_bits), (0, None));
    }

    #[test]
    fn an_offset_is_the_mean_and_silence_has_no_level() {
        let found = level(&[vec![0.25; 5_000], vec![0.0; 5_000]]);
        assert!(close(found.dc_offset, 0.25) && close(found.channels[0].rms_dbfs, -12.041_2));
        assert_eq!((found.channels[1].peak_dbfs, found.channels[1].dc_offset), (None, Some(0.0)));
        let silent = level(&[vec![0.0; 100]]);
        assert_eq!((silent.peak_dbfs, silent.crest_db, silent.effective_bits), (None, None, None));
    }

    #[test]
    fn every_clipped_half_wave_is_counted_at_any_level() {
        for (ceiling, gain) in [(1.0, 1.0), (1.0, 0.4)] {
            let clipped: Vec<f32> =
                sine(100.0, 1.2, 16_000.0).iter().map(|x| x.clamp(-ceiling, ceiling) * gain).collect();
            let found = level(std::slice::from_ref(&clipped));
            assert_eq!(found.clipped_runs, 200);
            let n_flat = clipped.iter().filter(|x| x.abs() == gain).count() as u64;
            assert_eq!(found.clipped_samples, n_flat);
        }
        // Flat peaks of a low tone in 16 bits are not clipped.
        let low: Vec<f32> = sine(20.0, 1.0, 48_000.0).iter().map(|x| (x * 32_767.0).round() / 32_768.0).collect();
        assert_eq!(level(&[low]).clipped_runs, 0);
    }

    #[test]
    fn bits_in_use_are_found() {
        for bits in [8_u32, 12, 16, 24] {
            let scale = f64::from(1_u32 << (bits - 1));
            let samples: Vec<f32> = (0..5_000_u32)
                .map(|n| ((f64::from(n) * 0.37).sin() * 0.9 * scale).round() / scale)
                .map(|x| x as f32)
                .collect();
            assert_eq!(level(&[samples]).effective_bits, Some(bits), "{bits} bits");
        }
        // The ends of full scale, and what is beside the grid or beyond.
        let step = 1.0 / GRID;
        for (samples, want) in [
            (vec![-1.0, 1.0], Some(1)),
            (vec![1.0 - step, -1.0], Some(24)),
            (vec![step - 1.0, 0.5], Some(24)),
            (vec![0.5 + 2.0 * step, -0.25], Some(23)),
            (vec![0.25 + step / 2.0], None),
            (vec![step / 4.0, 0.5], None),
            (vec![1.5, 0.5], None),
        ] {
            assert_eq!(level(std::slice::from_ref(&samples)).effective_bits, want, "{samples:?}");
        }
    }
}
