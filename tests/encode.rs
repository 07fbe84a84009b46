//! What is written is what is read: by this crate, and by ffmpeg where there is one.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; numbers here are small"
)]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use violet::Error;
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
    for format in [Format::Wav, Format::Flac, Format::Opus, Format::Pcm] {
        let options = EncodeOptions { format, ..EncodeOptions::default() };
        let whole = audio::encode(&samples, 44_100, 2, &options).unwrap();
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = audio::encoder(&mut bytes, "test", 44_100, 2, &options).unwrap();
        samples.chunks(2 * 777).for_each(|piece| encoder.write(piece).unwrap());
        encoder.finish().unwrap();
        assert!(bytes.into_inner() == whole, "{format:?}");
    }
}

#[test]
fn mp3_is_made_by_ffmpeg_only_if_allowed() {
    let (samples, options) = (stereo(44_100), EncodeOptions { format: Format::Mp3, ..EncodeOptions::default() });
    let refused = audio::encode(&samples, 44_100, 2, &options);
    assert!(matches!(refused, Err(Error::Unsupported(message)) if message.contains("allow_ffmpeg")));
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        return;
    }
    let bytes = audio::encode(&samples, 44_100, 2, &EncodeOptions { allow_ffmpeg: true, ..options }).unwrap();
    let sound = decode(bytes);
    assert_eq!((sound.info.codec.as_str(), sound.n_channels, sound.sample_rate), ("mp3", 2, 44_100));
    assert!((11.0..11.1).contains(&(sound.samples.len() as f64 / 88_200.0)));
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
}
