//! Every decoder against ffmpeg's, parts and channels of recordings, and recordings that arrive in pieces.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking; numbers here are small"
)]

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use violet::Error;
use violet::audio::{self, Blocks, Limits, Mix, Options, Sound};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn all(name: &str) -> Sound {
    audio::read(data(name), &Options { mix: Mix::All, ..Options::default() }).unwrap()
}

fn mono(name: &str, options: &Options) -> Vec<f32> {
    audio::read(data(name), options).unwrap().samples
}

/// Root of the mean square of the difference, in units of the last of 16 bits, over what both have.
fn difference_lsb(got: &[f32], want: &[f32]) -> f64 {
    let n = got.len().min(want.len());
    let sum: f64 = got.iter().zip(want).map(|(&got, &want)| (f64::from(got - want) * 32_768.0).powi(2)).sum();
    (sum / n.max(1) as f64).sqrt()
}

#[test]
fn lossless_formats_are_exact() {
    let original = all("clip.wav");
    for name in [
        "clip.flac",
        "clip_flac.oga",
        "clip.aiff",
        "clip.caf",
        "clip_alac.m4a",
        "clip_s24.wav",
        "clip_s32.wav",
        "clip_f32.wav",
        "clip_f64.wav",
        "clip_video.mkv",
    ] {
        let got = all(name);
        assert_eq!((got.sample_rate, got.n_channels, got.skipped_packets), (16_000, 1, 0), "{name}");
        assert!(got.samples == original.samples, "{name}: {} samples", got.samples.len());
    }
    let surround = all("clip_51.wav");
    assert_eq!((surround.n_channels, surround.info.layout.as_deref()), (6, Some("5.1")));
    assert!(all("clip_51.flac").samples == surround.samples);
    // ffmpeg cut the lower bits off without rounding: an error between 0 and 256, evenly.
    let bytes = difference_lsb(&all("clip_u8.wav").samples, &original.samples);
    assert!((bytes - 256.0 / 3_f64.sqrt()).abs() < 2.0, "{bytes}, not {}", 256.0 / 3_f64.sqrt());
    for name in ["clip_alaw.wav", "clip_mulaw.wav"] {
        let (got, want) = (all(name), all(&format!("golden_{name}.flac")));
        assert!(got.samples[..want.samples.len()] == want.samples, "{name}");
    }
}

#[test]
fn lossy_formats_are_ffmpegs_within_one_step_of_16_bits() {
    // The golden samples are rounded to 16 bits, which alone is 0.29 of a step.
    let table = [
        ("clip.mp3", 1.0),
        ("clip_44k_mono.mp3", 1.0),
        ("clip.m4a", 1.0),
        ("clip.aac", 1.0),
        ("clip_video.mp4", 1.0),
        ("clip.ogg", 1.0),
        ("clip.opus", 0.1),
        ("clip_silk_dtx.opus", 0.1),
        ("clip_stereo.opus", 0.1),
        ("clip_51.opus", 0.1),
    ];
    for (name, limit) in table {
        let (got, want) = (all(name), all(&format!("golden_{name}.flac")));
        assert_eq!((got.sample_rate, got.n_channels), (want.sample_rate, want.n_channels), "{name}");
        let lsb = difference_lsb(&got.samples, &want.samples);
        assert!(lsb <= limit, "{name}: {lsb:.2} of a step");
    }
}

/// The samples of a WAVE file in a CAF file. Layout: Apple, "Core Audio Format Specification 1.0".
fn caf(wav: &[u8], codec: &[u8]) -> Vec<u8> {
    let at = wav.windows(4).position(|bytes| bytes == b"data").unwrap() + 8;
    let n_bytes = u32::from_le_bytes(wav[at - 4..at].try_into().unwrap()) as usize;
    let samples = &wav[at..at + n_bytes];
    let numbers = |numbers: [u32; 5]| numbers.map(u32::to_be_bytes).concat();
    let description = [&16_000_f64.to_be_bytes()[..], codec, &numbers([0, 1, 1, 1, 8])].concat();
    let chunk = |id: &[u8; 4], body: &[u8]| [&id[..], &(body.len() as u64).to_be_bytes(), body].concat();
    let data = [&[0; 4][..], samples].concat();
    [b"caff\0\x01\0\0".to_vec(), chunk(b"desc", &description), chunk(b"data", &data)].concat()
}

#[test]
fn the_laws_of_telephony_are_read_in_caf_too() {
    for (name, codec) in [("clip_alaw.wav", b"alaw"), ("clip_mulaw.wav", b"ulaw")] {
        let bytes = caf(&std::fs::read(data(name)).unwrap(), codec);
        let got = audio::read_from(Cursor::new(bytes), "x.caf", &Options::default()).unwrap();
        assert!(got.samples == mono(name, &Options::default()), "{name}: {} samples", got.samples.len());
        assert_eq!((got.info.container.as_str(), got.info.bit_depth), ("caf", Some(8)));
    }
}

