//! MP3 at a constant bit rate by `rusty_mp3`, frame by frame.
//!
//! Frames and bit rates: ISO/IEC 11172-3 and 13818-3, layer III. The first frame is silent and carries the delay and
//! padding in the form that LAME gave it, by which players cut both off.

use rusty_mp3::encode::{Mp3Encode, lametag};
use rusty_mp3::header::{FrameHeader, MpegVersion};

use super::planes::Planes;
use super::{EncodeOptions, Encoder, Layout, Named};
use crate::{Error, Result};

/// Rates that the format has, Hz; others are resampled.
const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// Bit rates from 32 kHz on, kbit/s.
const BIT_RATES: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// Bit rates of lower sample rates, kbit/s.
const LOW_BIT_RATES: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// Bits a second of each channel unless another number is asked for.
const BITS_A_CHANNEL: u32 = 64_000;

pub(super) struct Mp3<'s> {
    sink: Named<'s>,
    layout: Layout,
    planes: Planes,
    state: Mp3Encode,
    header: FrameHeader,
    tag_header: FrameHeader,
    stats: lametag::TagStats,
    /// Eighths of bytes, times the sample rate, that frames owe to the bit rate: a frame with one byte more pays.
    owed: u64,
    n_encoded: u64,
    n_bytes: u64,
}

impl<'s> Mp3<'s> {
    pub(super) fn new(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        let rate = RATES.into_iter().find(|&rate| rate >= layout.sample_rate).unwrap_or(48_000);
        let bit_rates = if rate < 32_000 { LOW_BIT_RATES } else { BIT_RATES };
        let bit_rate = options.bit_rate.unwrap_or(BITS_A_CHANNEL * layout.n_channels as u32);
        if !bit_rates.iter().any(|&kbps| kbps * 1_000 == bit_rate) {
            let possible: Vec<String> = bit_rates.iter().map(|kbps| format!("{kbps},000")).collect();
            return Err(Error::InvalidInput(format!(
                "mp3 at {bit_rate} bits a second; at {rate} Hz these are possible: {}",
                possible.join(", ")
            )));
        }
        let header = rusty_mp3::encoder_header(rate, layout.n_channels as u16, bit_rate / 1_000);
        let header = header.map_err(|error| Error::InvalidInput(format!("mp3: {error:?}")))?;
        let tag_header = lametag::tag_header(&header);
        let mut mp3 = Self {
            planes: Planes::new(layout.n_channels, layout.sample_rate, rate)?,
            state: Mp3Encode::new(),
            stats: lametag::TagStats::new(tag_header.frame_size()),
            owed: 0,
            n_encoded: 0,
            n_bytes: 0,
            sink,
            layout,
            header,
            tag_header,
        };
        if !mp3.sink.is_live {
            let tag = mp3.tag(0, 0);
            mp3.write_out(&tag)?;
        }
        Ok(mp3)
    }

    /// Samples of each channel in a frame.
    fn n_frame(&self) -> usize {
        if self.header.version == MpegVersion::V1 { 1_152 } else { 576 }
    }

    fn tag(&self, delay: usize, padding: u64) -> Vec<u8> {
        let info = lametag::TagInfo { vbr: false, delay, padding: padding as usize };
        lametag::tag_frame(&self.tag_header, &self.stats, &info)
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<()> {
        self.n_bytes += bytes.len() as u64;
        self.sink.write(bytes)
    }

    /// Encodes all whole frames.
    fn drain(&mut self) -> Result<()> {
        let n_frame = self.n_frame();
        let n_whole = self.planes.n_frames() / n_frame;
        for index in 0..n_whole {
            let part = index * n_frame..(index + 1) * n_frame;
            let clipped = |plane: &Vec<f32>| plane[part.clone()].iter().map(|sample| sample.clamp(-1.0, 1.0)).collect();
            let channels: Vec<Vec<f32>> = self.planes.planes().iter().map(clipped).collect();
            let rate = u64::from(self.header.sample_rate);
            self.owed += n_frame as u64 * u64::from(self.header.bitrate_kbps) * 1_000 % (8 * rate);
            self.header.padding = self.owed >= 8 * rate;
            self.owed %= 8 * rate;
            let frame = self.state.encode_frame(&self.header, &channels, None);
            let frame = frame.map_err(|error| Error::InvalidInput(format!("mp3: {error:?}")))?;
            self.stats.add_frame(&frame);
            self.write_out(&frame)?;
            self.n_encoded += 1;
        }
        self.planes.forget(n_whole * n_frame);
        Ok(())
    }
}

impl Encoder for Mp3<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.layout.check(samples)?;
        for samples in samples.chunks(self.layout.n_channels << 15) {
            self.planes.push(samples);
            self.drain()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.planes.finish();
        let n_frame = self.n_frame();
        let n_samples = self.n_encoded * n_frame as u64 + self.planes.n_frames() as u64;
        let priming = if self.n_encoded == 0 { lametag::extra_priming(n_samples, n_frame) } else { 0 };
        self.planes.delay(priming);
        let delay = lametag::ENCODER_DELAY + priming;
        // Silence until all that came has left the encoder.
        let n_missing = lametag::frames_for(n_samples, delay, n_frame) - self.n_encoded;
        self.planes.pad(n_missing as usize * n_frame);
        self.drain()?;
        if !self.sink.is_live {
            let tag = self.tag(delay, lametag::padding_for(n_samples, delay, n_frame));
            self.sink.rewrite(self.n_bytes, &tag)?;
        }
        self.sink.flush()
    }
}
