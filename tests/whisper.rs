//! Whisper through its public API, against openai-whisper's own results with the same weights (`tests/data/whisper_jfk.json`,
//! made by openai-whisper 20250625 as its `options` member says).
//!
//! Needs the models tiny.en and base: in the directory `VIOLET_TEST_MODELS`, else in the user's cache.

#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "lengths here are small; these values are exact"
)]

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;
use violet::{
    Error,
    audio::{self, Limits},
    infer::{ComputeType, LoadOptions, Options, Progress, Task, Transcriber, Vad, device::Choice},
    text::transcript::Transcript,
};

const JFK: &str =
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn model_directory(name: &str) -> PathBuf {
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    );
    let directory = models.join(name);
    assert!(
        directory.join("model.bin").is_file(),
        "{}: no model here; fetch it with `violet models fetch tiny.en base`, or set VIOLET_TEST_MODELS to the directory of both",
        directory.display()
    );
    directory
}

fn cpu(num_threads: Option<usize>) -> LoadOptions {
    LoadOptions { device: Choice::Cpu, num_threads, ..LoadOptions::default() }
}

/// A model that computes as the one behind the golden values does.
fn exact(name: &str) -> Transcriber {
    let options = LoadOptions { compute_type: ComputeType::Float32, ..cpu(None) };
    Transcriber::load(&model_directory(name), &options).unwrap()
}

/// The models of tests that compare with another implementation's numbers.
fn exact_tiny() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| exact("tiny.en"))
}

fn exact_base() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| exact("base"))
}

fn tiny() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| Transcriber::load(&model_directory("tiny.en"), &cpu(None)).unwrap())
}

fn base() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| Transcriber::load(&model_directory("base"), &cpu(None)).unwrap())
}

fn jfk() -> Vec<f32> {
    audio::load(data("jfk.flac"), Some(16_000), &Limits::default()).unwrap().waveform.into_samples()
}

fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(data("whisper_jfk.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].clone()
}

fn transcribe(model: &Transcriber, samples: &[f32], options: &Options) -> Transcript {
    let transcript = model.transcribe(samples, options, &mut |_| ControlFlow::Continue(())).unwrap();
    transcript.check().unwrap();
    transcript
}

fn words(text: &str) -> Vec<String> {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace());
    kept.collect::<String>().to_lowercase().split_whitespace().map(str::to_owned).collect()
}

/// Tokens are equal, times too, and the decoder's account of itself is close.
fn assert_equals_golden(got: &Transcript, golden: &Value, time_begin: u32) {
    assert_eq!(got.text, golden["text"].as_str().unwrap().trim());
    assert_eq!(got.language, golden["language"].as_str().unwrap());
    let segments = golden["segments"].as_array().unwrap();
    assert_eq!(got.segments.len(), segments.len());
    for (got, expected) in got.segments.iter().zip(segments) {
        let number = |name: &str| expected[name].as_f64().unwrap();
        let tokens: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).unwrap();
        assert_eq!(got.tokens, tokens);
        assert_eq!(got.text, expected["text"].as_str().unwrap());
        // The golden times are those of the words; the time tokens around a segment are 0.02 s each.
        let time = |token: Option<&u32>| f64::from(token.unwrap() - time_begin) * 0.02;
        assert!((got.start - time(tokens.first())).abs() < 1e-9 && (got.end - time(tokens.last())).abs() < 1e-9);
        for (name, got, tolerance) in [
            ("avg_logprob", f64::from(got.avg_logprob), 1e-2),
            ("no_speech_prob", got.no_speech_prob.into(), 1e-2),
            ("compression_ratio", got.compression_ratio.into(), 1e-6),
            ("temperature", got.temperature.into(), 0.0),
        ] {
            assert!((got - number(name)).abs() <= tolerance, "{name}: {got}; expected {}", number(name));
        }
        assert_eq!(got.seek as u64, expected["seek"].as_u64().unwrap());
    }
}

#[test]
fn greedy_tokens_of_tiny_en_equal_openais() {
    assert_equals_golden(
        &transcribe(&exact("tiny.en"), &jfk(), &Options::default()),
        &golden("tiny.en beam 1"),
        50_363,
    );
}