#[test]
fn opus_is_as_long_as_what_was_encoded_in_every_container() {
    for name in ["clip.opus", "clip_silk_dtx.opus", "clip_stereo.opus", "clip_opus.mp4"] {
        let got = all(name);
        assert_eq!(
            (got.sample_rate, got.samples.len() / got.n_channels, got.info.codec.as_str()),
            (48_000, 144_000, "opus"),
            "{name}"
        );
        assert_eq!(audio::probe(data(name), &Limits::default()).unwrap().duration_s, Some(3.0), "{name}");
    }
    for name in ["clip_opus.webm", "clip_video.webm"] {
        let got = all(name);
        // Its header's length is the last block's end, with the padding.
        assert_eq!(got.samples.len(), 144_000, "{name}");
        assert!(difference_lsb(&got.samples[..140_000], &all("clip.opus").samples[..140_000]) < 0.01, "{name}");
    }
}

#[test]
fn opus_decoded_at_once_to_16_khz_is_the_same_within_a_tenth_of_a_millisecond() {
    for name in ["clip.opus", "clip_stereo.opus", "clip_silk_dtx.opus"] {
        let direct = mono(name, &Options { sample_rate: Some(16_000), ..Options::default() });
        assert_eq!(direct.len(), 48_000, "{name}");
        let direct = audio::Waveform::from_samples(direct, 16_000).unwrap();
        let direct = audio::resample(&direct, 48_000).unwrap().into_samples();
        let at_48 = audio::Waveform::from_samples(mono(name, &Options::default()), 48_000).unwrap();
        let want = audio::resample(&audio::resample(&at_48, 16_000).unwrap(), 48_000).unwrap().into_samples();
        let energy: f64 = want.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        let best = (0..=10_usize).map(|lag| {
            let pairs = direct[lag..direct.len() - 10 + lag].iter().zip(&want[5..]);
            10.0 * (energy / pairs.map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>()).log10()
        });
        let best = best.fold(f64::MIN, f64::max);
        assert!(best > 20.0, "{name}: {best:.1} dB");
    }
}

#[test]
fn chained_opus_streams_follow_each_other() {
    let one = std::fs::read(data("clip.opus")).unwrap();
    let sound = audio::read_from(Cursor::new(one.repeat(2)), "test", &Options::default()).unwrap();
    assert_eq!((sound.samples.len(), sound.skipped_packets), (288_000, 0));
    assert!(sound.samples[..144_000] == sound.samples[144_000..]);
}

#[test]
fn surround_is_mixed_as_bs_775_and_ffmpeg_say() {
    let got = mono("clip_51.wav", &Options::default());
    let want = mono("golden_mono_of_clip_51.wav.flac", &Options::default());
    assert_eq!(got.len(), want.len());
    let lsb = difference_lsb(&got, &want);
    assert!(lsb < 1.0, "{lsb:.2} of a step");
}

#[test]
fn a_channel_can_be_chosen() {
    let all = all("clip_51.wav");
    for (channel, level) in [0.9, 0.8, 0.7, 0.6, 0.5, 0.4].into_iter().enumerate() {
        let one = mono("clip_51.wav", &Options { mix: Mix::Channel(channel), ..Options::default() });
        assert!(one.iter().eq(all.samples.iter().skip(channel).step_by(6)));
        let first = mono("clip_51.wav", &Options { mix: Mix::Channel(0), ..Options::default() });
        let ratio = f64::from(
            one[8_000..].iter().map(|s| s.abs()).sum::<f32>() / first[8_000..].iter().map(|s| s.abs()).sum::<f32>(),
        );
        assert!((ratio - level / 0.9).abs() < 0.01, "channel {channel}: {ratio}");
    }
    let wrong = audio::read(data("clip_51.wav"), &Options { mix: Mix::Channel(6), ..Options::default() });
    assert!(matches!(wrong, Err(Error::InvalidInput(message)) if message.contains("channels 0 to 5")));
    // Vorbis and Opus store the channels in another order.
    for name in ["clip_51.ogg", "clip_51.opus"] {
        let levels = (0..6).map(|channel| {
            let one = mono(name, &Options { mix: Mix::Channel(channel), ..Options::default() });
            one.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>().sqrt()
        });
        let levels: Vec<f64> = levels.collect();
        // All but the low-frequency channel, of which codecs keep only the lowest part.
        let falls = [0, 1, 2, 4, 5].windows(2).all(|pair| levels[pair[0]] > levels[pair[1]]);
        assert!(falls, "{name}: {levels:?}");
    }
}

