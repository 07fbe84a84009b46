//! The audio scores and the pitch tracker give what pystoi, pesq, librosa and the definitions in numpy give.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use violet::analysis::pitch::{PitchFrame, Yin, yin};
use violet::audio::{self, Limits};
use violet::score::signal::{
    Alignment, Pair, log_f0_rmse, log_spectral_distance, mel_cepstral_distortion, scores, si_sdr, snr, stoi,
};

fn data(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Made by `tests/data/make_audio_scores.py`.
fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(data("audio_scores.json")).unwrap()).unwrap()
}

fn clip() -> Vec<f64> {
    let decoded = audio::load(data("jfk.flac"), None, &Limits::default()).unwrap();
    decoded.waveform.samples().iter().copied().map(f64::from).collect()
}

/// Uniform in [-0.5, 0.5): the script's generator.
fn noise(n_samples: usize) -> Vec<f64> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 4_294_967_296.0 - 0.5
    };
    (0..n_samples).map(|_| next()).collect()
}

/// The script's degradations.
fn degraded(clip: &[f64], name: &str) -> Vec<f64> {
    let noise = noise(clip.len());
    let with_noise = |gain: f64, noise_gain: f64| {
        clip.iter().zip(&noise).map(|(sample, noise)| gain * sample + noise_gain * noise).collect()
    };
    match name {
        "noise" => with_noise(1.0, 0.05),
        "loud noise" => with_noise(1.0, 0.5),
        "quiet" => with_noise(0.1, 0.001),
        "clipped" => clip.iter().map(|sample| sample.clamp(-0.05, 0.05)).collect(),
        "smooth" => {
            let earlier = |index: usize| index.checked_sub(3).map_or(0.0, |index| clip[index]);
            clip.iter().enumerate().map(|(index, sample)| 0.5 * (sample + earlier(index))).collect()
        }
        "fast" => (0..clip.len() * 20 / 21).map(|index| clip[index * 21 / 20]).collect(),
        other => panic!("no degradation {other}"),
    }
}

/// Calls `check` with every case that has a value of this name: its pair, the value, and a name.
fn for_each(value: &str, mut check: impl FnMut(&Pair, f64, &str)) {
    let clip = clip();
    let mut n_checked = 0;
    for case in golden()["cases"].as_array().unwrap() {
        let (rate, name) = (case["rate"].as_u64().unwrap(), case["degradation"].as_str().unwrap());
        let Some(want) = case[value].as_f64() else { continue };
        let reference = &clip[..usize::try_from(case["n_samples"].as_u64().unwrap()).unwrap()];
        let degraded = degraded(reference, name);
        let pair = Pair::new(reference, &degraded, u32::try_from(rate).unwrap()).unwrap();
        check(&pair, want, &format!("{value} of {name} at {rate} Hz"));
        n_checked += 1;
    }
    assert!(n_checked >= 5, "{n_checked} cases have {value}");
}

fn equals(value: &str, tolerance: f64, score: impl Fn(&Pair) -> violet::Result<Option<f64>>) {
    let mut greatest = 0.0_f64;
    for_each(value, |pair, want, name| {
        let got = score(pair).unwrap().unwrap();
        assert!((got - want).abs() <= tolerance, "{name} is {got}, not {want}");
        greatest = greatest.max((got - want).abs());
    });
    // Seen with --nocapture: how close it is.
    #[allow(clippy::print_stderr, reason = "a test says what it measured")]
    {
        eprintln!("{value}: at most {greatest:.1e} apart");
    }
}

#[test]
fn stoi_is_pystois_at_every_rate() {
    equals("stoi", 1e-9, |pair| stoi(pair, false));
}

#[test]
fn extended_stoi_is_pystois_at_every_rate() {
    equals("estoi", 1e-9, |pair| stoi(pair, true));
}

#[test]
fn ratios_are_their_formulas() {
    equals("snr", 1e-9, snr);
    equals("si_sdr", 1e-9, si_sdr);
}

#[test]
fn spectral_distance_is_its_definition() {
    equals("lsd", 1e-8, log_spectral_distance);
}

#[test]
fn cepstral_distortion_is_its_definition_with_librosas_warping() {
    // librosa's mel filters are rounded to f32, as are these.
    equals("mcd_fixed", 1e-4, |pair| mel_cepstral_distortion(pair, Alignment::Fixed));
    equals("mcd_warped", 1e-4, |pair| mel_cepstral_distortion(pair, Alignment::Warped));
}

