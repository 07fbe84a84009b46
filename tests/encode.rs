//! What is written is what is read: by this crate, and by ffmpeg where there is one.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; numbers here are small"
)]

#[path = "encode/aac.rs"]
mod aac;

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use violet::audio::{self, EncodeOptions, Format, Mix, Options, SampleType, Sound};

fn speech(sample_rate: u32) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jfk.flac");
    audio::read(path, &Options { sample_rate: Some(sample_rate), ..Options::default() }).unwrap().samples
}

/// Two channels: speech, and half of it a little later.
fn stereo(sample_rate: u32) -> Vec<f32> {
    let mono = speech(sample_rate);
    (0..mono.len()).flat_map(|n| [mono[n], 0.5 * mono[n.saturating_sub(40)]]).collect()
}

fn decode(bytes: Vec<u8>) -> Sound {
    audio::read_from(Cursor::new(bytes), "test", &Options { mix: Mix::All, ..Options::default() }).unwrap()
}

/// ffmpeg's reading of the bytes, as floats; `None` without ffmpeg.
fn ffmpeg(bytes: &[u8], decoder: &[&str]) -> Option<Vec<f32>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror"]).args(decoder).arg("-i").arg(file.path()).args(["-f", "f32le", "-"]);
    let output = command.output().ok()?;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect())
}

fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max)
}

fn snr_db(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let noise: f64 = got.iter().zip(want).map(|(&got, &want)| f64::from(got - want).powi(2)).sum();
    10.0 * (want.iter().map(|&want| f64::from(want).powi(2)).sum::<f64>() / noise).log10()
}

#[test]
fn lossless_formats_give_back_what_they_got_within_half_a_step_of_dither() {
    // Dither is at most one step, rounding half of one.
    for (format, sample_type, limit) in [
        (Format::Wav, SampleType::I16, 1.5 / 32_768.0),
        (Format::Wav, SampleType::I24, 1.5 / 8_388_608.0),
        (Format::Wav, SampleType::F32, 0.0),
        (Format::Flac, SampleType::I16, 1.5 / 32_768.0),
        (Format::Flac, SampleType::I24, 1.5 / 8_388_608.0),
    ] {
        for (n_channels, samples) in [(1, speech(22_050)), (2, stereo(22_050)), (6, speech(22_050)[..60_000].to_vec())]
        {
            let options = EncodeOptions { format, sample_type, ..EncodeOptions::default() };
            let bytes = audio::encode(&samples, 22_050, n_channels, &options).unwrap();
            if let Some(theirs) = ffmpeg(&bytes, &[]) {
                assert!(worst(&theirs, &samples) <= limit, "{format:?} {sample_type:?} {n_channels}: ffmpeg");
            }
            let sound = decode(bytes.clone());
            assert_eq!((sound.sample_rate, sound.n_channels, sound.skipped_packets), (22_050, n_channels, 0));
            assert!(worst(&sound.samples, &samples) <= limit, "{format:?} {sample_type:?} {n_channels}");
            // What has no more bits than the file is kept as it is, and the same seed gives the same file.
            assert!(audio::encode(&sound.samples, 22_050, n_channels, &options).unwrap() == bytes);
        }
    }
}

#[test]
fn flac_of_any_length_is_whole() {
    let samples = speech(16_000);
    let options = EncodeOptions { format: Format::Flac, ..EncodeOptions::default() };
    for n in [1, 2, 15, 16, 17, 31, 33, 4_095, 4_096, 4_097, 8_192, 10_001] {
        let bytes = audio::encode(&samples[..n], 16_000, 1, &options).unwrap();
        if let Some(theirs) = ffmpeg(&bytes, &[]) {
            assert_eq!(theirs.len(), n);
        }
        assert!(worst(&decode(bytes).samples, &samples[..n]) < 1.5 / 32_768.0, "{n} samples");
    }
    let bytes = audio::encode(&samples, 16_000, 1, &options).unwrap();
    assert!(bytes.len() < samples.len() * 2 * 7 / 10, "{} bytes", bytes.len());
}