#[test]
fn greedy_tokens_of_base_equal_openais() {
    assert_equals_golden(&transcribe(&exact("base"), &jfk(), &Options::default()), &golden("base beam 1"), 50_364);
}

#[test]
fn beam_search_of_tiny_en_equals_openais() {
    let options = Options { beam_size: 5, ..Options::default() };
    assert_equals_golden(&transcribe(&exact("tiny.en"), &jfk(), &options), &golden("tiny.en beam 5"), 50_363);
}

#[test]
fn beam_search_of_base_equals_openais() {
    let options = Options { beam_size: 5, ..Options::default() };
    assert_equals_golden(&transcribe(&exact("base"), &jfk(), &options), &golden("base beam 5"), 50_364);
}

#[test]
fn in_int8_which_is_the_default_both_models_hear_the_same_words() {
    for model in [tiny(), base()] {
        assert_eq!(model.compute_type(), ComputeType::Int8);
        for beam_size in [1, 5] {
            let options = Options { beam_size, ..Options::default() };
            assert_eq!(words(&transcribe(model, &jfk(), &options).text), words(JFK));
        }
    }
}

#[test]
fn long_audio_is_decoded_window_after_window() {
    let clip = jfk();
    let samples: Vec<f32> = (0..7).flat_map(|_| clip.clone()).collect();
    let mut fractions = Vec::new();
    // The clip again and again is repetitive, rightly.
    let options = Options { compression_ratio_threshold: None, ..Options::default() };
    let transcript = tiny()
        .transcribe(&samples, &options, &mut |progress| {
            fractions.push(progress.fraction);
            ControlFlow::Continue(())
        })
        .unwrap();
    transcript.check().unwrap();
    let times = words(&transcript.text).windows(4).filter(|four| *four == ["ask", "not", "what", "your"]).count();
    assert!((6..=7).contains(&times), "{}", transcript.text);
    let seeks: Vec<usize> = transcript.segments.iter().map(|segment| segment.seek).collect();
    assert!(seeks.is_sorted() && *seeks.last().unwrap() > 3000, "{seeks:?}");
    assert!(transcript.segments.windows(2).all(|pair| pair[0].start <= pair[1].start && pair[0].id + 1 == pair[1].id));
    assert!(transcript.segments.last().unwrap().end > 70.0);
    assert!(fractions.is_sorted() && fractions.first() == Some(&0.0) && fractions.last() == Some(&1.0));
}

#[test]
fn silence_and_what_is_not_a_number_have_no_words() {
    for samples in [vec![], vec![0.0; 100], vec![0.0; 40 * 16_000], vec![f32::NAN; 16_000], vec![f32::INFINITY; 16_000]]
    {
        let transcript = transcribe(base(), &samples, &Options::default());
        assert_eq!((transcript.text.as_str(), transcript.segments.len()), ("", 0));
        assert_eq!(transcript.duration_s, samples.len() as f64 / 16_000.0);
    }
}

#[test]
fn damaged_samples_do_not_hide_the_words_around_them() {
    let mut samples = jfk();
    samples[1000] = f32::NAN;
    assert_eq!(words(&transcribe(tiny(), &samples, &Options::default()).text), words(JFK));
}

#[test]
fn the_caller_can_stop_at_once_and_between_tokens() {
    let samples = jfk();
    for stop_at in [0, 2] {
        let mut n_calls = 0;
        let result = tiny().transcribe(&samples, &Options::default(), &mut |_: Progress<'_>| {
            n_calls += 1;
            if n_calls > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert_eq!(n_calls, stop_at + 1);
    }
}

#[test]
fn the_language_is_detected_with_its_probability_or_taken_as_given() {
    let detected = transcribe(base(), &jfk(), &Options::default());
    // openai-whisper 20250625 says 0.959 for the clip padded with silence before the features are made.
    assert!((detected.language_probability.unwrap() - 0.959).abs() < 0.03, "{detected:?}");
    let given = Options { language: Some("EN".into()), ..Options::default() };
    let given = transcribe(base(), &jfk(), &given);
    assert_eq!((given.language.as_str(), given.language_probability), ("en", None));
    assert_eq!(given.segments, detected.segments);
    assert!(base().is_multilingual() && !tiny().is_multilingual());
    assert_eq!((base().languages().len(), tiny().languages()), (99, vec!["en"]));
}

#[test]
fn unknown_languages_are_refused_with_the_known_ones() {
    for (model, language, known) in [(base(), "klingon", "en, zh, de"), (tiny(), "de", "en")] {
        let options = Options { language: Some(language.into()), ..Options::default() };
        let error = model.transcribe(&jfk(), &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidInput(message) if message.contains(known) && message.contains(language)),
            "{error}"
        );
    }
}

