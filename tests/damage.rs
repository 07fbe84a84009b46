//! Damaged and crafted input, in every way in and out: an answer or an error, no panic, nothing beyond the limits.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; numbers here are small"
)]

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use violet::Error;
use violet::audio::{self, Blocks, EncodeOptions, Format, Limits, Mix, Options, SampleType};

/// One of every container and codec; `make fuzz` damages each a few thousand times.
const CLIPS: [&str; 34] = [
    "clip.wav",
    "clip_u8.wav",
    "clip_s24.wav",
    "clip_s32.wav",
    "clip_f32.wav",
    "clip_f64.wav",
    "clip_alaw.wav",
    "clip_mulaw.wav",
    "clip_adpcm.wav",
    "clip_51.wav",
    "clip.aiff",
    "clip.caf",
    "clip_opus.caf",
    "clip.flac",
    "clip_51.flac",
    "clip_flac.oga",
    "clip_alac.m4a",
    "clip.mp3",
    "clip_44k_mono.mp3",
    "clip_44k_stereo.mp3",
    "clip_vbr_without_tag.mp3",
    "clip.m4a",
    "clip.aac",
    "clip.ogg",
    "clip_51.ogg",
    "clip.opus",
    "clip_51.opus",
    "clip_silk_dtx.opus",
    "clip_opus.mp4",
    "clip_opus.webm",
    "clip.mkv",
    "clip_video.mp4",
    "clip_video.mkv",
    "clip_video.webm",
];

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Numbers below a bound, the same in every run.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A few bytes at a time, never back.
struct Pieces<'b>(&'b [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(997);
        self.0.read(&mut buffer[..n])
    }
}

/// Hears damaged bytes in every way there is.
fn hear(bytes: &[u8], round: usize) {
    let limits = Limits { max_duration_s: 20.0, ..Limits::default() };
    let options = Options { sample_rate: Some(16_000), limits: limits.clone(), ..Options::default() };
    if let Ok(sound) = audio::read_from(Cursor::new(bytes), "test", &options) {
        assert!(sound.samples.len() as f64 / 16_000.0 <= 20.5);
    }
    let _ = audio::probe_reader(Cursor::new(bytes), "test", &limits);
    if round.is_multiple_of(4) {
        let part = Options { start_s: 2.25, duration_s: Some(0.25), mix: Mix::All, ..options.clone() };
        let _ = audio::read_from(Cursor::new(bytes), "test", &part);
        if let Ok(blocks) = Blocks::from_arriving(Pieces(bytes), "test", &options) {
            assert!(blocks.map_while(Result::ok).map(|block| block.len()).sum::<usize>() < 21 * 16_000);
        }
    }
}

#[test]
fn truncated_and_flipped_bytes_never_panic_and_stay_within_limits() {
    let mut random = Random(0x2545_f491);
    let rounds: usize = std::env::var("VIOLET_FUZZ_ROUNDS").ok().map_or(20, |rounds| rounds.parse().unwrap());
    for name in CLIPS {
        let whole = data(name);
        for round in 0..rounds {
            let mut bytes = whole.clone();
            // Damage at the front meets the header's parser, at the end of an mp4 its tables, elsewhere the decoder.
            let reach = match round % 4 {
                0 | 2 => 0..bytes.len().min(600),
                1 => bytes.len().saturating_sub(1_200)..bytes.len(),
                _ => 0..bytes.len(),
            };
            for _ in 0..=random.below(8) {
                bytes[reach.start + random.below(reach.len())] = random.below(256) as u8;
            }
            if round % 3 == 0 {
                bytes.truncate(1 + random.below(whole.len()));
            }
            assert!(catch_unwind(|| hear(&bytes, round)).is_ok(), "{name}, round {round}");
        }
    }
}