#[test]
fn opus_is_as_long_as_what_it_got_and_not_delayed() {
    for (sample_rate, n_channels) in
        [(8_000, 1), (16_000, 1), (16_000, 2), (24_000, 1), (44_100, 2), (48_000, 2), (22_050, 1)]
    {
        let samples = if n_channels == 1 { speech(sample_rate) } else { stereo(sample_rate) };
        let options = EncodeOptions { format: Format::Opus, bit_rate: Some(96_000), ..EncodeOptions::default() };
        let bytes = audio::encode(&samples, sample_rate, n_channels, &options).unwrap();
        let n_seconds = samples.len() as f64 / n_channels as f64 / f64::from(sample_rate);
        assert!((bytes.len() as f64 * 8.0 / n_seconds) < 125_000.0);
        let sound = decode(bytes.clone());
        assert_eq!((sound.sample_rate, sound.n_channels, sound.skipped_packets), (48_000, n_channels, 0));
        let got_s = sound.samples.len() as f64 / n_channels as f64 / 48_000.0;
        assert!((got_s - n_seconds).abs() < 1.0 / f64::from(sample_rate), "{got_s} s of {n_seconds}");
        let want = audio::resample_interleaved(&samples, n_channels, sample_rate, 48_000).unwrap();
        let n = sound.samples.len().min(want.len());
        let db = snr_db(&sound.samples[..n], &want[..n]);
        assert!(db > 10.0, "{sample_rate} Hz, {n_channels} channels: {db:.1} dB");
        if let Some(theirs) = ffmpeg(&bytes, &["-c:a", "libopus"]) {
            assert_eq!(theirs.len(), sound.samples.len(), "{sample_rate} Hz: ffmpeg");
            // libopus in floating point there, in fixed point here.
            let sum: f64 = theirs.iter().zip(&sound.samples).map(|(&a, &b)| f64::from(a - b).powi(2)).sum();
            let lsb = (sum / theirs.len() as f64).sqrt() * 32_768.0;
            assert!(lsb < 1.5, "{lsb:.2} of a step");
        }
    }
}

#[test]
fn pieces_make_the_same_file_as_the_whole() {
    let samples = stereo(44_100);
    for format in [Format::Wav, Format::Flac, Format::Mp3, Format::Aac, Format::Opus, Format::Pcm] {
        let options = EncodeOptions { format, ..EncodeOptions::default() };
        let whole = audio::encode(&samples, 44_100, 2, &options).unwrap();
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = audio::encoder(&mut bytes, "test", 44_100, 2, &options).unwrap();
        samples.chunks(2 * 777).for_each(|piece| encoder.write(piece).unwrap());
        encoder.finish().unwrap();
        assert!(bytes.into_inner() == whole, "{format:?}");
    }
}

/// Frames of an mp3 file, each with its header's bits: sync, version, layer, index of bit rate, rate and padding.
fn mp3_frames(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    const LOW: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    const HIGH: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let header = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(header >> 21, 0x7ff, "no frame at byte {at}");
        assert_eq!(header >> 17 & 3, 1, "not layer III at byte {at}");
        let (version, index, padding) = (header >> 19 & 3, (header >> 12 & 15) as usize, (header >> 9 & 1) as usize);
        let shift = [2, 9, 1, 0][version as usize];
        let rate = [44_100, 48_000, 32_000][(header >> 10 & 3) as usize] >> shift;
        let (factor, kbps) = if version == 3 { (144, HIGH[index]) } else { (72, LOW[index]) };
        let n_bytes = factor * 1_000 * kbps / rate + padding;
        frames.push((header, &bytes[at..at + n_bytes]));
        at += n_bytes;
    }
    frames
}

