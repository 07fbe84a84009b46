//! AAC-LC in ADTS at a constant bit rate by `rusty_aac`, piece by piece.
//!
//! Frames, windows and ADTS: ISO/IEC 14496-3, subparts 4 and 1. The first frame is the half of a window that ends before
//! the first sample, so what is decoded begins with 1,024 samples of silence, and the last frame is filled up with it. ADTS
//! has no place to tell either: whoever needs the exact length takes another format.
//!
//! The crate encodes whole recordings, and looks for attacks, which get short windows, in all of one. Here each piece is
//! a recording to it. A frame depends on its two blocks and its window alone, so frames of one piece may follow those of
//! another where their windows meet; where they do not, the frame is made again with a window that does.

use std::f64::consts::FRAC_PI_2;

use rusty_aac::encode::FRAME_LEN;
use rusty_aac::{AacEncoder, AacEncoderConfig, AdtsHeader, SAMPLE_RATES, write_adts_header};

use super::planes::Planes;
use super::{EncodeOptions, Encoder, Layout, Named};
use crate::{Error, Result};

/// Frames of a piece. With what is around them they stay below 16, from which on the crate starts threads.
const PIECE: usize = 11;
/// Blocks before a piece: the first half of its first frame, and one from which on attacks are looked for.
const BEFORE: usize = 2;
/// Blocks after it: a frame before an attack goes over to short windows.
const AFTER: usize = 1;
/// Bits a second of each channel unless another number is asked for, or fewer are possible.
const BITS_A_CHANNEL: u32 = 64_000;
/// Least bits a second.
const MIN_BIT_RATE: u32 = 8_000;
/// Most bits for each sample of each channel: a frame has 1,024 of them, a decoder room for 6,144.
const MAX_BITS_A_SAMPLE: u32 = 6;
/// Samples of a short window's slope.
const SLOPE: usize = 128;
/// Where that slope begins in the half of a long window that it stands in the middle of.
const SLOPE_START: usize = (FRAME_LEN - SLOPE) / 2;
/// Where it ends.
const SLOPE_END: usize = SLOPE_START + SLOPE;
/// The greatest amplitude that the crate leaves as it is.
const LOUD: f32 = rusty_aac::encode::MAX_INPUT_AMPLITUDE;
/// Bytes of an ADTS header without a checksum.
const HEADER_BYTES: usize = 7;

pub(super) struct Aac<'s> {
    sink: Named<'s>,
    layout: Layout,
    rate: u32,
    bit_rate: u32,
    /// `BEFORE` blocks that are encoded, and what came after them.
    planes: Planes,
    /// Whether the last frame's window ends with a short slope.
    ends_short: Option<bool>,
}

impl<'s> Aac<'s> {
    pub(super) fn new(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        let rate = SAMPLE_RATES.into_iter().rev().find(|&rate| rate >= layout.sample_rate).unwrap_or(SAMPLE_RATES[0]);
        let n_channels = layout.n_channels as u32;
        let most = MAX_BITS_A_SAMPLE * rate * n_channels;
        let bit_rate = options.bit_rate.unwrap_or(most.min(BITS_A_CHANNEL * n_channels));
        if !(MIN_BIT_RATE..=most).contains(&bit_rate) {
            return Err(Error::InvalidInput(format!(
                "aac at {bit_rate} bits a second; at {rate} Hz with {n_channels} channel(s) {MIN_BIT_RATE} to {most} \
                 are possible"
            )));
        }
        let mut planes = Planes::new(layout.n_channels, layout.sample_rate, rate)?;
        planes.delay(BEFORE * FRAME_LEN);
        Ok(Self { sink, layout, rate, bit_rate, planes, ends_short: None })
    }

    /// Encodes the next frames.
    fn piece(&mut self, n_frames: usize) -> Result<()> {
        let n_blocks = (BEFORE + n_frames + AFTER).min(self.planes.n_frames() / FRAME_LEN);
        let clipped = |plane: &Vec<f32>| -> Vec<f32> {
            plane[..n_blocks * FRAME_LEN].iter().map(|sample| sample.clamp(-1.0, 1.0)).collect()
        };
        let planes: Vec<Vec<f32>> = self.planes.planes().iter().map(clipped).collect();
        for (at, mut packet) in self.packets(&planes)?.into_iter().enumerate().skip(BEFORE).take(n_frames) {
            let mut window = Window::of(&packet, planes.len());
            if let Some(ends_short) = self.ends_short.filter(|&ends_short| ends_short != window.starts_short) {
                window.starts_short = ends_short;
                packet = self.with_window(&planes, at, window)?;
            }
            self.ends_short = Some(window.ends_short);
            let header = write_adts_header(&AdtsHeader {
                object_type: 2,
                sample_rate: self.rate,
                channels: planes.len() as u16,
                frame_length: HEADER_BYTES + packet.len(),
                header_len: HEADER_BYTES,
            });
            self.sink.write(&header)?;
            self.sink.write(&packet)?;
        }
        self.planes.forget(n_frames * FRAME_LEN);
        Ok(())
    }

