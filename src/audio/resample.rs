//! Band-limited resampling between any two rates, by overlap-save filtering in the frequency domain.
//!
//! A block of `p * k` input samples is transformed, its spectrum multiplied by a real (so delay-free) low-pass gain and
//! cut or zero-extended to `q * k` output samples, where `p / q` is the reduced ratio of the rates. The low-pass is a
//! Kaiser-windowed sinc: flat to 0.91 of the lower Nyquist frequency and at least 100 dB down from that frequency on.

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::Waveform;
use crate::{Error, Result};

/// End of the flat pass band, as a part of the lower of the two Nyquist frequencies.
const PASS_BAND: f64 = 0.912;
/// Attenuation from that Nyquist frequency on, dB.
const STOP_BAND_DB: f64 = 110.0;
/// Least transform length, samples: below this, the overlap costs more than a longer transform. 16 times 441, so that from
/// 44.1 kHz to 16 kHz (441 to 160) the transforms are of fast lengths.
const MIN_FFT: usize = 7_056;
/// Highest sample rate that is taken, Hz: bounds the transform's length.
const MAX_RATE: u32 = 768_000;

/// The waveform at `sample_rate` Hz: as long in time, exactly `round(n_samples * to / from)` samples, and not delayed.
///
/// # Errors
///
/// [`Error::InvalidInput`] if `sample_rate` is 0 or above 768 kHz.
pub fn resample(waveform: &Waveform, sample_rate: u32) -> Result<Waveform> {
    if waveform.sample_rate() == sample_rate {
        return Ok(waveform.clone());
    }
    let mut resampler = Resampler::new(waveform.sample_rate(), sample_rate)?;
    let mut samples = Vec::with_capacity(resampler.n_output(waveform.n_samples() as u64));
    resampler.push(waveform.samples(), &mut samples);
    resampler.finish(&mut samples);
    Waveform::from_samples(samples, sample_rate)
}

/// Interleaved samples at another rate: each channel as by [`resample`].
///
/// # Errors
///
/// [`Error::InvalidInput`] if a rate is 0 or above 768 kHz, or the samples are no whole frames of `n_channels`.
pub fn resample_interleaved(samples: &[f32], n_channels: usize, from: u32, to: u32) -> Result<Vec<f32>> {
    if n_channels == 0 || !samples.len().is_multiple_of(n_channels) {
        let n = samples.len();
        return Err(Error::InvalidInput(format!("{n} samples are no whole frames of {n_channels} channels")));
    }
    let mut output = Vec::new();
    for channel in 0..n_channels {
        let mut resampler = Resampler::new(from, to)?;
        let plane: Vec<f32> = samples.iter().skip(channel).step_by(n_channels).copied().collect();
        let mut target_plane = Vec::with_capacity(resampler.n_output(plane.len() as u64));
        if from == to {
            target_plane = plane;
        } else {
            resampler.push(&plane, &mut target_plane);
            resampler.finish(&mut target_plane);
        }
        output.resize(target_plane.len() * n_channels, 0.0);
        for (target, sample) in output.iter_mut().skip(channel).step_by(n_channels).zip(target_plane) {
            *target = sample;
        }
    }
    Ok(output)
}

/// Resamples a stream that comes in pieces.
pub struct Resampler {
    from: u32,
    to: u32,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    gain: Vec<f32>,
    /// Output samples at each end of a block that the filter's circular wrap spoils.
    margin: usize,
    /// Input samples that a block advances by.
    step: usize,
    input: Vec<f32>,
    n_filled: usize,
    spectrum: Vec<Complex32>,
    output: Vec<f32>,
    scratch: Vec<Complex32>,
    n_in: u64,
    n_out: u64,
}

impl Resampler {
    /// A resampler from one rate to another, Hz.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if a rate is 0 or above 768 kHz.
    pub fn new(from: u32, to: u32) -> Result<Self> {
        if let Some(rate) = [from, to].into_iter().find(|rate| !(1..=MAX_RATE).contains(rate)) {
            return Err(Error::InvalidInput(format!("sample rate is {rate} Hz; it must be 1 to {MAX_RATE} Hz")));
        }
        let divisor = gcd(from, to);
        let (p, q) = ((from / divisor) as usize, (to / divisor) as usize);
        let filter = LowPass::between(from, to);
        // Everything in units of p input samples, which are q output samples: a block, and its spoiled margins.
        let n_margin = filter.half_len.div_ceil(p);
        let n_units = even_fast((4 * n_margin).max(2 * n_margin + 2).max(MIN_FFT.div_ceil(p.max(q))));
        let (n_fft_in, n_fft_out) = (n_units * p, n_units * q);

        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(n_fft_in);
        let inverse = planner.plan_fft_inverse(n_fft_out);
        let n_bins = n_fft_in.min(n_fft_out) / 2 + 1;
        let gain = filter.gain(&*forward, n_bins);
        let n_scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Ok(Self {
            from,
            to,
            gain,
            margin: n_margin * q,
            step: (n_units - 2 * n_margin) * p,
            input: vec![0.0; n_fft_in],
            // The first block begins with one margin of silence, so that its first good output is at time 0.
            n_filled: n_margin * p,
            spectrum: vec![Complex32::default(); n_fft_in.max(n_fft_out) / 2 + 1],
            output: vec![0.0; n_fft_out],
            scratch: vec![Complex32::default(); n_scratch],
            forward,
            inverse,
            n_in: 0,
            n_out: 0,
        })
    }