#[test]
fn mp3_is_as_long_as_what_it_got_and_not_delayed() {
    // Rate, channels, bits a second, least signal to noise ratio in dB.
    for (sample_rate, n_channels, bit_rate, least_db) in [
        (16_000, 1, 64_000, 35.0),
        (24_000, 1, 64_000, 35.0),
        (22_050, 2, 128_000, 35.0),
        (32_000, 1, 64_000, 30.0),
        (44_100, 1, 128_000, 45.0),
        (44_100, 2, 128_000, 30.0),
        (48_000, 2, 320_000, 45.0),
    ] {
        let samples = if n_channels == 1 { speech(sample_rate) } else { stereo(sample_rate) };
        let options = EncodeOptions { format: Format::Mp3, bit_rate: Some(bit_rate), ..EncodeOptions::default() };
        let bytes = audio::encode(&samples, sample_rate, n_channels, &options).unwrap();
        let name = format!("{sample_rate} Hz, {n_channels} channels");
        let frames = mp3_frames(&bytes);
        let n_seconds = samples.len() as f64 / n_channels as f64 / f64::from(sample_rate);
        let kept = bytes.len() as f64 * 8.0 / n_seconds;
        assert!((kept / f64::from(bit_rate) - 1.0).abs() < 0.02, "{name}: {kept} bits a second");
        let tag = frames[0].1.windows(4).position(|four| four == b"Info").unwrap();
        let n_stated = u32::from_be_bytes(frames[0].1[tag + 8..tag + 12].try_into().unwrap());
        assert_eq!(n_stated as usize, frames.len() - 1, "{name}: frames");
        let sound = decode(bytes.clone());
        assert_eq!((sound.info.codec.as_str(), sound.n_channels, sound.sample_rate), ("mp3", n_channels, sample_rate));
        assert_eq!(sound.skipped_packets, 0);
        let db = snr_db(&sound.samples, &samples);
        assert!(db > least_db, "{name}: {db:.1} dB");
        if let Some(theirs) = ffmpeg(&bytes, &[]) {
            let db = snr_db(&theirs, &sound.samples);
            assert!(db > 80.0, "{name}: ffmpeg hears it otherwise, {db:.1} dB");
        }
    }
}

/// Half a second of a chord of which the second channel has half at times: both kinds of stereo.
fn chord(sample_rate: u32, n_channels: usize) -> Vec<f32> {
    let tone = |n: usize, hz: f32| (std::f32::consts::TAU * hz * n as f32 / sample_rate as f32).sin();
    let frame = |n: usize| {
        let (a, b) = (0.3 * tone(n, 440.0) + 0.2 * tone(n, 1_310.0), 0.3 * tone(n, 777.0));
        [a, if (n / 2_000).is_multiple_of(2) { 0.5 * a } else { b }]
    };
    (0..sample_rate as usize / 2).flat_map(|n| frame(n).into_iter().take(n_channels)).collect()
}

/// White noise in [-1, 1), always the same.
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[test]
fn mp3_of_every_rate_and_bit_rate_is_heard_as_what_it_was() {
    let low = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let high = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    for sample_rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        for n_channels in [1, 2] {
            let samples = chord(sample_rate, n_channels);
            for kbps in if sample_rate < 32_000 { low } else { high } {
                let options = EncodeOptions { format: Format::Mp3, bit_rate: Some(kbps * 1_000), ..Default::default() };
                let bytes = audio::encode(&samples, sample_rate, n_channels, &options).unwrap();
                assert!(!mp3_frames(&bytes).is_empty());
                let sound = decode(bytes);
                let db = snr_db(&sound.samples, &samples);
                // A second of stereo in 1,000 bytes is a murmur.
                let least_db = if kbps < 32 * n_channels as u32 { -1.0 } else { 10.0 };
                assert!(db > least_db, "{sample_rate} Hz, {n_channels} channels, {kbps} kbit/s: {db:.1} dB");
            }
        }
    }
}

#[test]
fn mp3_of_anything_is_heard() {
    let options = EncodeOptions { format: Format::Mp3, ..EncodeOptions::default() };
    let mut noise = noise();
    for sample_rate in [24_000, 44_100] {
        for n in [0, 1, 94, 575, 576, 577, 1_151, 1_152, 1_153, 30_000] {
            let extreme: Vec<f32> = (0..n).map(|_| noise().signum() * 1e30).collect();
            for samples in [vec![0.0; n], (0..n).map(|_| noise()).collect(), extreme] {
                let bytes = audio::encode(&samples, sample_rate, 1, &options).unwrap();
                mp3_frames(&bytes);
                if n > 0 {
                    assert_eq!(decode(bytes.clone()).samples.len(), n);
                }
                assert!(n == 0 || ffmpeg(&bytes, &[]).is_none_or(|theirs| theirs.len() == n), "{sample_rate} Hz, {n}");
            }
        }
    }
    // A rate that mp3 has not is resampled, as is one that is too high.
    for (given, had) in [(37_800, 44_100), (96_000, 48_000), (6_000, 8_000)] {
        let sound = decode(audio::encode(&[0.1].repeat(given as usize), given, 1, &options).unwrap());
        assert_eq!((sound.sample_rate, sound.samples.len()), (had, had as usize));
    }
}

