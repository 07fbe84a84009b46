//! Which channels are heard: one, all, or the mix to mono.
//!
//! Mono follows ITU-R BS.775-4, annex 4, table 2 (1/0 from any layout): left and right 0.7071, centre 1, left and right
//! surround 0.5, a single surround 0.7071, low-frequency effects 0; divided by the sum of the weights, so that the mix
//! never clips. Channels without a position are mixed by their mean.

use std::f32::consts::FRAC_1_SQRT_2;

use symphonia::core::audio::{Audio, AudioBuffer, Channels, Position};

use crate::{Error, Result};

/// Which channels of a recording are heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mix {
    /// One channel: the mix of all after ITU-R BS.775.
    #[default]
    Mono,
    /// One channel: this one, counted from 0.
    Channel(usize),
    /// Every channel, interleaved, in the order of the speaker positions of WAVE files.
    All,
}

impl Mix {
    /// Channels that are heard of `n_channels`.
    pub(super) fn n_output(self, n_channels: usize) -> usize {
        if self == Self::All { n_channels } else { 1 }
    }

    /// Refuses a channel that does not exist.
    pub(super) fn check(self, n_channels: usize, name: &str) -> Result<()> {
        match self {
            Self::Channel(channel) if channel >= n_channels => Err(Error::InvalidInput(format!(
                "{name}: channel is {channel}; the audio has channels 0 to {}",
                n_channels - 1
            ))),
            _ => Ok(()),
        }
    }

    /// Appends what is heard of interleaved samples in this layout.
    pub(super) fn append(self, output: &mut Vec<f32>, interleaved: &[f32], weights: &[f32]) {
        let n_channels = weights.len().max(1);
        match self {
            _ if n_channels == 1 => output.extend_from_slice(interleaved),
            Self::All => output.extend_from_slice(interleaved),
            Self::Channel(channel) => {
                // A stream may lose channels on the way.
                let channel = channel.min(n_channels - 1);
                output.extend(interleaved.chunks_exact(n_channels).map(|frame| frame[channel]));
            }
            Self::Mono if n_channels == 2 => {
                let (left, right) = (weights[0], weights[1]);
                output.extend(interleaved.chunks_exact(2).map(|frame| left * frame[0] + right * frame[1]));
            }
            Self::Mono => {
                let mix =
                    |frame: &[f32]| frame.iter().zip(weights).map(|(sample, weight)| sample * weight).sum::<f32>();
                output.extend(interleaved.chunks_exact(n_channels).map(mix));
            }
        }
    }
}

/// Puts the mix to mono of planes into `mono`: what [`Mix::Mono`] appends of them interleaved.
pub(super) fn mix_planes(mono: &mut Vec<f32>, planes: &AudioBuffer<f32>, weights: &[f32]) {
    mono.clear();
    for (plane, &weight) in planes.iter_planes().zip(weights) {
        if mono.is_empty() {
            mono.extend(plane.iter().map(|sample| weight * sample));
        } else {
            mono.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += weight * sample);
        }
    }
}

/// Every channel's weight in the mix to mono, in order; their sum is 1.
pub(super) fn mono_weights(channels: &Channels) -> Vec<f32> {
    let mut weights: Vec<f32> = match channels {
        Channels::Positioned(positions) => positions.iter().map(|position| weight(position, *positions)).collect(),
        _ => vec![1.0; channels.count()],
    };
    let mut sum: f32 = weights.iter().sum();
    if sum == 0.0 {
        weights.fill(1.0);
        sum = weights.len() as f32;
    }
    for weight in &mut weights {
        *weight /= sum;
    }
    weights
}

fn weight(position: Position, all: Position) -> f32 {
    const FRONT: Position = Position::FRONT_LEFT
        .union(Position::FRONT_RIGHT)
        .union(Position::FRONT_LEFT_CENTER)
        .union(Position::FRONT_RIGHT_CENTER)
        .union(Position::FRONT_LEFT_WIDE)
        .union(Position::FRONT_RIGHT_WIDE);
    const PAIRS: Position =
        Position::SIDE_LEFT.union(Position::SIDE_RIGHT).union(Position::REAR_LEFT).union(Position::REAR_RIGHT);
    if position == Position::FRONT_CENTER {
        1.0
    } else if position == Position::LFE1 || position == Position::LFE2 {
        0.0
    } else if FRONT.contains(position) || (position == Position::REAR_CENTER && !all.intersects(PAIRS)) {
        FRAC_1_SQRT_2
    } else {
        0.5
    }
}

