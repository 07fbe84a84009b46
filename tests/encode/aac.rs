//! AAC-LC in ADTS.

use super::{audio, chord, decode, ffmpeg, noise, snr_db, speech, stereo};
use violet::audio::{EncodeOptions, Format};

/// Frames of an ADTS file, each with its header.
fn adts_frames(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let header = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        // Sync, MPEG-4, layer 0, no checksum, profile LC.
        assert_eq!(header >> 46, 0xfff1 << 2 | 1, "no frame at byte {at}");
        let n_bytes = (header >> 21 & 0x1fff) as usize;
        frames.push(&bytes[at..at + n_bytes]);
        at += n_bytes;
    }
    frames
}

#[test]
fn aac_is_a_frame_late_and_as_long_as_its_frames() {
    // Rate, channels, bits a second, least signal to noise ratio in dB.
    for (sample_rate, n_channels, bit_rate, least_db) in [
        (8_000, 1, 48_000, 30.0),
        (16_000, 1, 64_000, 25.0),
        (24_000, 1, 64_000, 25.0),
        (22_050, 2, 128_000, 25.0),
        (32_000, 1, 64_000, 23.0),
        (44_100, 1, 128_000, 30.0),
        (44_100, 2, 128_000, 20.0),
        (48_000, 2, 320_000, 33.0),
        (96_000, 1, 192_000, 21.0),
    ] {
        let samples = if n_channels == 1 { speech(sample_rate) } else { stereo(sample_rate) };
        let options = EncodeOptions { format: Format::Aac, bit_rate: Some(bit_rate), ..EncodeOptions::default() };
        let bytes = audio::encode(&samples, sample_rate, n_channels, &options).unwrap();
        let name = format!("{sample_rate} Hz, {n_channels} channels");
        let n_frames = adts_frames(&bytes).len();
        assert_eq!(n_frames, (samples.len() / n_channels).div_ceil(1_024) + 1, "{name}");
        let kept = bytes.len() as f64 * 8.0 * f64::from(sample_rate) / (n_frames as f64 * 1_024.0);
        assert!((0.94..1.0).contains(&(kept / f64::from(bit_rate))), "{name}: {kept} bits a second");
        let sound = decode(bytes.clone());
        assert_eq!((sound.info.codec.as_str(), sound.info.container.as_str()), ("aac", "aac"), "{name}");
        assert_eq!((sound.sample_rate, sound.n_channels, sound.skipped_packets), (sample_rate, n_channels, 0));
        assert_eq!(sound.samples.len(), n_frames * 1_024 * n_channels, "{name}");
        let db = snr_db(&sound.samples[1_024 * n_channels..][..samples.len()], &samples);
        assert!(db > least_db, "{name}: {db:.1} dB");
        if let Some(theirs) = ffmpeg(&bytes, &[]) {
            let db = snr_db(&theirs, &sound.samples);
            assert!(db > 80.0, "{name}: ffmpeg hears it otherwise, {db:.1} dB");
        }
    }
}

#[test]
fn aac_of_every_rate_and_bit_rate_is_heard_as_what_it_was() {
    let rates = [7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];
    for sample_rate in rates {
        for n_channels in [1, 2] {
            let samples = chord(sample_rate, n_channels);
            let most = 6 * sample_rate * n_channels as u32;
            let usual = most.min(64_000 * n_channels as u32);
            for bit_rate in [8_000, 32_000, usual, most] {
                let asked = Some(bit_rate).filter(|&bit_rate| bit_rate != usual);
                let options = EncodeOptions { format: Format::Aac, bit_rate: asked, ..Default::default() };
                let bytes = audio::encode(&samples, sample_rate, n_channels, &options).unwrap();
                // A decoder has room for 6,144 bits of each channel.
                assert!(adts_frames(&bytes).iter().all(|frame| frame.len() - 7 <= 768 * n_channels));
                let sound = decode(bytes);
                assert_eq!((sound.sample_rate, sound.n_channels, sound.skipped_packets), (sample_rate, n_channels, 0));
                let db = snr_db(&sound.samples[1_024 * n_channels..][..samples.len()], &samples);
                // Bits for each sample; with less than one the chord is a murmur.
                let least_db = match bit_rate / sample_rate / n_channels as u32 {
                    0 => -1.0,
                    1 => 8.0,
                    2..6 => 12.0,
                    _ => 30.0,
                };
                assert!(db > least_db, "{sample_rate} Hz, {n_channels} channels, {bit_rate} bits/s: {db:.1} dB");
            }
        }
    }
}

#[test]
fn aac_of_anything_is_heard() {
    let options = EncodeOptions { format: Format::Aac, ..EncodeOptions::default() };
    let mut noise = noise();
    for sample_rate in [8_000, 24_000, 44_100] {
        for n in [0, 1, 1_023, 1_024, 1_025, 10 * 1_024, 11 * 1_024, 12 * 1_024 + 1, 30_000] {
            let extreme: Vec<f32> = (0..n).map(|_| noise().signum() * 1e30).collect();
            for samples in [vec![0.0; n], (0..n).map(|_| noise()).collect(), extreme] {
                let bytes = audio::encode(&samples, sample_rate, 1, &options).unwrap();
                let n_heard = adts_frames(&bytes).len() * 1_024;
                assert_eq!(n_heard, (n.div_ceil(1_024) + 1) * 1_024);
                // A frame alone is not recognised.
                assert!(n == 0 || decode(bytes.clone()).samples.len() == n_heard, "{sample_rate} Hz, {n}");
                assert!(
                    n == 0 || ffmpeg(&bytes, &["-f", "aac"]).is_none_or(|theirs| theirs.len() == n_heard),
                    "{sample_rate} Hz, {n}"
                );
            }
        }
    }
    // A rate that aac has not is resampled, as is one that is too high.
    for (given, had) in [(37_800, 44_100), (192_000, 96_000), (6_000, 7_350)] {
        let sound = decode(audio::encode(&[0.1].repeat(given as usize), given, 1, &options).unwrap());
        assert_eq!((sound.sample_rate, sound.samples.len()), (had, (had as usize).div_ceil(1_024) * 1_024 + 1_024));
    }
}
