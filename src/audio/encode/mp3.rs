//! MP3 by an `ffmpeg` on PATH: the samples go to a temporary file, and ffmpeg's answer to the sink.

use std::io::{BufWriter, Write};

use tempfile::NamedTempFile;

use super::pcm::Pcm;
use super::{EncodeOptions, Encoder, Format, Layout, Named, SampleType};
use crate::audio::external;
use crate::{Error, Result};

/// Bits a second of each channel unless another number is asked for.
const BITS_A_CHANNEL: u32 = 64_000;

pub(super) struct Mp3<'s> {
    sink: Named<'s>,
    samples: Box<Pcm<'s>>,
    file: NamedTempFile,
    bit_rate: u32,
}

impl<'s> Mp3<'s> {
    pub(super) fn new(sink: Named<'s>, layout: Layout, options: &EncodeOptions) -> Result<Self> {
        if !options.allow_ffmpeg {
            return Err(Error::Unsupported(
                "mp3 is written by ffmpeg only; allow it (allow_ffmpeg), or write opus or flac".to_owned(),
            ));
        }
        let io_error = |source| Error::Io { path: "temporary file".into(), source };
        let file = NamedTempFile::new().map_err(io_error)?;
        let copy = Named {
            sink: Box::new(BufWriter::new(file.reopen().map_err(io_error)?)),
            name: "temporary file".to_owned(),
        };
        let options = EncodeOptions { format: Format::Wav, sample_type: SampleType::F32, ..*options };
        let samples = Box::new(Pcm::wav(copy, layout, &options)?);
        let bit_rate = options.bit_rate.unwrap_or(BITS_A_CHANNEL * layout.n_channels as u32);
        Ok(Self { sink, samples, file, bit_rate })
    }
}

impl Encoder for Mp3<'_> {
    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.samples.write(samples)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { mut sink, samples, file, bit_rate } = *self;
        samples.finish()?;
        let mut mp3 = external::to_mp3(file.path(), bit_rate)?;
        match std::io::copy(&mut mp3, &mut sink.sink) {
            Ok(_) => sink.sink.flush().map_err(|source| sink.error(source)),
            Err(source) => Err(sink.error(source)),
        }
    }
}
