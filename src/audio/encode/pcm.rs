//! WAVE files and bare samples.
//!
//! Layout: Microsoft, "Multiple channel audio data and WAVE files", 2001 (`WAVE_FORMAT_EXTENSIBLE`).

use super::quantize::Quantizer;
use super::{EncodeOptions, Encoder, Layout, Named, SampleType};
use crate::{Error, Result};

/// Most bytes of a file whose lengths have 32 bits.
const MAX_BYTES: u64 = u32::MAX as u64;
/// What follows the two bytes of the format in its identifier.
const SUBFORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

pub(super) struct Pcm<'s> {
    sink: Named<'s>,
    layout: Layout,
    sample_type: SampleType,
    quantizer: Quantizer,
    bytes: Vec<u8>,
    /// Bytes of samples so far.
    n_bytes: u64,
    /// Length of the header; 0 for bare samples.
    header: usize,
}

impl<'s> Pcm<'s> {
    pub(super) fn bare(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Self {
        let n_bits = if options.sample_type == SampleType::I24 { 24 } else { 16 };
        let quantizer = Quantizer::new(n_bits, options.dither);
        Self { sink, layout, sample_type: options.sample_type, quantizer, bytes: Vec::new(), n_bytes: 0, header: 0 }
    }

    pub(super) fn wav(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        let mut wav = Self::bare(sink, layout, options);
        let header = wav.header_for(if wav.sink.is_live { u32::MAX } else { 0 });
        wav.header = header.len();
        wav.sink.write(&header)?;
        Ok(wav)
    }

    fn n_sample_bytes(&self) -> u16 {
        match self.sample_type {
            SampleType::I16 => 2,
            SampleType::I24 => 3,
            SampleType::F32 => 4,
        }
    }

    /// The header of a file with `n_bytes` of samples.
    fn header_for(&self, n_bytes: u32) -> Vec<u8> {
        let n_channels = u16::try_from(self.layout.n_channels).unwrap_or(u16::MAX);
        let sample_rate = self.layout.sample_rate;
        let n_frame_bytes = n_channels * self.n_sample_bytes();
        let format: u16 = if self.sample_type == SampleType::F32 { 3 } else { 1 };
        let is_extensible = n_channels > 2 || self.sample_type == SampleType::I24;
        let mut body = Vec::from(if is_extensible { 0xfffe_u16 } else { format }.to_le_bytes());
        body.extend(n_channels.to_le_bytes());
        body.extend(sample_rate.to_le_bytes());
        body.extend(sample_rate.saturating_mul(u32::from(n_frame_bytes)).to_le_bytes());
        body.extend(n_frame_bytes.to_le_bytes());
        body.extend((8 * self.n_sample_bytes()).to_le_bytes());
        if is_extensible {
            body.extend(22_u16.to_le_bytes());
            body.extend((8 * self.n_sample_bytes()).to_le_bytes());
            body.extend(speakers(n_channels).to_le_bytes());
            body.extend(format.to_le_bytes());
            body.extend(SUBFORMAT);
        }
        let mut header = Vec::from(*b"RIFF\0\0\0\0WAVEfmt ");
        header.extend((body.len() as u32).to_le_bytes());
        header.extend(body);
        if format == 3 {
            header.extend(b"fact\x04\0\0\0");
            header.extend((n_bytes / u32::from(n_frame_bytes)).to_le_bytes());
        }
        header.extend(b"data");
        header.extend(n_bytes.to_le_bytes());
        let n_riff = (header.len() as u32 - 8).saturating_add(n_bytes).saturating_add(n_bytes % 2);
        header[4..8].copy_from_slice(&n_riff.to_le_bytes());
        header
    }
}

/// The speakers' bits of the usual layout with so many channels; 0, for none, where there is no usual one.
fn speakers(n_channels: u16) -> u32 {
    match n_channels {
        1 => 0x4,
        2 => 0x3,
        3 => 0x7,
        4 => 0x33,
        5 => 0x37,
        6 => 0x3f,
        8 => 0x63f,
        _ => 0,
    }
}

impl Encoder for Pcm<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.layout.check(samples)?;
        let n_bytes = self.n_bytes + samples.len() as u64 * u64::from(self.n_sample_bytes());
        if self.header > 0 && !self.sink.is_live && n_bytes + self.header as u64 > MAX_BYTES {
            return Err(Error::TooLarge { what: "wav file", got_bytes: n_bytes, limit_bytes: MAX_BYTES });
        }
        for samples in samples.chunks(1 << 16) {
            self.bytes.clear();
            for &sample in samples {
                match self.sample_type {
                    SampleType::F32 => self.bytes.extend(sample.to_le_bytes()),
                    SampleType::I16 => self.bytes.extend(&self.quantizer.integer(sample).to_le_bytes()[..2]),
                    SampleType::I24 => self.bytes.extend(&self.quantizer.integer(sample).to_le_bytes()[..3]),
                }
            }
            self.sink.write(&self.bytes)?;
        }
        self.n_bytes = n_bytes;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.header > 0 {
            let padding = self.n_bytes % 2;
            self.sink.write(&[0][..padding as usize])?;
            let header = self.header_for(u32::try_from(self.n_bytes).unwrap_or(u32::MAX));
            self.sink.rewrite(self.n_bytes + padding + header.len() as u64, &header)?;
        }
        self.sink.flush()
    }
}