#[test]
fn pitch_error_is_its_definition_with_librosas_pitch() {
    equals("log_f0_fixed", 1e-5, |pair| log_f0_rmse(pair, Alignment::Fixed));
    equals("log_f0_warped", 1e-5, |pair| log_f0_rmse(pair, Alignment::Warped));
}

#[test]
fn pitch_is_librosas() {
    let clip = clip();
    for case in golden()["pitches"].as_array().unwrap() {
        let integer = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
        let options = Yin {
            fmin_hz: case["fmin"].as_f64().unwrap(),
            fmax_hz: case["fmax"].as_f64().unwrap(),
            frame_length: integer("frame_length"),
            hop_length: integer("hop_length"),
            trough_threshold: 0.1,
        };
        let frames = yin(&clip[16_000..64_000], u32::try_from(integer("rate")).unwrap(), &options).unwrap();
        let want: Vec<f64> = case["f0"].as_array().unwrap().iter().map(|f0| f0.as_f64().unwrap()).collect();
        assert_eq!(frames.len(), want.len());
        let is_far = |(frame, want): &(&PitchFrame, &f64)| (frame.f0_hz - **want).abs() > 1e-4 * **want;
        // Where two lags are nearly as good, rounding chooses.
        let n_far = frames.iter().zip(&want).filter(is_far).count();
        assert!(n_far * 200 <= frames.len(), "{options:?}: {n_far} of {} frames", frames.len());
    }
}

#[cfg(feature = "pesq")]
#[test]
fn pesq_is_that_of_the_recommendations_code() {
    use violet::score::signal::{PesqMode, pesq};

    for (value, mode) in [("pesq_nb", PesqMode::Narrowband), ("pesq_wb", PesqMode::Wideband)] {
        for_each(value, |pair, want, name| {
            let got = pesq(pair, mode).unwrap().unwrap();
            let tolerance = match mode {
                PesqMode::Wideband => 0.005,
                // Another tempo is aligned piece by piece, and the choice of pieces is a close one.
                PesqMode::Narrowband if name.contains("fast") => 0.06,
                PesqMode::Narrowband => 0.02,
            };
            assert!((got - want).abs() < tolerance, "{name} is {got}, not {want}");
        });
    }
}

#[cfg(feature = "pesq")]
#[test]
fn pesq_refuses_other_rates_and_has_no_score_for_silence() {
    use violet::score::signal::{PesqMode, pesq};

    let clip = clip();
    let score = |reference: &[f64], degraded: &[f64], rate: u32, mode| {
        pesq(&Pair::new(reference, degraded, rate).unwrap(), mode)
    };
    let error = score(&clip, &clip, 44_100, PesqMode::Wideband).unwrap_err().to_string();
    assert!(error.contains("44100 Hz") && error.contains("16000"), "{error}");
    assert!(score(&clip, &clip, 16_000, PesqMode::Narrowband).is_err());
    let error = score(&clip[..3_999], &clip, 16_000, PesqMode::Wideband).unwrap_err().to_string();
    assert!(error.contains("at least 4000 (250 ms)"), "{error}");
    assert!(score(&clip, &clip, 16_000, PesqMode::Wideband).unwrap().unwrap() > 4.6);
    let silence = vec![0.0; clip.len()];
    for (reference, degraded) in [(&silence, &clip), (&clip, &silence), (&silence, &silence)] {
        assert_eq!(score(reference, degraded, 16_000, PesqMode::Wideband).unwrap(), None);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let clip = clip();
    let clips: Vec<Vec<f64>> = ["noise", "clipped", "smooth", "quiet"].map(|name| degraded(&clip, name)).into();
    let of = |num_threads| {
        let score = |index: usize| stoi(&Pair::new(&clip, &clips[index], 16_000)?, true);
        let bits = |score: &Option<f64>| score.unwrap().to_bits();
        scores(clips.len(), num_threads, score).unwrap().iter().map(bits).collect::<Vec<_>>()
    };
    for num_threads in [None, Some(2), Some(3), Some(8)] {
        assert_eq!(of(num_threads), of(Some(1)));
    }
}