#[test]
fn all_channels_are_resampled_alike() {
    let together =
        audio::read(data("clip_51.wav"), &Options { mix: Mix::All, sample_rate: Some(22_050), ..Options::default() });
    let together = together.unwrap();
    assert_eq!((together.n_channels, together.sample_rate), (6, 22_050));
    for channel in 0..6 {
        let one = mono(
            "clip_51.wav",
            &Options { mix: Mix::Channel(channel), sample_rate: Some(22_050), ..Options::default() },
        );
        assert!(together.samples.iter().skip(channel).step_by(6).eq(&one), "channel {channel}");
    }
}

#[test]
fn a_part_is_what_the_whole_has_there() {
    // What is sought decodes with other neighbours: lossy codecs settle within the preroll.
    let table = [
        ("clip.wav", 0.0),
        ("clip.flac", 0.0),
        ("clip_flac.oga", 0.0),
        ("clip.aiff", 0.0),
        ("clip.caf", 0.0),
        ("clip_alac.m4a", 0.0),
        ("clip_f64.wav", 0.0),
        ("clip_adpcm.wav", 0.0),
        ("clip.mkv", 0.0),
        ("clip.mp3", 0.5),
        ("clip_vbr_without_tag.mp3", 0.5),
        ("clip_44k_stereo.mp3", 0.5),
        ("clip.m4a", 0.5),
        ("clip.aac", 0.5),
        ("clip.ogg", 0.5),
        ("clip.opus", 16.0),
        ("clip_stereo.opus", 16.0),
        ("clip_silk_dtx.opus", 32.0),
        ("clip_opus.webm", 16.0),
        ("clip_opus.mp4", 16.0),
        ("clip_video.mp4", 0.5),
        ("clip_video.mkv", 0.0),
    ];
    for (name, limit) in table {
        let whole = audio::read(data(name), &Options::default()).unwrap();
        let rate = whole.sample_rate as usize;
        for (start_s, duration_s) in [(0.25, 0.5), (2.25, 0.5), (2.5, 10.0)] {
            let options = Options { start_s, duration_s: Some(duration_s), ..Options::default() };
            let part = audio::read(data(name), &options).unwrap();
            let start = (start_s * rate as f64) as usize;
            let n = ((duration_s * rate as f64) as usize).min(whole.samples.len() - start);
            assert_eq!(part.samples.len(), n, "{name} from {start_s} s");
            let lsb = difference_lsb(&part.samples, &whole.samples[start..start + n]);
            assert!(lsb <= limit, "{name} from {start_s} s: {lsb:.2} of a step");
        }
        let past = audio::read(data(name), &Options { start_s: 60.0, ..Options::default() });
        assert!(
            matches!(&past, Err(Error::InvalidInput(message)) if message.contains("ends before")),
            "{name}: {past:?}"
        );
    }
    for start_s in [-1.0, f64::NAN, f64::INFINITY] {
        let result = audio::read(data("clip.wav"), &Options { start_s, ..Options::default() });
        assert!(matches!(result, Err(Error::InvalidInput(_))));
    }
}

/// A few bytes at a time, never back.
struct Pieces(Cursor<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(997);
        self.0.read(&mut buffer[..n])
    }
}

#[test]
fn what_arrives_in_pieces_is_heard_as_from_a_file() {
    for name in [
        "clip.wav",
        "clip.flac",
        "clip.mp3",
        "clip.aac",
        "clip.ogg",
        "clip.opus",
        "clip_opus.webm",
        "clip.mkv",
        "clip.m4a",
        "clip.aiff",
        "clip.caf",
        "clip_video.mp4",
        "clip_f64.wav",
    ] {
        let options = Options { sample_rate: Some(16_000), ..Options::default() };
        let bytes = std::fs::read(data(name)).unwrap();
        let blocks = Blocks::from_arriving(Pieces(Cursor::new(bytes.clone())), name, &options).unwrap();
        let samples = blocks.collect::<violet::Result<Vec<_>>>().unwrap().concat();
        // Which block of Matroska is the last, and so has padding, is seen too late.
        let n_padding = if name == "clip_opus.webm" { 648 / 3 } else { 0 };
        assert!(samples[..samples.len() - n_padding] == mono(name, &options), "{name}: {} samples", samples.len());
        let limits = Limits { max_bytes: 5_000, ..Limits::default() };
        let few = Blocks::from_arriving(Pieces(Cursor::new(bytes)), name, &Options { limits, ..options });
        let result = few.and_then(Iterator::collect::<violet::Result<Vec<_>>>);
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{name}: {result:?}");
    }
}