/// The field's name of a layout: `mono`, `stereo`, `5.1`; `N channels` where it has none.
pub(super) fn layout_name(channels: &Channels) -> String {
    let n_channels = channels.count();
    let Channels::Positioned(positions) = channels else { return format!("{n_channels} channels") };
    let has_lfe = positions.intersects(Position::LFE1 | Position::LFE2);
    match (n_channels, has_lfe) {
        (1, false) => "mono".to_owned(),
        (2, false) => "stereo".to_owned(),
        (4, false) if positions.contains(Position::FRONT_CENTER) => "4.0".to_owned(),
        (4, false) => "quad".to_owned(),
        (3 | 5..=8, false) => format!("{n_channels}.0"),
        (3..=9, true) => format!("{}.1", n_channels - 1),
        _ => format!("{n_channels} channels"),
    }
}

#[cfg(test)]
mod tests {
    use symphonia::core::audio::{AudioMut, AudioSpec};

    use super::*;

    fn weights(positions: Position) -> Vec<f32> {
        mono_weights(&Channels::Positioned(positions))
    }

    fn close(got: &[f32], want: &[f64]) -> bool {
        let sum: f64 = want.iter().sum();
        got.len() == want.len() && got.iter().zip(want).all(|(&got, want)| (f64::from(got) - want / sum).abs() < 1e-6)
    }

    #[test]
    fn weights_are_those_of_bs_775() {
        const ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;
        let stereo = Position::FRONT_LEFT | Position::FRONT_RIGHT;
        let centre = Position::FRONT_CENTER;
        let rear = Position::REAR_LEFT | Position::REAR_RIGHT;
        let side = Position::SIDE_LEFT | Position::SIDE_RIGHT;
        assert_eq!(weights(Position::FRONT_LEFT), [1.0]);
        assert_eq!(weights(stereo), [0.5, 0.5]);
        assert!(close(&weights(stereo | centre), &[ROOT, ROOT, 1.0]));
        assert!(close(&weights(stereo | centre | Position::REAR_CENTER), &[ROOT, ROOT, 1.0, ROOT]));
        assert!(close(&weights(stereo | rear), &[ROOT, ROOT, 0.5, 0.5]));
        let surround = stereo | centre | Position::LFE1 | side;
        assert!(close(&weights(surround), &[ROOT, ROOT, 1.0, 0.0, 0.5, 0.5]));
        assert!(close(&weights(surround | rear), &[ROOT, ROOT, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5]));
        assert_eq!(mono_weights(&Channels::Discrete(4)), [0.25; 4]);
        assert_eq!(weights(Position::LFE1), [1.0]);
    }

    #[test]
    fn full_scale_on_every_channel_mixes_to_full_scale() {
        for n_channels in 1..=8 {
            let weights = weights(Position::from_wave_channel_count(n_channels).unwrap());
            let mut mono = Vec::new();
            Mix::Mono.append(&mut mono, &vec![1.0; 3 * n_channels as usize], &weights);
            assert!(mono.len() == 3 && mono.iter().all(|sample| (sample - 1.0).abs() < 1e-6));
        }
    }

    #[test]
    fn planes_mix_to_what_their_frames_mix_to() {
        let at = |channel: usize, n: usize| ((7 * channel + 3 * n) % 11) as f32 / 7.0 - 0.6;
        for n_channels in [1, 2, 3, 6] {
            let channels = Channels::Positioned(Position::from_wave_channel_count(n_channels).unwrap());
            let (n_channels, weights) = (channels.count(), mono_weights(&channels));
            let mut planes = AudioBuffer::<f32>::new(AudioSpec::new(48_000, channels), 8);
            planes.render_uninit(Some(5));
            for channel in 0..n_channels {
                planes.plane_mut(channel).unwrap().iter_mut().enumerate().for_each(|(n, x)| *x = at(channel, n));
            }
            let frames: Vec<f32> =
                (0..5 * n_channels).map(|index| at(index % n_channels, index / n_channels)).collect();
            let (mut mono, mut want) = (vec![9.0; 3], Vec::new());
            mix_planes(&mut mono, &planes, &weights);
            Mix::Mono.append(&mut want, &frames, &weights);
            assert_eq!(mono, want, "{n_channels} channels");
        }
    }

    #[test]
    fn a_channel_or_all_are_heard_as_they_are() {
        let (frames, mut one, mut all) = ([1.0, 2.0, 3.0, 4.0], Vec::new(), Vec::new());
        Mix::Channel(1).append(&mut one, &frames, &[0.5, 0.5]);
        Mix::All.append(&mut all, &frames, &[0.5, 0.5]);
        assert_eq!((one, all), (vec![2.0, 4.0], frames.to_vec()));
        assert!(Mix::Channel(2).check(2, "x").unwrap_err().to_string().contains("channels 0 to 1"));
    }

    #[test]
    fn layouts_have_their_names() {
        let name = |n| layout_name(&Channels::Positioned(Position::from_wave_channel_count(n).unwrap()));
        assert_eq!((name(1), name(2), name(6), name(8)), ("mono".into(), "stereo".into(), "5.1".into(), "7.1".into()));
        assert_eq!(layout_name(&Channels::Discrete(5)), "5 channels");
    }
}
