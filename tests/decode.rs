//! Every format against the original it was made from; damaged, crafted and oversized input.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; numbers here are small"
)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use violet::Error;
use violet::audio::{self, Decoded, Limits};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn load(name: &str) -> Decoded {
    audio::load(data(name), Some(16_000), &Limits::default()).unwrap()
}

fn decode(bytes: &[u8], limits: &Limits) -> violet::Result<Decoded> {
    audio::decode(Cursor::new(bytes), "test", None, limits)
}

fn reason(result: violet::Result<impl std::fmt::Debug>) -> String {
    result.unwrap_err().to_string()
}

/// The original of the clips: 3 s from 0.5 s on.
fn original() -> Vec<f32> {
    load("jfk.flac").waveform.samples()[8_000..56_000].to_vec()
}

/// Signal-to-noise ratio of `got` against `want`, dB, after the best gain.
fn snr_db(got: &[f32], want: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let gain = dot(got, want) / dot(got, got);
    let noise: f64 = got.iter().zip(want).map(|(&g, &w)| (gain * f64::from(g) - f64::from(w)).powi(2)).sum();
    10.0 * (dot(want, want) / noise.max(1e-30)).log10()
}

/// A WAVE file of 16-bit samples.
fn wav(samples: &[i16], sample_rate: u32, n_channels: u16) -> Vec<u8> {
    let n_bytes = u32::try_from(samples.len() * 2).unwrap();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + n_bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(n_channels.to_le_bytes());
    file.extend(sample_rate.to_le_bytes());
    file.extend((sample_rate * u32::from(n_channels) * 2).to_le_bytes());
    file.extend((n_channels * 2).to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(n_bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

#[test]
fn every_format_gives_the_original_without_delay() {
    let original = original();
    // Name, codec, container, samples at 16 kHz, frames of delay that the container cannot state, least ratio in dB.
    // A shift by one sample would leave less than 10 dB of this speech.
    let table = [
        ("clip.wav", "pcm_s16le", "wave", 48_000, 0, 110.0),
        ("clip_f32.wav", "pcm_f32le", "wave", 48_000, 0, 110.0),
        ("clip.flac", "flac", "flac", 48_000, 0, 110.0),
        ("clip.mp3", "mp3", "mp3", 48_000, 0, 30.0),
        ("clip_44k_stereo.mp3", "mp3", "mp3", 48_000, 0, 35.0),
        ("clip.m4a", "aac", "isomp4", 48_000, 0, 20.0),
        ("clip.ogg", "vorbis", "ogg", 48_000, 0, 20.0),
        ("clip.mkv", "vorbis", "matroska", 48_128, 0, 20.0),
        ("clip_alaw.wav", "pcm_alaw", "wave", 48_000, 0, 25.0),
        ("clip_adpcm.wav", "adpcm_ms", "wave", 48_864, 0, 25.0),
        ("clip.aac", "aac", "aac", 49_152, 1_024, 20.0),
        ("clip_vbr_without_tag.mp3", "mp3", "mp3", 49_536, 1_105, 30.0),
    ];
    for (name, codec, container, n_samples, delay, least_db) in table {
        let decoded = load(name);
        assert_eq!((decoded.info.codec.as_str(), decoded.info.container.as_str()), (codec, container), "{name}");
        assert_eq!((decoded.waveform.n_samples(), decoded.skipped_packets), (n_samples, 0), "{name}");
        let samples = &decoded.waveform.samples()[delay..];
        let n = samples.len().min(original.len()) - 100;
        let got_db = snr_db(&samples[100..n], &original[100..n]);
        assert!(got_db > least_db, "{name}: {got_db:.1} dB");
    }
}

#[test]
fn probe_tells_what_decoding_gives() {
    for name in ["clip.wav", "clip.flac", "clip.mp3", "clip.m4a", "clip.ogg", "clip.aac", "clip_vbr_without_tag.mp3"] {
        let info = audio::probe(data(name), &Limits::default()).unwrap();
        let decoded = audio::load(data(name), None, &Limits::default()).unwrap();
        assert_eq!(info, decoded.info, "{name}");
        let difference_s = info.duration_s.unwrap() - decoded.waveform.duration_s();
        assert!(difference_s.abs() < 1e-9, "{name}: {difference_s} s");
    }
    let mkv = audio::probe(data("clip.mkv"), &Limits::default()).unwrap();
    assert!((mkv.duration_s.unwrap() - 3.0).abs() < 0.02);
}

#[test]
fn channels_are_mixed_by_their_weights() {
    let decoded = decode(&wav(&[16_384, 0, -16_384, 8_192], 8_000, 2), &Limits::default()).unwrap();
    assert_eq!(decoded.waveform.samples(), [0.25, -0.125]);
    assert_eq!((decoded.info.n_channels, decoded.info.sample_rate), (2, 8_000));
    let decoded = decode(&wav(&[16_384, 16_384, -8_192], 8_000, 3), &Limits::default()).unwrap();
    // Left, right and centre; see tests/formats.rs.
    let want = (0.5 * 2.0 * std::f32::consts::FRAC_1_SQRT_2 - 0.25) / (2.0 * std::f32::consts::FRAC_1_SQRT_2 + 1.0);
    assert!((decoded.waveform.samples()[0] - want).abs() < 1e-6);
}

#[test]
fn what_is_not_audio_is_refused_in_one_line() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let text = "just some text\n".repeat(20_000);
    let zeros = vec![0; 100_000];
    let table: [(&[u8], &str); 8] = [
        (b"", "the file is empty (0 bytes)"),
        (b"x", "not audio"),
        (png, "a PNG picture"),
        (text.as_bytes(), "not audio"),
        (&zeros, "not audio"),
        (&wav(&[], 16_000, 1), "zero-length audio"),
        (&wav(&[1; 100], 16_000, 1)[..44], "no packet can be decoded"),
        (&wav(&[1; 100], 16_000, 1)[..30], "within its header"),
    ];
    for (bytes, want) in table {
        for message in [
            reason(decode(bytes, &Limits::default())),
            reason(audio::probe_reader(Cursor::new(bytes), "test", &Limits::default())),
        ] {
            assert!(message.contains(want) && !message.contains('\n'), "{message:?}, not {want:?}");
        }
    }
    assert!(matches!(audio::load("/no/such/file.wav", None, &Limits::default()), Err(Error::Io { .. })));
    assert!(matches!(audio::load(data(""), None, &Limits::default()), Err(Error::Io { .. })));
}

#[test]
fn limits_hold_while_decoding() {
    let ten_s = wav(&vec![0; 80_000], 8_000, 1);
    let limits = Limits { max_duration_s: 9.0, ..Limits::default() };
    assert!(matches!(decode(&ten_s, &limits), Err(Error::TooLong { .. })));
    assert!(matches!(audio::probe_reader(Cursor::new(&ten_s), "test", &limits), Err(Error::TooLong { .. })));
    // A header that does not tell its length, as of a stream from a pipe.
    let mut streamed = ten_s.clone();
    streamed[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    streamed[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(decode(&streamed, &limits), Err(Error::TooLong { .. })));
    assert!(matches!(audio::probe_reader(Cursor::new(&streamed), "test", &limits), Err(Error::TooLong { .. })));
    let info = audio::probe_reader(Cursor::new(&streamed), "test", &Limits::default()).unwrap();
    assert_eq!(info.duration_s.map(f64::round), Some(10.0));

    let limits = Limits { max_bytes: 1_000, ..Limits::default() };
    assert!(matches!(decode(&ten_s, &limits), Err(Error::TooLarge { got_bytes: 160_044, .. })));
    let limits = Limits { max_sample_rate: 7_999, ..Limits::default() };
    assert!(reason(decode(&ten_s, &limits)).contains("sample rate is 8000 Hz"));
    let limits = Limits { max_channels: 2, ..Limits::default() };
    assert!(reason(decode(&wav(&[0; 30], 8_000, 3), &limits)).contains("3 channels"));
    let odd_rate = audio::decode(Cursor::new(&ten_s), "test", Some(3), &Limits::default());
    assert!(matches!(odd_rate, Err(Error::InvalidInput(_))));
}

#[test]
fn truncated_files_are_decoded_up_to_the_damage() {
    for name in
        ["clip.wav", "clip.flac", "clip.mp3", "clip.ogg", "clip.aac", "clip_adpcm.wav", "clip_vbr_without_tag.mp3"]
    {
        let bytes = std::fs::read(data(name)).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap().waveform;
        let part = decode(&bytes[..bytes.len() / 2], &Limits::default()).unwrap();
        let n = part.waveform.n_samples();
        assert!(n > whole.n_samples() * 3 / 10 && n < whole.n_samples() * 7 / 10, "{name}: {n} samples");
        // The last block may overlap what is missing.
        let n = n - 2_048;
        let difference = part.waveform.samples()[..n].iter().zip(whole.samples()).map(|(a, b)| (a - b).abs());
        assert!(difference.fold(0.0, f32::max) < 1e-6, "{name}");
        assert!(part.skipped_packets > 0 || name == "clip_vbr_without_tag.mp3", "{name}");
    }
}

#[test]
fn chained_streams_follow_each_other() {
    let ogg = std::fs::read(data("clip.ogg")).unwrap().repeat(2);
    let decoded = decode(&ogg, &Limits::default()).unwrap();
    let samples = decoded.waveform.samples();
    let second = samples.len() - 48_000;
    assert!((47_000..=48_000).contains(&second), "{} samples", samples.len());
    assert!(snr_db(&samples[second + 1_000..], &original()[1_000..]) > 20.0);
    let mp3 = std::fs::read(data("clip_vbr_without_tag.mp3")).unwrap().repeat(3);
    let decoded = decode(&mp3, &Limits::default()).unwrap();
    assert_eq!((decoded.waveform.n_samples(), decoded.skipped_packets), (3 * 49_536, 0));
}

#[test]
fn a_change_of_sample_rate_is_an_error_that_says_where() {
    let read = |name| std::fs::read(data(name)).unwrap();
    let joined = [read("clip_vbr_without_tag.mp3"), read("clip_44k_stereo.mp3")].concat();
    let message = reason(decode(&joined, &Limits::default()));
    assert!(message.contains("changes from 16000 to 44100 Hz at 3."), "{message}");
}

#[test]
fn a_change_of_channels_is_followed() {
    let read = |name| std::fs::read(data(name)).unwrap();
    let joined = [read("clip_44k_stereo.mp3"), read("clip_44k_mono.mp3"), read("clip_44k_stereo.mp3")].concat();
    let decoded = audio::decode(Cursor::new(joined), "test", Some(16_000), &Limits::default()).unwrap();
    let samples = decoded.waveform.samples();
    // Each join costs a few packets, heard as silence, and keeps the encoder's delay and padding.
    assert!((9.0..9.3).contains(&decoded.waveform.duration_s()), "{decoded:?}");
    let original = original();
    for part in [4_000..40_000, 52_000..90_000, 100_000..138_000] {
        let best = (0..4_000).map(|lag: usize| {
            let start = part.start % 48_000 + 2_000;
            let at = (part.start / 48_000) * 48_000 + start + lag;
            snr_db(&samples[at..at + 20_000], &original[start..start + 20_000])
        });
        // The parts begin between two samples of 16 kHz, which costs some of the ratio; another place leaves less than 3.
        let best = best.fold(f64::MIN, f64::max);
        assert!(best > 12.0, "{part:?}: {best:.1} dB");
    }
}

#[test]
fn a_damaged_stretch_keeps_the_time_of_what_follows() {
    let mut bytes = std::fs::read(data("clip.mp3")).unwrap();
    let whole = decode(&bytes, &Limits::default()).unwrap().waveform;
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 40] {
        *byte = 0x55;
    }
    let damaged = decode(&bytes, &Limits::default()).unwrap();
    assert_eq!(damaged.waveform.n_samples(), whole.n_samples());
    let last = 36_000..47_000;
    assert!(snr_db(&damaged.waveform.samples()[last.clone()], &whole.samples()[last]) > 60.0);
}

#[test]
fn what_a_container_loses_is_counted_and_keeps_the_time_of_what_follows() {
    // symphonia 0.6 takes the page behind a lost one of ogg for it: only what follows that is where it was.
    for (name, is_exact) in [("clip.flac", true), ("clip.opus", false)] {
        let mut bytes = std::fs::read(data(name)).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap().waveform;
        let middle = bytes.len() / 2;
        bytes[middle..middle + 40].fill(0x55);
        let damaged = decode(&bytes, &Limits::default()).unwrap();
        assert!(damaged.skipped_packets > 0, "{name}");
        let (got, want) = (damaged.waveform.samples(), whole.samples());
        assert_eq!(got.len(), want.len(), "{name}");
        let last = want.len() - want.len() / 5..want.len() - 1_000;
        assert!(!is_exact || snr_db(&got[last.clone()], &want[last]) > 60.0, "{name}");
    }
}

#[test]
fn a_matroska_file_that_was_cut_off_is_heard_up_to_there() {
    for name in ["clip_opus.webm", "clip.mkv", "clip_video.webm"] {
        let bytes = std::fs::read(data(name)).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap().waveform;
        let part = decode(&bytes[..bytes.len() * 2 / 3], &Limits::default()).unwrap();
        assert!(part.waveform.n_samples() > whole.n_samples() / 4, "{name}");
        assert!(part.skipped_packets > 0, "{name}");
    }
}

#[test]
fn samples_that_are_not_numbers_become_silence_and_are_counted() {
    let mut bytes = std::fs::read(data("clip_f32.wav")).unwrap();
    let at = bytes.len() - 4 * 20_000;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let decoded = decode(&bytes, &Limits::default()).unwrap();
    assert_eq!((decoded.waveform.n_samples(), decoded.skipped_packets), (48_000, 1));
    assert!(decoded.waveform.samples().iter().all(|sample| sample.is_finite()));
}
