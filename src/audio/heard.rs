//! A stream as it is to be heard: from its start, resampled, and for as long as was asked.

use super::options::Options;
use super::resample::Resampler;
use super::stream::Stream;
use crate::Result;

/// An open stream and the resamplers of its channels.
pub(super) struct Heard<'s> {
    stream: Stream<'s>,
    /// One for each channel that is heard; none where the rate stays.
    resamplers: Vec<Resampler>,
    /// A channel's samples before and after resampling.
    plane: Vec<f32>,
    planes: Vec<Vec<f32>>,
    sample_rate: u32,
    n_channels: usize,
    /// Samples of each channel that are still wanted; `None` for all.
    n_wanted: Option<u64>,
    /// Frames that came from the stream.
    n_frames: u64,
    has_block: bool,
    is_converted: bool,
}

impl<'s> Heard<'s> {
    /// Decodes up to the first samples; `None` if there are none.
    pub(super) fn begin(mut stream: Stream<'s>, options: &Options) -> Result<std::result::Result<Self, usize>> {
        stream.start_at(options.start_s)?;
        if !stream.next_block()? {
            return Ok(Err(stream.skipped_packets()));
        }
        let (from, n_channels) = (stream.rate(), stream.n_output());
        let sample_rate = options.sample_rate.unwrap_or(from);
        let n_resamplers = if from == sample_rate { 0 } else { n_channels };
        let resamplers = (0..n_resamplers).map(|_| Resampler::new(from, sample_rate)).collect::<Result<_>>()?;
        let n_wanted = options.duration_s.map(|duration_s| (duration_s * f64::from(sample_rate)).round() as u64);
        let planes = vec![Vec::new(); n_channels];
        Ok(Ok(Self {
            stream,
            resamplers,
            plane: Vec::new(),
            planes,
            sample_rate,
            n_channels,
            n_wanted,
            n_frames: 0,
            has_block: true,
            is_converted: false,
        }))
    }

    /// Remembers that ffmpeg made what is heard.
    pub(super) fn set_converted(&mut self) {
        self.is_converted = true;
    }

    /// Whether ffmpeg made what is heard.
    pub(super) fn is_converted(&self) -> bool {
        self.is_converted
    }

    pub(super) fn stream(&self) -> &Stream<'s> {
        &self.stream
    }

    /// Samples a second of what is heard, Hz.
    pub(super) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Channels of what is heard.
    pub(super) fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Length of what came from the stream, seconds.
    pub(super) fn decoded_s(&self) -> f64 {
        self.n_frames as f64 / f64::from(self.stream.rate().max(1))
    }

    /// Appends some more samples, interleaved; `false` after the last.
    pub(super) fn append(&mut self, output: &mut Vec<f32>) -> Result<bool> {
        if !self.has_block {
            return Ok(false);
        }
        let before = output.len();
        let block = self.stream.block();
        self.n_frames += (block.len() / self.n_channels) as u64;
        match (&mut self.resamplers[..], self.n_channels) {
            ([], _) => output.extend_from_slice(block),
            ([resampler], _) => resampler.push(block, output),
            (resamplers, n_channels) => {
                for (channel, resampler) in resamplers.iter_mut().enumerate() {
                    self.plane.clear();
                    self.plane.extend(block.iter().skip(channel).step_by(n_channels));
                    resampler.push(&self.plane, &mut self.planes[channel]);
                }
                interleave(&mut self.planes, output);
            }
        }
        self.has_block = self.n_wanted != Some(0) && self.stream.next_block()?;
        if !self.has_block {
            for (channel, resampler) in std::mem::take(&mut self.resamplers).into_iter().enumerate() {
                let plane = if self.n_channels == 1 { &mut *output } else { &mut self.planes[channel] };
                resampler.finish(plane);
            }
            interleave(&mut self.planes, output);
        }
        self.cut(before, output);
        Ok(self.has_block)
    }

    /// Ends the output where enough has been heard.
    fn cut(&mut self, before: usize, output: &mut Vec<f32>) {
        let Some(n_wanted) = &mut self.n_wanted else { return };
        let n_new = ((output.len() - before) / self.n_channels) as u64;
        if n_new >= *n_wanted {
            output.truncate(before + usize::try_from(*n_wanted).unwrap_or(0) * self.n_channels);
            self.has_block = false;
        }
        *n_wanted = n_wanted.saturating_sub(n_new);
    }
}

/// Moves the channels' samples to the output.
fn interleave(planes: &mut [Vec<f32>], output: &mut Vec<f32>) {
    let n_frames = planes.first().map_or(0, Vec::len);
    output.reserve(n_frames * planes.len());
    for frame in 0..n_frames {
        output.extend(planes.iter().filter_map(|plane| plane.get(frame)));
    }
    planes.iter_mut().for_each(Vec::clear);
}