#[test]
fn live_files_are_whole_without_going_back() {
    let samples = stereo(24_000);
    for format in [Format::Wav, Format::Flac, Format::Mp3, Format::Aac, Format::Opus] {
        let options = EncodeOptions { format, ..EncodeOptions::default() };
        let mut bytes = Vec::new();
        let mut encoder = audio::live_encoder(&mut bytes, "test", 24_000, 2, &options).unwrap();
        samples.chunks(2 * 4_800).for_each(|piece| encoder.write(piece).unwrap());
        encoder.finish().unwrap();
        // Of a wav that ends before its greatest length ffmpeg complains, and decodes all.
        let theirs = if format == Format::Wav { None } else { ffmpeg(&bytes, &[]) };
        let sound = decode(bytes);
        let n_extra = match format {
            Format::Mp3 => 2 * 1_057..2 * 1_700,
            Format::Aac => 2 * 1_024..2 * 2_048,
            _ => 0..1,
        };
        let n_want = if format == Format::Opus { 2 * samples.len() } else { samples.len() };
        let n_more = sound.samples.len() - n_want;
        assert!(n_extra.contains(&n_more), "{format:?}: {n_more} samples more");
        assert!(theirs.is_none_or(|theirs| theirs.len() == sound.samples.len()), "{format:?}");
    }
}

#[test]
fn impossible_files_are_refused() {
    let encode = |samples: &[f32], rate, n_channels, options: EncodeOptions| {
        audio::encode(samples, rate, n_channels, &options).unwrap_err().to_string()
    };
    let wav = EncodeOptions::default();
    let flac = EncodeOptions { format: Format::Flac, sample_type: SampleType::F32, ..wav };
    let opus = EncodeOptions { format: Format::Opus, ..wav };
    assert!(encode(&[0.0; 3], 16_000, 2, wav).contains("whole frames"));
    assert!(encode(&[f32::NAN], 16_000, 1, wav).contains("finite"));
    assert!(encode(&[0.0], 0, 1, wav).contains("sample rate is 0"));
    assert!(encode(&[0.0], 16_000, 0, wav).contains("0 channels"));
    assert!(encode(&[0.0; 3], 16_000, 3, opus).contains("1 to 2"));
    assert!(encode(&[0.0], 16_000, 1, EncodeOptions { bit_rate: Some(1), ..opus }).contains("bits a second"));
    assert!(encode(&[0.0], 16_000, 1, flac).contains("16 or 24 bits"));
    let mp3 = EncodeOptions { format: Format::Mp3, ..wav };
    assert!(encode(&[0.0; 3], 16_000, 3, mp3).contains("1 to 2"));
    let refused = encode(&[0.0], 16_000, 1, EncodeOptions { bit_rate: Some(320_000), ..mp3 });
    assert!(refused.contains("320000 bits a second") && refused.contains("160,000"), "{refused}");
    let aac = EncodeOptions { format: Format::Aac, ..wav };
    assert!(encode(&[0.0; 3], 16_000, 3, aac).contains("1 to 2"));
    assert!(encode(&[0.0], 999, 1, aac).contains("sample rate is 999 Hz; it must be 1000 to"));
    for bit_rate in [7_999, 96_001] {
        let refused = encode(&[0.0], 16_000, 1, EncodeOptions { bit_rate: Some(bit_rate), ..aac });
        let range = "at 16000 Hz with 1 channel(s) 8000 to 96000 are possible";
        assert!(refused.contains(&format!("aac at {bit_rate} bits a second; {range}")), "{refused}");
    }
}