    /// Takes more input, and appends the output that is complete.
    pub fn push(&mut self, mut samples: &[f32], output: &mut Vec<f32>) {
        self.n_in += samples.len() as u64;
        while !samples.is_empty() {
            let n = samples.len().min(self.input.len() - self.n_filled);
            let (now, later) = samples.split_at(n);
            self.input[self.n_filled..self.n_filled + n].copy_from_slice(now);
            self.n_filled += n;
            samples = later;
            if self.n_filled == self.input.len() {
                self.block(output, u64::MAX);
            }
        }
    }

    /// Appends the rest of the output: all output together is `round(n_in * to / from)` samples.
    pub fn finish(mut self, output: &mut Vec<f32>) {
        let n_output = self.n_output(self.n_in) as u64;
        while self.n_out < n_output {
            self.input[self.n_filled..].fill(0.0);
            self.block(output, n_output - self.n_out);
        }
    }

    /// Output samples for `n_in` input samples.
    fn n_output(&self, n_in: u64) -> usize {
        let (from, to) = (u128::from(self.from), u128::from(self.to));
        usize::try_from((u128::from(n_in) * to + from / 2) / from).unwrap_or(usize::MAX)
    }

    /// Filters the full input block and appends its good part, at most `n_wanted` samples.
    fn block(&mut self, output: &mut Vec<f32>, n_wanted: u64) {
        let (n_in, n_out) = (self.input.len(), self.output.len());
        let keep = self.input[self.step..].to_vec();
        let forward = &mut self.spectrum[..=n_in / 2];
        let result = self.forward.process_with_scratch(&mut self.input, forward, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are fixed by new()");
        for (bin, gain) in self.spectrum.iter_mut().zip(&self.gain) {
            *bin *= *gain;
        }
        self.spectrum[self.gain.len()..].fill(Complex32::default());
        let last = n_out / 2;
        // A real signal has real values at 0 and at the Nyquist frequency.
        self.spectrum[0].im = 0.0;
        self.spectrum[last].im = 0.0;
        let inverse = &mut self.spectrum[..=last];
        let result = self.inverse.process_with_scratch(inverse, &mut self.output, &mut self.scratch);
        debug_assert!(result.is_ok(), "lengths are fixed by new()");
        let good = &self.output[self.margin..n_out - self.margin];
        let n = usize::try_from(n_wanted).map_or(good.len(), |n| n.min(good.len()));
        output.extend_from_slice(&good[..n]);
        self.n_out += n as u64;
        self.input[..keep.len()].copy_from_slice(&keep);
        self.n_filled = keep.len();
    }
}

/// A Kaiser-windowed sinc, centred on 0, in input samples.
struct LowPass {
    /// Cut-off, cycles per input sample.
    cutoff: f64,
    /// Taps on each side of the centre.
    half_len: usize,
    beta: f64,
}

impl LowPass {
    fn between(from: u32, to: u32) -> Self {
        let nyquist = f64::from(from.min(to)) / 2.0 / f64::from(from);
        let transition = nyquist * (1.0 - PASS_BAND);
        // Source: Kaiser's formulas, Oppenheim & Schafer, Discrete-Time Signal Processing, section 7.6.1 (3rd ed.).
        let n_taps = (STOP_BAND_DB - 7.95) / (2.285 * 2.0 * PI * transition);
        Self {
            cutoff: nyquist - transition / 2.0,
            half_len: (n_taps / 2.0).ceil() as usize,
            beta: 0.1102 * (STOP_BAND_DB - 8.7),
        }
    }

    fn tap(&self, offset: usize) -> f64 {
        let x = offset as f64;
        let sinc = if offset == 0 { 2.0 * self.cutoff } else { (2.0 * PI * self.cutoff * x).sin() / (PI * x) };
        let r = x / (self.half_len + 1) as f64;
        sinc * bessel_i0(self.beta * (1.0 - r * r).max(0.0).sqrt()) / bessel_i0(self.beta)
    }

    /// The real gain of the first `n_bins` bins, divided by the transform's length.
    fn gain(&self, forward: &dyn RealToComplex<f32>, n_bins: usize) -> Vec<f32> {
        let n_fft = forward.len();
        let taps: Vec<f64> = (0..=self.half_len).map(|offset| self.tap(offset)).collect();
        let sum = taps[0] + 2.0 * taps[1..].iter().sum::<f64>();
        let mut response = forward.make_input_vec();
        for (offset, tap) in taps.iter().enumerate() {
            let value = (tap / sum) as f32;
            response[offset] = value;
            response[(n_fft - offset) % n_fft] = value;
        }
        let mut spectrum = forward.make_output_vec();
        let result = forward.process(&mut response, &mut spectrum);
        debug_assert!(result.is_ok(), "lengths come from the transform itself");
        spectrum[..n_bins].iter().map(|bin| bin.re / n_fft as f32).collect()
    }
}

/// Modified Bessel function of the first kind, order 0: its power series, to f64's precision for the arguments here.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..200 {
        term *= quarter / f64::from(k * k);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// The least 2^k or 3 * 2^k from `n` on, but for 1 and 3: what fast Fourier transforms are fastest for, if the rest of the
/// length is given.
fn even_fast(n: usize) -> usize {
    let power = n.max(2).next_power_of_two();
    if power >= 8 && power / 4 * 3 >= n { power / 4 * 3 } else { power }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
