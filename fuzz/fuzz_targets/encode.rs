//! Any samples in any format: written and read back, or refused.
#![no_main]

use std::io::Cursor;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use violet::audio::{self, EncodeOptions, Format, Limits, Options, SampleType};

#[derive(Arbitrary, Debug)]
struct Case {
    format: u8,
    sample_type: u8,
    bit_rate: Option<u32>,
    dither: Option<u64>,
    sample_rate: u32,
    n_channels: u8,
    samples: Vec<f32>,
}

fuzz_target!(|case: Case| {
    let formats = [Format::Wav, Format::Flac, Format::Mp3, Format::Aac, Format::Opus, Format::Pcm];
    let format = formats[usize::from(case.format) % formats.len()];
    let sample_type = [SampleType::I16, SampleType::I24, SampleType::F32][usize::from(case.sample_type) % 3];
    let options = EncodeOptions { format, sample_type, bit_rate: case.bit_rate, dither: case.dither };
    let n_channels = usize::from(case.n_channels);
    let written = audio::encode(&case.samples, case.sample_rate, n_channels, &options);
    if let Ok(bytes) = written
        && format != Format::Pcm
        && !case.samples.is_empty()
        && case.sample_rate >= 1_000
    {
        let limits = Limits { max_sample_rate: 655_350, ..Limits::default() };
        let read = audio::read_from(Cursor::new(bytes), "fuzz", &Options { limits, ..Options::default() });
        assert_eq!(read.expect("what is written is read").skipped_packets, 0);
    }
});
