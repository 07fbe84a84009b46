//! FLAC by `flacenc`, frame by frame. Header: RFC 9639, section 8.2.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config::Encoder as Config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use super::quantize::Quantizer;
use super::{EncodeOptions, Encoder, Layout, Named, SampleType};
use crate::{Error, Result};

/// Samples of each channel in a frame.
const BLOCK: usize = 4_096;
/// `fLaC`, a block's header, and the stream's description.
const HEADER: usize = 4 + 4 + 34;

pub(super) struct Flac<'s> {
    sink: Named<'s>,
    layout: Layout,
    n_bits: usize,
    quantizer: Quantizer,
    config: Verified<Config>,
    /// Samples as they are: flacenc has no short code for noise of 24 bits and would make it many times longer.
    verbatim: Verified<Config>,
    info: StreamInfo,
    buffer: FrameBuf,
    context: Context,
    pending: Vec<i32>,
    n_frames: usize,
    n_bytes: u64,
    /// Least and greatest length of a frame, bytes.
    frame_bytes: (usize, usize),
}

impl<'s> Flac<'s> {
    pub(super) fn new(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        let n_bits = match options.sample_type {
            SampleType::I16 => 16,
            SampleType::I24 => 24,
            SampleType::F32 => {
                return Err(Error::InvalidInput("flac holds integers; ask for 16 or 24 bits, or for wav".to_owned()));
            }
        };
        let config = Config::default().into_verified().map_err(|(_, error)| internal(&error))?;
        let mut verbatim = Config::default();
        (verbatim.subframe_coding.use_constant, verbatim.subframe_coding.use_fixed) = (false, false);
        verbatim.subframe_coding.use_lpc = false;
        let verbatim = verbatim.into_verified().map_err(|(_, error)| internal(&error))?;
        let info = StreamInfo::new(layout.sample_rate as usize, layout.n_channels, n_bits);
        let mut flac = Self {
            info: info.map_err(|error| internal(&error))?,
            buffer: FrameBuf::with_size(layout.n_channels, BLOCK).map_err(|error| internal(&error))?,
            context: Context::new(n_bits, layout.n_channels),
            quantizer: Quantizer::new(n_bits as u32, options.dither),
            pending: Vec::new(),
            n_frames: 0,
            n_bytes: 0,
            frame_bytes: (usize::MAX, 0),
            sink,
            layout,
            n_bits,
            config,
            verbatim,
        };
        let header = flac.header();
        flac.sink.write(&header)?;
        Ok(flac)
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(b"fLaC\x80\0\0\x22");
        header[8..10].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        header[10..12].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        if self.frame_bytes.0 <= self.frame_bytes.1 {
            header[12..15].copy_from_slice(&(self.frame_bytes.0 as u32).to_be_bytes()[1..]);
            header[15..18].copy_from_slice(&(self.frame_bytes.1 as u32).to_be_bytes()[1..]);
        }
        let n_samples = self.context.total_samples() as u64;
        // More than 36 bits of samples: the length stays unknown.
        let n_samples = if n_samples < 1 << 36 { n_samples } else { 0 };
        let packed = u64::from(self.layout.sample_rate) << 44
            | (self.layout.n_channels as u64 - 1) << 41
            | (self.n_bits as u64 - 1) << 36
            | n_samples;
        header[18..26].copy_from_slice(&packed.to_be_bytes());
        // Of a stream that has left, the checksum stays unknown.
        if !self.sink.is_live {
            header[26..].copy_from_slice(&self.context.md5_digest());
        }
        header
    }

    /// Encodes the samples, at most a block of them.
    fn frame(&mut self, samples: &[i32]) -> Result<()> {
        self.buffer.fill_interleaved(samples).map_err(|error| internal(&error))?;
        self.context.fill_interleaved(samples).map_err(|error| internal(&error))?;
        let encode = |config| {
            let frame = flacenc::encode_fixed_size_frame(config, &self.buffer, self.n_frames, &self.info);
            frame.map_err(|error| internal(&error))
        };
        let mut frame = encode(&self.config)?;
        if frame.count_bits() > samples.len() * self.n_bits {
            frame = encode(&self.verbatim)?;
        }
        let mut bytes = ByteSink::new();
        frame.write(&mut bytes).map_err(|error| internal(&error))?;
        let n_bytes = bytes.as_slice().len();
        self.frame_bytes = (self.frame_bytes.0.min(n_bytes), self.frame_bytes.1.max(n_bytes));
        self.n_frames += 1;
        self.n_bytes += n_bytes as u64;
        self.sink.write(bytes.as_slice())
    }
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::InvalidInput(format!("flac cannot hold this: {error}"))
}

impl Encoder for Flac<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.layout.check(samples)?;
        let block = BLOCK * self.layout.n_channels;
        for &sample in samples {
            self.pending.push(self.quantizer.integer(sample));
            if self.pending.len() == block {
                let pending = std::mem::take(&mut self.pending);
                self.frame(&pending)?;
                self.pending = pending;
                self.pending.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.buffer.resize(pending.len() / self.layout.n_channels);
            self.frame(&pending)?;
        }
        let header = self.header();
        self.sink.rewrite(self.n_bytes + HEADER as u64, &header)?;
        self.sink.flush()
    }
}