#[test]
fn impossible_options_are_refused() {
    for (options, message) in [
        (Options { beam_size: 0, ..Options::default() }, "beam_size is 0"),
        (Options { suppress_tokens: vec![-1, 51_864], ..Options::default() }, "suppress_tokens has 51864"),
        (Options { suppress_tokens: vec![-2], ..Options::default() }, "suppress_tokens has -2"),
        (
            Options { task: Task::Translate, ..Options::default() },
            "task is translate, but this model knows English alone",
        ),
    ] {
        let error = tiny().transcribe(&[0.0; 400], &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(&error, Error::InvalidInput(text) if text.contains(message)), "{error}");
    }
}

/// The options of a case of `whisper_options.json`, under faster-whisper's names.
fn options_of(case: &Value) -> Options {
    let mut options = Options { temperatures: vec![0.0], condition_on_previous_text: false, ..Options::default() };
    for (name, value) in case["options"].as_object().unwrap() {
        let text = || Some(value.as_str().unwrap().to_owned());
        let number = || value.as_f64().unwrap() as f32;
        match name.as_str() {
            "task" => options.task = value.as_str().unwrap().parse().unwrap(),
            "language" => options.language = text(),
            "without_timestamps" => options.without_timestamps = value.as_bool().unwrap(),
            "initial_prompt" => options.prompt = text(),
            "hotwords" => options.hotwords = text(),
            "prefix" => options.prefix = text(),
            "no_repeat_ngram_size" => options.no_repeat_ngram_size = serde_json::from_value(value.clone()).unwrap(),
            "repetition_penalty" => options.repetition_penalty = number(),
            "suppress_tokens" => options.suppress_tokens = serde_json::from_value(value.clone()).unwrap(),
            "max_initial_timestamp" => options.max_initial_timestamp = Some(number()),
            "clip_timestamps" => options.clip_timestamps = serde_json::from_value(value.clone()).unwrap(),
            "beam_size" => options.beam_size = serde_json::from_value(value.clone()).unwrap(),
            "patience" => options.patience = number(),
            other => panic!("{other}"),
        }
    }
    options
}

#[test]
fn clips_bound_speech_and_batches() {
    let vad = model_directory("tiny.en").with_file_name("silero-vad");
    tiny().use_vad(std::sync::Arc::new(Vad::load(&vad).unwrap()));
    // Speech at 0 to 11 s, 16 to 27 s and 27 to 38 s.
    let samples = [jfk(), vec![0.0; 80_000], jfk(), jfk()].concat();
    let said = |batch_size: usize, vad_filter: bool, times: &[f64]| {
        let options = Options {
            batch_size,
            vad_filter,
            clip_timestamps: times.to_vec(),
            condition_on_previous_text: false,
            ..Options::default()
        };
        let got = transcribe(tiny(), &samples, &options);
        assert!((got.duration_s - 38.0).abs() < 0.1, "{}", got.duration_s);
        for segment in &got.segments {
            // A time may lie a little behind the end of what is heard.
            let is_in =
                |pair: &[f64]| segment.start >= pair[0] - 0.01 && segment.end <= pair.get(1).unwrap_or(&38.0) + 0.5;
            assert!(times.chunks(2).any(is_in), "{segment:?} in none of {times:?}");
        }
        words(&got.text)
    };
    let (all, twice) = (words(JFK), [words(JFK), words(JFK)].concat());
    for (batch_size, vad_filter) in [(1, true), (4, false), (4, true)] {
        let name = format!("batch {batch_size}, vad {vad_filter}");
        assert_eq!(said(batch_size, vad_filter, &[16.0, 27.0]), all, "{name}");
        // In turn, windows reach over the seams of what was left out, as where there are no clips.
        if batch_size > 1 {
            assert_eq!(said(batch_size, vad_filter, &[0.0, 11.0, 27.0]), twice, "{name}");
        }
        assert!(said(batch_size, vad_filter, &[50.0]).is_empty(), "{name}");
    }
    // Nothing but silence in the clip.
    assert!(said(4, true, &[12.0, 15.0]).is_empty());
}