    /// The frames of a recording: each has the block at its index and the one before, and one more ends the last block.
    fn packets(&self, planes: &[Vec<f32>]) -> Result<Vec<Vec<u8>>> {
        let config = AacEncoderConfig { bitrate_bps: self.bit_rate, ..AacEncoderConfig::default() };
        let mut encoder = AacEncoder::new(config);
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        let taken = encoder.push_pcm_planar(&planes, self.rate);
        taken.map_err(|error| Error::InvalidInput(format!("aac: {error}")))?;
        encoder.finish();
        Ok(std::iter::from_fn(|| encoder.next_packet().ok()).map(|packet| packet.data).collect())
    }

    /// The frame at this index with this window, which the crate would not choose.
    fn with_window(&self, planes: &[Vec<f32>], at: usize, window: Window) -> Result<Vec<u8>> {
        let halves = |plane: &Vec<f32>| -> Vec<f32> {
            let samples = plane[(at - 1) * FRAME_LEN..].iter().copied();
            samples.chain(std::iter::repeat(0.0)).take(2 * FRAME_LEN).collect()
        };
        let mut planes: Vec<Vec<f32>> = planes.iter().map(halves).collect();
        let made = if window == Window::SHORT { window } else { Window::LONG };
        let mut packets = if window == Window::SHORT {
            // An attack where no short window is: behind the last slope.
            for plane in &mut planes {
                plane[2 * FRAME_LEN - SLOPE_START + SLOPE / 2..].fill(LOUD);
            }
            self.packets(&planes)?.split_off(1)
        } else {
            // A long window over what has been shaped is one of that shape. After a loud block nothing is an attack.
            for plane in &mut planes {
                for (n, sample) in plane.iter_mut().enumerate() {
                    *sample *= window.shape(n);
                }
                plane.splice(0..0, std::iter::repeat_n(LOUD, FRAME_LEN));
            }
            self.packets(&planes)?.split_off(2)
        };
        let mut packet = packets.swap_remove(0);
        if Window::of(&packet, planes.len()) != made {
            return Err(Error::InvalidInput(format!("aac: a frame of {} bytes has an unknown window", packet.len())));
        }
        window.write(&mut packet, planes.len());
        Ok(packet)
    }
}

impl Encoder for Aac<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.layout.check(samples)?;
        for samples in samples.chunks(self.layout.n_channels << 15) {
            self.planes.push(samples);
            while self.planes.n_frames() >= (BEFORE + PIECE + AFTER) * FRAME_LEN {
                self.piece(PIECE)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.planes.finish();
        // A block of silence after the last samples, whose second half of a window it has.
        let mut n_frames = (self.planes.n_frames() - BEFORE * FRAME_LEN).div_ceil(FRAME_LEN) + 1;
        self.planes.pad((BEFORE + n_frames) * FRAME_LEN);
        while n_frames > 0 {
            let n_piece = n_frames.min(PIECE);
            self.piece(n_piece)?;
            n_frames -= n_piece;
        }
        self.sink.flush()
    }
}

/// Which slopes of a frame's window are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    starts_short: bool,
    ends_short: bool,
}

impl Window {
    const LONG: Self = Self { starts_short: false, ends_short: false };
    const START: Self = Self { starts_short: false, ends_short: true };
    const SHORT: Self = Self { starts_short: true, ends_short: true };
    const STOP: Self = Self { starts_short: true, ends_short: false };
    /// By their `window_sequence`.
    const ALL: [Self; 4] = [Self::LONG, Self::START, Self::SHORT, Self::STOP];

    /// The byte of `window_sequence` in a frame, and how far left its two bits are.
    fn place(n_channels: usize) -> (usize, u32) {
        // After an identifier of 3 bits, a tag of 4, what is 1 bit where channels share a window and a gain of 8 bits
        // where one has its own, and a reserved bit.
        if n_channels == 1 { (2, 6) } else { (1, 5) }
    }

    fn of(packet: &[u8], n_channels: usize) -> Self {
        let (at, shift) = Self::place(n_channels);
        Self::ALL[usize::from(packet.get(at).copied().unwrap_or(0) >> shift & 3)]
    }

