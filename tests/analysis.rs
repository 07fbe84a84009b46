//! Analysis compared with librosa's and Praat's values of the same audio (`tests/data/make_analysis.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    clippy::large_stack_arrays,
    clippy::needless_for_each,
    clippy::print_stdout,
    reason = "samples are made of their numbers; what was found is shown when a test fails"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use violet::analysis::pitch::{Pyin, Yin, pyin, yin};
use violet::analysis::{Analysis, Analyzer, Field, Options, Tracks, analyze_file};
use violet::audio::{self, Limits};

const PITCH: Pyin = Pyin { fmin_hz: 65.0, fmax_hz: 500.0, frame_length: 1_600, hop_length: 160 };

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn golden() -> &'static Value {
    static GOLDEN: OnceLock<Value> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let file = std::fs::File::open(data("analysis.json.gz")).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    })
}

fn jfk() -> Vec<f32> {
    audio::load(data("jfk.flac"), None, &Limits::default()).unwrap().waveform.into_samples()
}

fn analyzed(samples: &[f32], sample_rate: u32, n_channels: usize) -> (Analysis, Tracks) {
    let options = Options { keeps_frames: true, keeps_tracks: true, ..Options::default() };
    let mut analyzer = Analyzer::new(sample_rate, n_channels, options).unwrap();
    samples.chunks(9_999 * n_channels).for_each(|block| analyzer.push(block));
    analyzer.finish().unwrap()
}

