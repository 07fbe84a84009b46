//! Interleaved samples to one plane for each channel, at the rate that an encoder has.

use crate::Result;
use crate::audio::resample::Resampler;

pub(super) struct Planes {
    /// One for each channel where the rates differ.
    resamplers: Vec<Resampler>,
    planes: Vec<Vec<f32>>,
}

impl Planes {
    pub(super) fn new(n_channels: usize, from_rate: u32, to_rate: u32) -> Result<Self> {
        let n_resamplers = if from_rate == to_rate { 0 } else { n_channels };
        let resamplers = (0..n_resamplers).map(|_| Resampler::new(from_rate, to_rate)).collect::<Result<_>>()?;
        Ok(Self { resamplers, planes: vec![Vec::new(); n_channels] })
    }

    /// Takes whole frames.
    pub(super) fn push(&mut self, samples: &[f32]) {
        let n_channels = self.planes.len();
        for (channel, plane) in self.planes.iter_mut().enumerate() {
            let samples = samples.iter().skip(channel).step_by(n_channels).copied();
            match self.resamplers.get_mut(channel) {
                None => plane.extend(samples),
                Some(resampler) => resampler.push(&samples.collect::<Vec<_>>(), plane),
            }
        }
    }

    /// What the resamplers still hold.
    pub(super) fn finish(&mut self) {
        for (resampler, plane) in std::mem::take(&mut self.resamplers).into_iter().zip(&mut self.planes) {
            resampler.finish(plane);
        }
    }

    /// Samples of each channel that are there.
    pub(super) fn n_frames(&self) -> usize {
        self.planes.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Puts silence before what is there.
    pub(super) fn delay(&mut self, n_frames: usize) {
        self.planes.iter_mut().for_each(|plane| drop(plane.splice(0..0, std::iter::repeat_n(0.0, n_frames))));
    }

    /// Puts silence after it, until there are so many frames.
    pub(super) fn pad(&mut self, n_frames: usize) {
        self.planes.iter_mut().for_each(|plane| plane.resize(n_frames.max(plane.len()), 0.0));
    }

    /// The planes, each `n_frames()` long or longer.
    pub(super) fn planes(&self) -> &[Vec<f32>] {
        &self.planes
    }

    /// Forgets the first frames.
    pub(super) fn forget(&mut self, n_frames: usize) {
        self.planes.iter_mut().for_each(|plane| drop(plane.drain(..n_frames.min(plane.len()))));
    }
}