#[test]
fn a_header_tells_all_about_the_file() {
    let info = |name: &str| audio::probe(data(name), &Limits::default()).unwrap();
    let flac = info("clip_51.flac");
    assert_eq!((flac.bit_depth, flac.layout.as_deref(), flac.n_channels), (Some(16), Some("5.1"), 6));
    assert_eq!(info("clip_s24.wav").bit_depth, Some(24));
    assert_eq!(info("clip_f64.wav").bit_depth, Some(64));
    assert_eq!((info("clip_alaw.wav").bit_depth, info("clip.mp3").bit_depth), (Some(8), None));
    assert_eq!(info("clip_alac.m4a").bit_depth, Some(16));
    let wav = info("clip.wav");
    assert!((255_000..258_000).contains(&wav.bit_rate.unwrap()), "{wav:?}");
    let webm = info("clip_video.webm");
    assert_eq!((webm.codec.as_str(), webm.layout.as_deref()), ("opus", Some("mono")));
    assert!(webm.tags.contains_key("encoder"), "{:?}", webm.tags);
}

#[test]
fn what_is_not_read_here_is_named_and_goes_to_ffmpeg_only_if_allowed() {
    for (name, found) in [("clip.wma", "WMA"), ("clip.ac3", "AC-3")] {
        let message = audio::read(data(name), &Options::default()).unwrap_err().to_string();
        assert!(message.contains(found) && message.contains("allow_ffmpeg"), "{message}");
    }
    let allowed = Options { allow_ffmpeg: true, sample_rate: Some(16_000), ..Options::default() };
    if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
        let message = audio::read(data("clip.wma"), &allowed).unwrap_err().to_string();
        assert!(message.contains("none on PATH"), "{message}");
        return;
    }
    for name in ["clip.wma", "clip.ac3"] {
        let sound = audio::read(data(name), &allowed).unwrap();
        assert!((47_000..50_500).contains(&sound.samples.len()), "{name}: {}", sound.samples.len());
        let bytes = std::fs::read(data(name)).unwrap();
        assert!(audio::read_from(Cursor::new(bytes), "bytes", &allowed).unwrap().samples == sound.samples);
        let limits = Limits { max_duration_s: 1.0, ..Limits::default() };
        assert!(matches!(audio::read(data(name), &Options { limits, ..allowed.clone() }), Err(Error::TooLong { .. })));
    }
    // A playlist names other files: ffmpeg may not follow it.
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, format!("ffconcat version 1.0\nfile {}\n", data("clip.wav").display())).unwrap();
    assert!(audio::read(&list, &allowed).is_err());
}

#[test]
fn what_expands_without_bound_is_stopped() {
    // Digital silence in the largest blocks of FLAC: 10 hours in 200 kB.
    let mut flac = b"fLaC\x80\0\0\x22".to_vec();
    let n_frames: u64 = 36_000 * 16_000;
    flac.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    let packed = (16_000_u64 << 44) | (15 << 36) | n_frames;
    flac.extend(packed.to_be_bytes());
    flac.extend([0; 16]);
    for number in 0..n_frames / 65_535 {
        let mut frame = vec![0xff, 0xf8, 0b0111_0101, 0b0000_1000];
        frame.extend(char::from_u32(number as u32).map(|c| c.to_string().into_bytes()).unwrap());
        frame.extend([0xff, 0xfe]);
        frame.push(crc(&frame, 8, 0x07) as u8);
        frame.extend([0, 0, 0]);
        frame.extend((crc(&frame, 16, 0x8005) as u16).to_be_bytes());
        flac.extend(frame);
    }
    let limits = Limits { max_duration_s: 11.0 * 3_600.0, ..Limits::default() };
    let result =
        audio::read_from(Cursor::new(&flac), "test", &Options { limits: limits.clone(), ..Options::default() });
    assert!(
        matches!(result, Err(Error::TooLarge { what: "decoded audio", .. })),
        "{:?}",
        result.map(|sound| sound.info)
    );
    let result = audio::read_from(Cursor::new(&flac), "test", &Options::default());
    assert!(matches!(result, Err(Error::TooLong { .. })));
    let many = Limits { max_expansion: u32::MAX, ..limits };
    let mut blocks =
        Blocks::from_reader(Cursor::new(&flac), "test", &Options { limits: many, ..Options::default() }).unwrap();
    assert_eq!(blocks.next().unwrap().unwrap().len(), 65_535);
}

/// The checksum of FLAC's frames.
fn crc(bytes: &[u8], n_bits: u32, polynomial: u32) -> u32 {
    bytes.iter().fold(0, |mut sum, &byte| {
        sum ^= u32::from(byte) << (n_bits - 8);
        for _ in 0..8 {
            let carry = sum >> (n_bits - 1) & 1;
            sum = ((sum << 1) ^ (carry * polynomial)) & (u32::MAX >> (32 - n_bits));
        }
        sum
    })
}
