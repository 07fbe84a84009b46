//! Opus in ogg by `ropus`. Header and trimming: RFC 7845.

use ropus::{Application, Bitrate, Channels};

use super::ogg::Pages;
use super::planes::Planes;
use super::{EncodeOptions, Encoder, Layout, Named};
use crate::audio::opus::CLOCK_HZ;
use crate::{Error, Result};

/// Packets a second: each is 20 ms.
const PACKETS_HZ: u32 = 50;
/// Longest packet that an encoder makes, bytes.
const MAX_PACKET_BYTES: usize = 4_000;
/// Bits a second of each channel unless another number is asked for.
const BITS_A_CHANNEL: u32 = 64_000;
/// Packets of a page: 1 s.
const PAGE: usize = 50;
/// Number of the logical stream, of which there is one.
const SERIAL: u32 = 0x0076_696f;
const VENDOR: &[u8] = concat!("violet ", env!("CARGO_PKG_VERSION")).as_bytes();

pub(super) struct Opus<'s> {
    sink: Named<'s>,
    layout: Layout,
    encoder: ropus::Encoder,
    /// Resampled where Opus does not have the rate.
    planes: Planes,
    /// Samples at the encoder's rate that are not encoded yet, interleaved.
    pending: Vec<f32>,
    packet: Vec<u8>,
    pages: Pages,
    n_packets: usize,
    /// Frames at 48 kHz for each of the encoder's.
    step: u32,
    pre_skip: u64,
    /// Frames that came, at the encoder's rate.
    n_frames: u64,
}

impl<'s> Opus<'s> {
    pub(super) fn new(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        let is_known = [8_000, 12_000, 16_000, 24_000, 48_000].contains(&layout.sample_rate);
        let rate = if is_known { layout.sample_rate } else { CLOCK_HZ };
        let n_channels = layout.n_channels;
        let bit_rate = options.bit_rate.unwrap_or(BITS_A_CHANNEL * n_channels as u32);
        let impossible =
            || Error::InvalidInput(format!("opus at {bit_rate} bits a second; 6,000 to 510,000 are possible"));
        let in_range = Some(bit_rate).filter(|bit_rate| (6_000..=510_000).contains(bit_rate)).ok_or_else(impossible)?;
        let bit_rate = Bitrate::try_bits(in_range).map_err(|_| impossible())?;
        let channels = if n_channels == 1 { Channels::Mono } else { Channels::Stereo };
        let encoder = ropus::Encoder::builder(rate, channels, Application::Audio).bitrate(bit_rate).build();
        let encoder = encoder.map_err(|error| Error::InvalidInput(format!("opus: {error}")))?;
        let step = CLOCK_HZ / rate;
        let mut opus = Self {
            pre_skip: u64::from(encoder.lookahead() * step),
            planes: Planes::new(n_channels, layout.sample_rate, rate)?,
            pending: Vec::new(),
            packet: vec![0; MAX_PACKET_BYTES],
            pages: Pages::new(SERIAL),
            n_packets: 0,
            n_frames: 0,
            sink,
            layout,
            encoder,
            step,
        };
        opus.headers()?;
        Ok(opus)
    }

    fn headers(&mut self) -> Result<()> {
        let mut head = Vec::from(*b"OpusHead\x01");
        head.push(self.layout.n_channels as u8);
        head.extend((self.pre_skip as u16).to_le_bytes());
        head.extend(self.layout.sample_rate.to_le_bytes());
        head.extend([0, 0, 0]);
        let mut tags = Vec::from(*b"OpusTags");
        tags.extend((VENDOR.len() as u32).to_le_bytes());
        tags.extend(VENDOR);
        tags.extend([0; 4]);
        for packet in [head, tags] {
            self.pages.add(&packet, 0);
            let page = self.pages.end(false);
            self.sink.write(&page)?;
        }
        Ok(())
    }

    /// Samples of a packet, all channels.
    fn n_packet(&self) -> usize {
        (CLOCK_HZ / self.step / PACKETS_HZ) as usize * self.layout.n_channels
    }

    /// Encodes all whole packets, ending each at most at frame `end`, 48 kHz.
    fn drain(&mut self, end: u64) -> Result<()> {
        let n_packet = self.n_packet();
        let n_whole = self.pending.len() / n_packet;
        for index in 0..n_whole {
            let samples = &self.pending[index * n_packet..(index + 1) * n_packet];
            let n_bytes = self.encoder.encode_float(samples, &mut self.packet);
            let n_bytes = n_bytes.map_err(|error| Error::InvalidInput(format!("opus: {error}")))?;
            if self.pages.is_full_for(n_bytes) || self.n_packets > 0 && self.n_packets.is_multiple_of(PAGE) {
                let page = self.pages.end(false);
                self.sink.write(&page)?;
            }
            self.n_packets += 1;
            let position = self.n_packets as u64 * u64::from(CLOCK_HZ / PACKETS_HZ);
            self.pages.add(&self.packet[..n_bytes], position.min(end));
        }
        self.pending.drain(..n_whole * n_packet);
        Ok(())
    }

    fn interleave(&mut self) {
        let n_frames = self.planes.n_frames();
        for frame in 0..n_frames {
            self.pending.extend(self.planes.planes().iter().map(|plane| plane[frame]));
        }
        self.planes.forget(n_frames);
        self.n_frames += n_frames as u64;
    }
}

impl Encoder for Opus<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.layout.check(samples)?;
        for samples in samples.chunks(self.layout.n_channels << 15) {
            self.planes.push(samples);
            self.interleave();
            self.drain(u64::MAX)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.planes.finish();
        self.interleave();
        let end = self.n_frames * u64::from(self.step) + self.pre_skip;
        // Silence until all that came has left the encoder.
        let n_packets = end.div_ceil(u64::from(CLOCK_HZ / PACKETS_HZ)).max(1);
        let n_missing = usize::try_from(n_packets).unwrap_or(usize::MAX).saturating_sub(self.n_packets);
        self.pending.resize(n_missing.saturating_mul(self.n_packet()), 0.0);
        self.drain(end)?;
        let page = self.pages.end(true);
        self.sink.write(&page)?;
        self.sink.flush()
    }
}
