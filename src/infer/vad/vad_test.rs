#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::{CHUNK, Spans, Speech, SpeechSpan, Vad, VadOptions};
use crate::audio::{self, Limits};

fn spans(options: &VadOptions, probabilities: &[f32]) -> Vec<(usize, usize)> {
    let mut spans = Spans::new(options);
    for probability in probabilities {
        spans.push(*probability);
    }
    spans.finish(probabilities.len() * CHUNK).iter().map(|span| (span.start, span.end)).collect()
}

#[test]
fn speech_is_where_the_probability_is_high_with_its_margins() {
    // 10 chunks of silence, 20 of speech, 20 of silence: 30 ms of margin are 480 samples.
    let mut probabilities = vec![0.1; 50];
    probabilities[10..30].fill(0.9);
    assert_eq!(spans(&VadOptions::default(), &probabilities), [(10 * 512 - 480, 30 * 512 + 480)]);
    assert_eq!(spans(&VadOptions::default(), &[0.1; 50]), []);
    assert_eq!(spans(&VadOptions::default(), &[]), []);
    // Between the two thresholds a state lasts.
    probabilities[15..25].fill(0.4);
    assert_eq!(spans(&VadOptions::default(), &probabilities).len(), 1);
    probabilities[15..25].fill(0.3);
    assert_eq!(spans(&VadOptions::default(), &probabilities), [], "the halves are shorter than 250 ms");
}

#[test]
fn short_speech_is_dropped_and_short_pauses_are_bridged() {
    let mut probabilities = vec![0.0; 60];
    probabilities[5..10].fill(1.0); // 160 ms
    probabilities[20..40].fill(1.0);
    probabilities[30..32].fill(0.0); // 64 ms
    assert_eq!(spans(&VadOptions::default(), &probabilities), [(20 * 512 - 480, 40 * 512 + 480)]);
}

#[test]
fn too_long_speech_is_cut_at_its_longest_pause() {
    let options = VadOptions {
        max_speech_duration_s: 2.0,
        min_silence_duration_ms: 1000,
        speech_pad_ms: 0,
        ..VadOptions::default()
    };
    let mut probabilities = vec![1.0; 100];
    probabilities[20..26].fill(0.0);
    probabilities[40..45].fill(0.0);
    let found = spans(&options, &probabilities);
    assert_eq!(found[..2], [(0, 20 * 512), (26 * 512, 88 * 512)], "{found:?}");
    let found = spans(&options, &[1.0; 100]);
    assert_eq!(found[0], (0, 62 * 512), "without a pause: where it gets too long");
}

#[test]
fn close_neighbours_share_the_pause_between_them() {
    let options = VadOptions { speech_pad_ms: 100, ..VadOptions::default() };
    let mut probabilities = vec![1.0; 40];
    probabilities[18..23].fill(0.0);
    let found = spans(&options, &probabilities);
    assert_eq!(found, [(0, 18 * 512 + 1280), (23 * 512 - 1280, 40 * 512)]);
}

#[test]
fn impossible_options_are_refused_by_name() {
    let default = VadOptions::default;
    for (options, name) in [
        (VadOptions { threshold: 1.5, ..default() }, "threshold is 1.5"),
        (VadOptions { threshold: f32::NAN, ..default() }, "threshold is NaN"),
        (VadOptions { neg_threshold: Some(-1.0), ..default() }, "neg_threshold is -1"),
        (VadOptions { speech_pad_ms: u32::MAX, ..default() }, "speech_pad_ms is 4294967295"),
        (VadOptions { max_speech_duration_s: 0.05, ..default() }, "max_speech_duration_s is 0.05"),
        (VadOptions { max_speech_duration_s: f64::NAN, ..default() }, "max_speech_duration_s is NaN"),
    ] {
        let message = options.check().unwrap_err().to_string();
        assert!(message.starts_with(name), "{message}");
    }
    VadOptions::for_transcription().check().unwrap();
}

#[test]
fn a_stream_has_the_speech_of_the_whole_recording() {
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || std::path::PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        std::path::PathBuf::from,
    );
    let vad = Vad::load(&models.join("silero-vad")).expect("fetch it with `violet models fetch silero-vad`");
    let clip = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jfk.flac");
    let clip = audio::load(clip, Some(16_000), &Limits::default()).unwrap().waveform.into_samples();
    let samples = [clip.clone(), vec![0.0; 40_000], clip].concat();
    for options in [
        VadOptions::default(),
        VadOptions { speech_pad_ms: 400, ..VadOptions::default() },
        VadOptions { max_speech_duration_s: 2.0, min_speech_duration_ms: 800, ..VadOptions::default() },
        VadOptions::for_transcription(),
        VadOptions { threshold: 1.0, ..VadOptions::default() },
    ] {
        let whole = vad.speech(&samples, &options).unwrap();
        for block in [700, 16_000, 1_000_000] {
            let blocks = samples.chunks(block).map(|block| Ok(block.to_vec()));
            let stream: Vec<(SpeechSpan, Vec<f32>)> =
                Speech::new(&vad, &options, blocks).unwrap().collect::<crate::Result<_>>().unwrap();
            assert_eq!(stream.iter().map(|(span, _)| *span).collect::<Vec<_>>(), whole, "{options:?}");
            assert!(stream.iter().all(|(span, heard)| *heard == samples[span.start..span.end]));
        }
    }
}

proptest! {
    #[test]
    fn spans_are_ordered_inside_the_audio_and_never_empty(
        probabilities in prop::collection::vec(0.0_f32..1.0, 0..400),
        max_s in 2.0_f64..8.0, silence in 0_u32..500, pad in 0_u32..200, shortest in 0_u32..400,
    ) {
        let options = VadOptions {
            max_speech_duration_s: max_s,
            min_silence_duration_ms: silence,
            speech_pad_ms: pad,
            min_speech_duration_ms: shortest,
            ..VadOptions::default()
        };
        let n_samples = probabilities.len() * CHUNK;
        let mut finder = Spans::new(&options);
        for probability in &probabilities {
            finder.push(*probability);
        }
        let found = finder.finish(n_samples);
        let mut last = 0;
        for SpeechSpan { start, end } in found {
            prop_assert!(last <= start && start < end && end <= n_samples);
            prop_assert!((end - start) as f64 <= max_s * 16_000.0 + CHUNK as f64);
            last = end;
        }
    }
}