    /// Makes a frame's window this one.
    fn write(self, packet: &mut [u8], n_channels: usize) {
        let (at, shift) = Self::place(n_channels);
        let sequence = match (self.starts_short, self.ends_short) {
            (false, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (true, false) => 3,
        };
        if let Some(byte) = packet.get_mut(at) {
            *byte = *byte & !(3 << shift) | sequence << shift;
        }
    }

    /// This window's sample over that of the long window.
    fn shape(self, n: usize) -> f32 {
        let (is_short, n) =
            if n < FRAME_LEN { (self.starts_short, n) } else { (self.ends_short, 2 * FRAME_LEN - 1 - n) };
        if !is_short {
            return 1.0;
        }
        let slope = |n: f64, length: usize| (FRAC_PI_2 * (n + 0.5) / length as f64).sin();
        let short = match n {
            ..SLOPE_START => 0.0,
            SLOPE_START..SLOPE_END => slope((n - SLOPE_START) as f64, SLOPE),
            _ => 1.0,
        };
        (short / slope(n as f64, FRAME_LEN)) as f32
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::audio::random::uniform;
    use crate::audio::{Format, Mix, Options, read_from};

    /// The rate that no frame's bits are short at.
    fn aac(sample_rate: u32, n_channels: usize) -> Aac<'static> {
        let bit_rate = Some(MAX_BITS_A_SAMPLE * sample_rate * n_channels as u32);
        let options = EncodeOptions { format: Format::Aac, bit_rate, ..EncodeOptions::default() };
        let sink = Named { sink: Box::new(Cursor::new(Vec::new())), name: "test".to_owned(), is_live: false };
        Aac::new(sink, Layout { sample_rate, n_channels }, &options).unwrap()
    }

    fn noise(n_samples: usize, state: &mut u64) -> Vec<f32> {
        (0..n_samples).map(|_| uniform(state)).collect()
    }

    #[test]
    fn frames_of_any_windows_that_meet_add_up() {
        use Window as W;
        let windows = [W::LONG, W::START, W::SHORT, W::STOP, W::START, W::SHORT, W::SHORT, W::STOP, W::LONG];
        for n_channels in [1, 2] {
            let aac = aac(24_000, n_channels);
            let mut state = 1;
            let planes: Vec<Vec<f32>> = (0..n_channels).map(|_| noise(20 * FRAME_LEN, &mut state)).collect();
            let mut bytes = Vec::new();
            for at in 1..=20 {
                let window = windows[at % windows.len()];
                let packet = aac.with_window(&planes, at, window).unwrap();
                assert_eq!(Window::of(&packet, n_channels), window);
                let frame_length = HEADER_BYTES + packet.len();
                let (sample_rate, channels) = (24_000, n_channels as u16);
                let header =
                    AdtsHeader { object_type: 2, sample_rate, channels, frame_length, header_len: HEADER_BYTES };
                bytes.extend(write_adts_header(&header));
                bytes.extend(packet);
            }
            let options = Options { mix: Mix::All, ..Options::default() };
            let heard = read_from(Cursor::new(bytes), "test", &options).unwrap();
            // Decoding began in the second block; what comes before it is half a window.
            for (channel, plane) in planes.iter().enumerate() {
                let heard: Vec<f32> = heard.samples.iter().skip(channel).step_by(n_channels).copied().collect();
                for at in 1..19 {
                    let part = |samples: &[f32]| samples[at * FRAME_LEN..][..FRAME_LEN].to_vec();
                    let (want, got) = (part(plane), part(&heard));
                    let noise: f32 = want.iter().zip(&got).map(|(want, got)| (want - got).powi(2)).sum();
                    let db = 10.0 * (want.iter().map(|want| want * want).sum::<f32>() / noise).log10();
                    assert!(db > 25.0, "{n_channels} channels, block {at}: {db:.1} dB");
                }
            }
        }
    }

    #[test]
    fn windows_of_all_frames_meet() {
        let mut state = 7;
        for (sample_rate, n_channels) in [(8_000, 1), (44_100, 2)] {
            // Clicks of any loudness in silence of any length: what is an attack in one piece may be none in the next.
            let mut samples = vec![0.0; 400 * FRAME_LEN * n_channels];
            let mut at = 0;
            while at < samples.len() {
                samples[at] = 10_f32.powf(4.0 * uniform(&mut state) - 2.0);
                at += 1 + (900.0 * (1.0 + uniform(&mut state))) as usize;
            }
            let options = EncodeOptions { format: Format::Aac, ..EncodeOptions::default() };
            let bytes = super::super::encode(&samples, sample_rate, n_channels, &options).unwrap();
            let (mut windows, mut rest) = (Vec::new(), bytes.as_slice());
            while !rest.is_empty() {
                let n_bytes = rusty_aac::parse_adts(rest).unwrap().frame_length;
                windows.push(Window::of(&rest[HEADER_BYTES..n_bytes], n_channels));
                rest = &rest[n_bytes..];
            }
            assert_eq!(windows.len(), 401);
            assert!(windows.windows(2).all(|pair| pair[0].ends_short == pair[1].starts_short), "{sample_rate} Hz");
            let n_short = windows.iter().filter(|&&window| window == Window::SHORT).count();
            assert!((40..400).contains(&n_short), "{sample_rate} Hz: {n_short} frames have short windows");
        }
    }
}