#[test]
fn anything_is_written_or_refused() {
    let mut random = Random(0x9e37_79b9);
    let rounds: usize = std::env::var("VIOLET_FUZZ_ROUNDS").ok().map_or(300, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let options = EncodeOptions {
            format: random.one_of(&[Format::Wav, Format::Flac, Format::Mp3, Format::Aac, Format::Opus, Format::Pcm]),
            sample_type: random.one_of(&[SampleType::I16, SampleType::I24, SampleType::F32]),
            bit_rate: random.one_of(&[None, None, Some(0), Some(8_000), Some(24_000), Some(128_000), Some(320_000)]),
            dither: random.one_of(&[None, Some(0), Some(7)]),
        };
        let sample_rate =
            random.one_of(&[0, 999, 1_000, 7_350, 8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 655_351]);
        let n_channels = random.one_of(&[0, 1, 1, 1, 2, 2, 2, 3, 6, 9, 33]);
        let loudest = random.one_of(&[0.0, 1e-30, 0.5, 1.0, 1e3, f32::MAX, f32::NAN]);
        let n = n_channels * random.below(5_000) + usize::from(random.below(20) == 0);
        let samples: Vec<f32> = (0..n).map(|_| (random.below(2_001) as f32 / 1_000.0 - 1.0) * loudest).collect();
        let what = format!("round {round}: {options:?}, {sample_rate} Hz, {n_channels} channels, {n} samples");
        let written = catch_unwind(AssertUnwindSafe(|| {
            let mut live = Vec::new();
            if let Ok(mut encoder) = audio::live_encoder(&mut live, "test", sample_rate, n_channels, &options) {
                let is_taken = samples.chunks(n_channels * 700).try_for_each(|piece| encoder.write(piece)).is_ok();
                let is_finished = encoder.finish().is_ok();
                assert!(is_finished || !is_taken, "{what}");
            }
            audio::encode(&samples, sample_rate, n_channels, &options)
        }));
        let Ok(written) = written else { panic!("{what}") };
        if let Ok(bytes) = written
            && options.format != Format::Pcm
            && n > 0
            && sample_rate >= 1_000
        {
            let limits = Limits { max_sample_rate: 655_350, ..Limits::default() };
            let read = audio::read_from(Cursor::new(bytes), "test", &Options { limits, ..Options::default() });
            assert!(read.is_ok_and(|sound| sound.skipped_packets == 0), "{what}");
        }
    }
}

/// The same boxes with other contents where `replace` has them; lengths follow.
fn rebuilt(mut bytes: &[u8], replace: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    while let [a, b, c, d, rest @ ..] = bytes {
        let n = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (kind, body) = (&rest[..4], &rest[4..n - 4]);
        let body = match kind {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => rebuilt(body, replace),
            _ => replace(kind).unwrap_or_else(|| body.to_vec()),
        };
        out.extend((body.len() as u32 + 8).to_be_bytes());
        out.extend(kind);
        out.extend(body);
        bytes = &bytes[n..];
    }
    out
}

/// clip.m4a whose tables tell of so many packets of one byte, all in its 17 kB; its clock has so many ticks.
fn claims(n_packets: u32, n_ticks: u32) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
    let per_chunk = 17_000;
    let n_chunks = n_packets.div_ceil(per_chunk);
    rebuilt(&data("clip.m4a"), &|kind| match kind {
        b"mdhd" => Some(words(&[0, 0, 0, 16_000, n_ticks, 0x55c4_0000])),
        b"stts" => Some(words(&[0, 1, n_packets, 1_024])),
        b"stsc" => Some(words(&[0, 1, 1, per_chunk, 1])),
        b"stsz" => Some(words(&[0, 1, n_packets])),
        b"stco" => Some([words(&[0, n_chunks]), words(&vec![44; n_chunks as usize])].concat()),
        b"edts" => Some(Vec::new()),
        _ => None,
    })
}

#[test]
fn ten_hours_in_a_few_kilobytes_stop_at_the_limit() {
    const TEN_HOURS: u32 = 36_000 * 16_000;
    // A header that tells of ten hours is enough.
    let honest = claims(TEN_HOURS / 1_024, TEN_HOURS);
    assert!(honest.len() < 20_000);
    let read = |bytes: &[u8], limits: Limits| {
        audio::read_from(Cursor::new(bytes), "test", &Options { limits, ..Options::default() })
    };
    assert!(matches!(read(&honest, Limits::default()), Err(Error::TooLong { got_s, .. }) if got_s > 35_000.0));
    let mut flac = data("clip.flac");
    // The length in the description of the stream: 36 bits that end at byte 26.
    let low = flac[21] & 0xf0;
    flac[21..26].copy_from_slice(&[low, 0x22, 0x55, 0x10, 0x00]);
    assert!(matches!(read(&flac, Limits::default()), Err(Error::TooLong { got_s, .. }) if got_s > 35_000.0));
    // Where it may be as long, what is not there is noticed.
    let long = Limits { max_duration_s: 40_000.0, ..Limits::default() };
    assert!(read(&flac, long.clone()).is_ok_and(|sound| sound.skipped_packets > 0));
    let is_noticed = |bytes: &[u8]| !read(bytes, long.clone()).is_ok_and(|sound| sound.skipped_packets == 0);
    assert!(is_noticed(&honest));
    // A header that lies about it, and tables of 74 hours.
    assert!(is_noticed(&claims(TEN_HOURS / 1_024, 48_000)) && is_noticed(&claims(u32::MAX / 1_024, 48_000)));
}