#[test]
fn every_spectral_feature_of_every_frame_is_librosas() {
    let (_, tracks) = analyzed(&jfk(), 16_000, 1);
    let every = usize::try_from(golden()["every"].as_u64().unwrap()).unwrap();
    let features = golden()["features"].as_object().unwrap();
    assert_eq!(tracks.frames.features.len(), features.len());
    let mut wrong = Vec::new();
    for (name, rows) in &tracks.frames.features {
        let (mut n, mut n_off, mut worst) = (0, 0, 0.0_f64);
        for (row, want) in rows.iter().zip(features[*name].as_array().unwrap()) {
            let want = want.as_array().unwrap();
            assert_eq!(row.len().div_ceil(every), want.len(), "{name}");
            for (got, want) in row.iter().step_by(every).zip(want) {
                let (got, want) = (f64::from(*got), want.as_f64().unwrap());
                // Coefficients and contrasts pass through 0: there a ten-thousandth of a decibel is as good.
                let floor = if matches!(*name, "mfcc" | "contrast_db") { 1.0 } else { 1e-6 };
                let off = (got - want).abs() / want.abs().max(floor);
                worst = worst.max(off);
                n += 1;
                n_off += usize::from(off > 1e-4);
            }
        }
        println!("{name}: {n} values, {n_off} farther than 1e-4, worst {worst:.2e}");
        // A roll-off may fall into the next bin where the sum is within rounding of its threshold.
        let allowed = if *name == "rolloff_hz" { n / 200 } else { 0 };
        if n == 0 || n_off > allowed {
            wrong.push(format!("{name}: {n_off} of {n} are farther than 1e-4, the worst {worst:.2e}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn means_and_deviations_are_librosas() {
    let (analysis, _) = analyzed(&jfk(), 16_000, 1);
    let spectral = analysis.spectral.unwrap();
    let one = |summary: Option<violet::analysis::Summary>| vec![summary.unwrap()];
    let found = [
        ("centroid_hz", one(spectral.centroid_hz)),
        ("bandwidth_hz", one(spectral.bandwidth_hz)),
        ("rolloff_hz", one(spectral.rolloff_hz)),
        ("flatness", one(spectral.flatness)),
        ("zero_crossing_rate", one(spectral.zero_crossing_rate)),
        ("contrast_db", spectral.contrast_db.unwrap()),
        ("mel", analysis.mel.unwrap()),
        ("mfcc", analysis.mfcc.unwrap()),
        ("chroma", analysis.chroma.unwrap()),
    ];
    for (name, rows) in found {
        let want = golden()["summaries"][name].as_array().unwrap();
        assert_eq!(rows.len(), want.len());
        for (row, want) in rows.iter().zip(want) {
            let (mean, std) = (want[0].as_f64().unwrap(), want[1].as_f64().unwrap());
            assert!((row.mean - mean).abs() <= 1e-4 * mean.abs().max(std), "{name}: {row:?}, not {want}");
            assert!((row.std - std).abs() <= 1e-4 * std.max(1e-9), "{name}: {row:?}, not {want}");
        }
    }
}

#[test]
fn pyin_is_librosas_on_99_percent_of_the_voiced_frames() {
    let got = pyin(&jfk(), 16_000, &PITCH).unwrap();
    let want = golden()["pyin_f0_hz"].as_array().unwrap();
    assert_eq!(got.len(), want.len());
    let (mut n_voiced, mut n_close, mut n_same_voicing) = (0, 0, 0);
    for (got, want) in got.iter().zip(want) {
        n_same_voicing += usize::from(got.f0_hz.is_some() == want.as_f64().is_some());
        if let Some(want) = want.as_f64() {
            n_voiced += 1;
            n_close += usize::from(got.f0_hz.is_some_and(|got| (1_200.0 * (got / want).log2()).abs() < 1.0));
        }
    }
    println!("{n_close} of {n_voiced} voiced frames within a cent; voicing equal in {n_same_voicing} of {}", got.len());
    assert!(n_voiced > 300 && n_close * 100 >= n_voiced * 99, "{n_close} of {n_voiced}");
    assert!(n_same_voicing * 100 >= got.len() * 99, "{n_same_voicing} of {}", got.len());
    let probabilities = golden()["pyin_probability"].as_array().unwrap();
    let off = |(got, want): (&violet::analysis::VoicedFrame, &Value)| {
        (got.voiced_probability - want.as_f64().unwrap()).abs() > 1e-3
    };
    assert!(got.iter().zip(probabilities).filter(|pair| off(*pair)).count() * 100 <= got.len());
}

#[test]
fn yin_is_librosas() {
    let Pyin { fmin_hz, fmax_hz, frame_length, hop_length } = PITCH;
    let options = Yin { fmin_hz, fmax_hz, frame_length, hop_length, trough_threshold: 0.1 };
    let got = yin(&jfk(), 16_000, &options).unwrap();
    let want = golden()["yin_f0_hz"].as_array().unwrap();
    assert_eq!(got.len(), want.len());
    let off = |(got, want): (&violet::analysis::pitch::PitchFrame, &Value)| {
        (got.f0_hz / want.as_f64().unwrap() - 1.0).abs() > 1e-4
    };
    let n_off = got.iter().zip(want).filter(|pair| off(*pair)).count();
    // Two lags that are alike within rounding may change places in a frame without pitch.
    assert!(n_off * 200 <= got.len(), "{n_off} of {} frames", got.len());
}

#[test]
fn onsets_and_tempo_are_librosas() {
    let (analysis, _) = analyzed(&jfk(), 16_000, 1);
    let rhythm = analysis.rhythm.unwrap();
    let want: Vec<f64> = golden()["onsets_s"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert_eq!(rhythm.onsets_s.len(), want.len(), "{:?} instead of {want:?}", rhythm.onsets_s);
    assert!(rhythm.onsets_s.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-6));
    let tempo = golden()["tempo_bpm"].as_f64().unwrap();
    assert!((rhythm.tempo_bpm.unwrap() / tempo - 1.0).abs() < 1e-6, "{:?} instead of {tempo}", rhythm.tempo_bpm);
}

/// The vowel of `make_analysis.py`.
fn vowel(jitter: f64, shimmer: f64) -> Vec<f32> {
    let mut samples = vec![0.0_f64; 24_000];
    let mut time = 0.05_f64;
    for index in 0..160 {
        let sign = if index % 2 == 0 { 0.5 } else { -0.5 };
        let first = (time * 16_000.0).ceil() as usize;
        for (at, sample) in samples.iter_mut().enumerate().skip(first).take(400) {
            let t = at as f64 / 16_000.0 - time;
            let wave = (-600.0 * t).exp() * (std::f64::consts::TAU * 700.0 * t).sin();
            *sample += 0.3 * (1.0 + sign * shimmer) * wave;
        }
        time += (1.0 + sign * jitter) / 120.0;
    }
    samples.iter().map(|&sample| sample as f32).collect()
}

#[test]
fn jitter_shimmer_and_harmonicity_are_praats() {
    for want in golden()["praat"].as_array().unwrap() {
        let number = |name: &str| want[name].as_f64().unwrap();
        let (analysis, _) = analyzed(&vowel(number("jitter"), number("shimmer")), 16_000, 1);
        let voice = analysis.voice.unwrap();
        println!("{want}: {voice:?}");
        assert!((voice.jitter_local.unwrap() - number("jitter_local")).abs() < 0.001, "{want}: {voice:?}");
        assert!((voice.shimmer_local.unwrap() - number("shimmer_local")).abs() < 0.005, "{want}: {voice:?}");
        assert!((voice.hnr_db.unwrap() - number("median_hnr_db")).abs() < 0.2, "{want}: {voice:?}");
        assert!(voice.n_pulses > 140);
    }
    let want = &golden()["praat_jfk"];
    let (analysis, _) = analyzed(&jfk(), 16_000, 1);
    let voice = analysis.voice.unwrap();
    println!("{want}: {voice:?}");
    let close =
        |got: Option<f64>, name: &str, share: f64| (got.unwrap() / want[name].as_f64().unwrap() - 1.0).abs() < share;
    assert!(close(voice.jitter_local, "jitter_local", 0.25), "{want}: {voice:?}");
    assert!(close(voice.shimmer_local, "shimmer_local", 0.25), "{want}: {voice:?}");
    assert!((voice.hnr_db.unwrap() - want["median_hnr_db"].as_f64().unwrap()).abs() < 0.05, "{want}: {voice:?}");
}

#[test]
fn syllables_are_where_praat_finds_them() {
    let got = violet::analysis::syllable_nuclei_s(&jfk(), 16_000);
    let want: Vec<f64> =
        golden()["syllables_s"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    println!("{got:?}");
    // He says 28. The two tell voice in different ways, which may cost or gain one at an edge.
    assert!(got.len().abs_diff(want.len()) <= 2, "{} instead of {}", got.len(), want.len());
    let n_found = want.iter().filter(|want| got.iter().any(|got| (got - **want).abs() < 0.02)).count();
    assert!(n_found + 2 >= want.len(), "{got:?} instead of {want:?}");
}

#[test]
fn a_metronome_has_its_tempo_and_every_click_is_an_onset() {
    for bpm in [90.0, 120.0] {
        let samples: Vec<f32> = (0..22_050 * 20)
            .map(|n| {
                let since = f64::from(n) / 22_050.0 % (60.0 / bpm);
                ((-since * 200.0).exp() * (std::f64::consts::TAU * 1_000.0 * since).sin() * 0.5) as f32
            })
            .collect();
        let rhythm = analyzed(&samples, 22_050, 1).0.rhythm.unwrap();
        let tempo = rhythm.tempo_bpm.unwrap();
        assert!((tempo / bpm - 1.0).abs() < 0.03, "{tempo} instead of {bpm}");
        let n_clicks = (20.0 * bpm / 60.0) as i64;
        assert!((i64::try_from(rhythm.n_onsets).unwrap() - n_clicks).abs() <= 1, "{} of {n_clicks}", rhythm.n_onsets);
    }
}

#[test]
fn audio_that_was_at_a_lower_rate_is_noticed() {
    let waveform = audio::load(data("jfk.flac"), None, &Limits::default()).unwrap().waveform;
    let resampled = audio::resample(&waveform, 48_000).unwrap();
    let found = analyzed(resampled.samples(), 48_000, 1).0.bandwidth.unwrap();
    assert!((7_000.0..8_600.0).contains(&found.effective_hz.unwrap()), "{found:?}");
    assert_eq!(found.upsampled_from_hz, Some(16_000), "{found:?}");
    let mut random = 1_u32;
    let noise: Vec<f32> = (0..96_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / 33_554_432.0 - 0.25
        })
        .collect();
    let found = analyzed(&noise, 48_000, 1).0.bandwidth.unwrap();
    assert_eq!((found.effective_hz, found.upsampled_from_hz), (Some(24_000.0), None));
}

#[test]
fn whatever_comes_there_is_an_analysis() {
    let nothing: &[f32] = &[];
    for (samples, n_channels) in [(nothing, 1), (&[0.5], 1), (&[0.1; 100], 2), (&[f32::NAN; 6_000], 2)] {
        for sample_rate in [1_000, 8_000, 48_000, 768_000] {
            let (analysis, tracks) = analyzed(samples, sample_rate, n_channels);
            assert!(analysis.loudness.unwrap().range_lu.is_none());
            assert!(!tracks.picture.is_empty());
            let silent = samples.iter().all(|sample| sample.is_nan());
            assert_eq!(analysis.level.unwrap().peak_dbfs.is_none(), silent);
            let n_invalid = samples.iter().filter(|sample| sample.is_nan()).count() as u64;
            assert_eq!(analysis.n_invalid_samples, n_invalid);
        }
    }
    let half_silent: Vec<f32> = jfk().iter().flat_map(|&sample| [sample, 0.0]).collect();
    let level = analyzed(&half_silent, 16_000, 2).0.level.unwrap();
    assert!(level.channels[0].peak_dbfs.is_some() && level.channels[1].peak_dbfs.is_none());
    let (low, _) = analyzed(&jfk(), 8_000, 1);
    assert!(low.spectral.unwrap().contrast_db.is_none() && low.pitch.unwrap().median_hz.is_some());
    assert!(Analyzer::new(0, 1, Options::default()).is_err() && Analyzer::new(16_000, 0, Options::default()).is_err());
}

#[test]
fn only_what_is_asked_for_is_measured_and_json_says_so() {
    let fields = Field::parse(&["loudness", "chroma"]).unwrap();
    let options = Options { fields, ..Options::default() };
    let found = analyze_file(data("jfk.flac"), options, &Limits::default()).unwrap();
    let json = serde_json::to_value(&found.analysis).unwrap();
    let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let want = ["version", "duration_s", "sample_rate", "n_channels", "n_invalid_samples", "loudness", "chroma"];
    assert!(names.len() == want.len() && want.iter().all(|name| names.contains(name)), "{names:?}");
    let back: Analysis = serde_json::from_value(json).unwrap();
    assert_eq!(back, found.analysis);
    assert!((found.analysis.duration_s - 11.0).abs() < 0.01 && found.info.sample_rate == 16_000);
}