#[test]
fn every_option_does_what_it_does_in_faster_whisper() {
    let cases: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(data("whisper_options.json")).unwrap()).unwrap();
    for case in &cases {
        let model = if case["model"] == "base" { exact_base() } else { exact_tiny() };
        let got = transcribe(model, &jfk(), &options_of(case));
        let text = |token: &u32| *token < 50_256;
        let got_tokens: Vec<u32> = got.segments.iter().flat_map(|s| s.tokens.clone()).filter(text).collect();
        let segments = case["segments"].as_array().unwrap();
        let tokens = |segment: &Value| serde_json::from_value::<Vec<u32>>(segment["tokens"].clone()).unwrap();
        let expected: Vec<u32> = segments.iter().flat_map(tokens).filter(text).collect();
        assert_eq!(got_tokens, expected, "{case}: {}", got.text);
        for (got, expected) in got.segments.iter().zip(segments) {
            let time = |name: &str| expected[name].as_f64().unwrap();
            assert!((got.end - time("end")).abs() < 0.025, "{case}: {got:?}");
            assert!((got.start - time("start")).abs() < 0.025, "{case}: {got:?}");
        }
    }
}

#[test]
fn segments_are_told_as_soon_as_they_are_known_and_text_before() {
    let samples: Vec<f32> = [jfk(), jfk(), jfk(), jfk()].concat();
    let mut partials = Vec::new();
    let mut n_segments = Vec::new();
    let options = Options { compression_ratio_threshold: None, ..Options::default() };
    let transcript = tiny()
        .transcribe(&samples, &options, &mut |progress| {
            partials.push(progress.partial.to_owned());
            n_segments.push((progress.segments.len(), progress.fraction));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(partials.iter().any(|text| words(text).starts_with(&words("And so my fellow Americans")[..])));
    assert!(n_segments.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    assert!(n_segments.iter().any(|(n, fraction)| (1..transcript.segments.len()).contains(n) && *fraction < 1.0));
}

#[test]
fn no_three_tokens_come_twice_and_no_more_than_asked_for() {
    let clip = jfk();
    // "ask what" over and over: without the rule the text is a loop.
    let samples: Vec<f32> = (0..24).flat_map(|_| clip[8 * 16_000..9 * 16_000].to_vec()).collect();
    let greedy = Options { temperatures: vec![0.0], max_new_tokens: Some(60), ..Options::default() };
    let repeats = |options: &Options| {
        let transcript = transcribe(tiny(), &samples, options);
        let mut n = 0;
        for segment in &transcript.segments {
            assert!(segment.tokens.len() <= 60);
            let mut seen = std::collections::HashSet::new();
            n += segment.tokens.windows(3).filter(|three| !seen.insert(three.to_vec())).count();
        }
        n
    };
    assert_eq!(repeats(&Options { no_repeat_ngram_size: 3, ..greedy.clone() }), 0);
}

#[test]
fn ten_spoken_digits_do_not_end_in_a_loop() {
    // base says more digits than were spoken when it may not try again: repetitive text, which the fall back is for.
    let [five, zero] = ["prompt_five.wav", "prompt_zero.wav"].map(|name| {
        let clip = audio::load(data(name), Some(16_000), &Limits::default()).unwrap();
        [clip.waveform.into_samples(), vec![0.0; 1_600]].concat()
    });
    let samples = [five, zero.repeat(9)].concat();
    let options = Options { language: Some("en".into()), ..Options::default() };
    let once = Options { temperatures: vec![0.0], ..options.clone() };
    let repetitive = transcribe(base(), &samples, &once);
    assert!(repetitive.segments.iter().any(|segment| segment.compression_ratio > 2.4), "{}", repetitive.text);
    let transcript = transcribe(base(), &samples, &options);
    let n_digits = transcript.text.chars().filter(char::is_ascii_digit).count();
    assert!((8..=16).contains(&n_digits), "{}", transcript.text);
    assert!(transcript.segments.iter().all(|segment| segment.compression_ratio < 3.5), "{}", transcript.text);
}

#[test]
fn a_language_may_be_named_in_english_and_a_recording_may_be_in_several() {
    let named = Options { language: Some("German".into()), ..Options::default() };
    assert_eq!(transcribe(base(), &jfk(), &named).language, "de");
    let several = Options { language: Some("de".into()), multilingual: true, ..Options::default() };
    let heard = transcribe(base(), &jfk(), &several);
    assert_eq!(words(&heard.text), words(JFK));
}

#[test]
fn all_languages_have_probabilities_the_likeliest_first() {
    let golden = golden("base language probabilities, top 5");
    let heard = exact_base().detect_language(&jfk()).unwrap();
    assert_eq!((heard.len(), heard[0].0.as_str()), (99, "en"));
    assert!((heard.iter().map(|(_, p)| p).sum::<f32>() - 1.0).abs() < 1e-4);
    assert!(heard.is_sorted_by(|a, b| a.1 >= b.1));
    for (code, expected) in golden.as_object().unwrap() {
        let got = heard.iter().find(|(known, _)| known == code).unwrap().1;
        assert!((f64::from(got) - expected.as_f64().unwrap()).abs() < 1e-2, "{code}: {got}; expected {expected}");
    }
    assert_eq!(tiny().detect_language(&jfk()).unwrap(), [("en".to_owned(), 1.0)]);
    assert_eq!(transcribe(base(), &jfk(), &Options::default()).language_probabilities.len(), 99);
}

#[test]
fn eight_threads_hear_what_one_hears() {
    let samples = jfk()[..4 * 16_000].to_vec();
    let options = Options { temperatures: vec![0.4], best_of: 2, logprob_threshold: None, ..Options::default() };
    let alone = transcribe(tiny(), &samples, &options);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| transcribe(tiny(), &samples, &options))).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), alone);
        }
    });
}

#[test]
fn words_have_times_and_silence_is_skipped_around_them() {
    let mut samples = jfk();
    samples.extend(vec![1e-3; 8 * 16_000]);
    let options = Options { word_timestamps: true, hallucination_silence_threshold: Some(2.0), ..Options::default() };
    let transcript = transcribe(tiny(), &samples, &options);
    let said: Vec<_> = transcript.segments.iter().flat_map(|segment| &segment.words).collect();
    let text: String = said.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words(&text), words(JFK));
    assert!(said.is_sorted_by(|a, b| a.start <= b.start) && said.iter().all(|word| word.end <= 11.5));
}

#[test]
fn equal_seeds_draw_equal_tokens() {
    let draw = |seed| {
        let options =
            Options { temperatures: vec![1.0], best_of: 1, logprob_threshold: None, seed, ..Options::default() };
        transcribe(tiny(), &jfk(), &options)
    };
    assert_eq!(draw(1), draw(1));
    assert!((2..6).any(|seed| draw(seed) != draw(1)));
}

#[test]
fn a_prompt_guides_the_spelling_and_is_not_part_of_the_text() {
    let options = Options { prompt: Some("KENNEDY SAID: AND SO, MY FELLOW AMERICANS,".into()), ..Options::default() };
    let prompted = transcribe(tiny(), &jfk(), &options);
    assert_eq!(words(&prompted.text), words(JFK));
    assert_ne!(prompted.text, JFK);
    let long = Options { prompt: Some("word ".repeat(1000)), ..Options::default() };
    transcribe(tiny(), &jfk(), &long);
}

#[test]
fn one_thread_hears_what_two_hear() {
    let one = Transcriber::load(&model_directory("tiny.en"), &cpu(Some(1))).unwrap();
    let two = Transcriber::load(&model_directory("tiny.en"), &cpu(Some(2))).unwrap();
    let (one, two) = (transcribe(&one, &jfk(), &Options::default()), transcribe(&two, &jfk(), &Options::default()));
    assert_eq!(one.segments[0].tokens, two.segments[0].tokens);
}

#[test]
fn impossible_places_are_refused() {
    let tiny = model_directory("tiny.en");
    assert!(matches!(Transcriber::load(&tiny, &cpu(Some(0))), Err(Error::InvalidInput(_))));
    assert!(matches!(Transcriber::load(Path::new("/no/such/model"), &cpu(None)), Err(Error::NotFound(_))));
}
