//! Rewards: their properties, and what cheats earn.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use rayon::prelude::*;
use violet::score::reward::{
    self, Agreement, Analysis, Delivery, Field, Kind, Measure, Reward, Synthesis, Tolerance, Transcription,
};

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-1.0..2.0, any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0)]
}

fn text() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec!["a", "b", "c", "Don't", "你好", "[x", "y]", "-", "5"]);
    prop_oneof![vec(word, 0..30).prop_map(|words| words.join(" ")), "\\PC{0,40}"]
}

fn language() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["en", "zh-TW", "ja", ""])
}

prop_compose! {
    fn delivery()(
        is_valid in any::<bool>(),
        passed_canary in any::<bool>(),
        duration_s in number(),
        elapsed_s in number(),
        deadline_s in proptest::option::of(number()),
    ) -> Delivery {
        Delivery { is_valid, passed_canary, duration_s, elapsed_s, deadline_s }
    }
}

fn check(reward: &Reward) {
    let unit = 0.0..=1.0;
    assert!(unit.contains(&reward.value), "{reward:?}");
    assert!(reward.parts.values().all(|part| unit.contains(part)), "{reward:?}");
    assert!(!reward.measures.values().any(|measure| measure.is_nan()), "{reward:?}");
    assert!(reward.is_valid() || reward.value.to_bits() == 0, "{reward:?}");
    assert!(reward.value >= 1.0 || !reward.reasons.is_empty(), "{reward:?}");
    let json: serde_json::Value = serde_json::to_value(reward).unwrap();
    assert_eq!(json["version"], reward::VERSION);
}

fn of(reference: &str, hypothesis: &str, language: &str) -> Reward {
    reward::transcription(&Transcription { reference, hypothesis, language, ..Transcription::default() }).unwrap()
}

proptest! {
    #[test]
    fn every_reward_is_within_bounds_and_says_why(
        left in text(), right in text(), language in language(), delivery in delivery(), numbers in vec(number(), 6),
        times in vec(number(), 0..40), silences in vec((number(), number()), 0..4), flags in any::<[bool; 3]>(),
    ) {
        let starts: Vec<f64> = times.iter().copied().cycle().take(reward::n_units(&left, language)).collect();
        let has_starts = flags[0] && !times.is_empty() || reward::n_units(&left, language) == 0;
        check(&reward::transcription(&Transcription {
            reference: &left,
            hypothesis: &right,
            language,
            hypothesis_language: flags[1].then_some("ja"),
            reference_starts: has_starts.then_some(&starts),
            word_starts: &times,
            silences: &silences,
            delivery,
        }).unwrap());
        let option = |index: usize| flags[index % 3].then_some(numbers[index]);
        check(&reward::synthesis(&Synthesis {
            text: &left,
            language,
            decodes: flags[0],
            sample_rate: if flags[1] { 24_000 } else { 0 },
            clipped_share: numbers[0],
            level_dbfs: numbers[1],
            is_duplicate: flags[2],
            wer: option(0),
            cer: option(1),
            distill_mos: option(2),
            dnsmos: option(3),
            speaker_cosine: option(4),
            delivery,
        }));
        let peers = [left.as_str(), right.as_str()];
        check(&reward::transcription_without_reference(&Agreement {
            hypothesis: &right,
            peers: &peers[usize::from(flags[0])..],
            own: flags[1].then_some(&left),
            language,
            shown: numbers[5],
            delivery,
        }));
        let field = |index: usize| Field {
            name: format!("field {index}"),
            expected: Measure::List(vec![Measure::Number(numbers[index])]),
            got: flags[index].then(|| Measure::List(vec![Measure::Number(numbers[index + 3])])),
            tolerance: [Tolerance::Exact, Tolerance::Absolute(numbers[0]), Tolerance::Relative(numbers[1])][index],
            is_recomputed: flags[2 - index],
        };
        let mut fields: Vec<Field> = (0..3).map(field).collect();
        let found = reward::analysis(&Analysis { fields: fields.clone(), delivery });
        check(&found);
        fields.reverse();
        prop_assert_eq!(reward::analysis(&Analysis { fields, delivery }), found);
    }

    #[test]
    fn the_truth_earns_all(text in text(), language in language()) {
        prop_assert_eq!(of(&text, &text, language).value.to_bits(), 1.0_f64.to_bits());
        let agreed = Agreement { hypothesis: &text, peers: &[&text], own: Some(&text), language, shown: 1.0, delivery: Delivery::default() };
        prop_assert_eq!(reward::transcription_without_reference(&agreed).value.to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn one_more_wrong_word_never_pays_more(
        words in vec(proptest::sample::select(vec!["a", "b", "c", "d", "e"]), 0..30),
        heard in vec(proptest::sample::select(vec!["a", "b", "c", "d", "e"]), 0..30),
        at in any::<proptest::sample::Index>(), is_replaced in any::<bool>(), language in language(),
    ) {
        let (reference, before) = (words.join(" "), heard.join(" "));
        let mut worse = heard.clone();
        let at = at.index(heard.len() + 1);
        if is_replaced && at < heard.len() { worse[at] = "zq" } else { worse.insert(at, "zq") }
        let starts = |n: usize| (0_u16..).map(|n| f64::from(n) * 0.1).take(n).collect::<Vec<_>>();
        let (known, early, late) = (starts(words.len()), starts(heard.len()), starts(worse.len()));
        let value = |hypothesis: &str, word_starts: &[f64]| {
            reward::transcription(&Transcription {
                reference: &reference, hypothesis, language, reference_starts: Some(&known), word_starts, ..Transcription::default()
            }).unwrap().value
        };
        // Times beside the words are judged on their own: a word that is added shifts them here, so only a replaced one counts.
        if language != "ja" && language != "zh-TW" && worse.len() == heard.len() {
            prop_assert!(value(&worse.join(" "), &late) <= value(&before, &early));
        }
        prop_assert!(of(&reference, &worse.join(" "), language).value <= of(&reference, &before, language).value);
    }

    #[test]
    fn later_or_worse_never_pays_more(
        duration_s in 0.0..1e5, x in 0.0..1e6, y in 0.0..1e6, deadline_s in proptest::option::of(0.0..1e6),
        e in 0.0..1.0, f in 0.0..1.0, kind in proptest::sample::select(vec![Kind::Transcription, Kind::Synthesis, Kind::Analysis]),
    ) {
        let (soon, late) = (f64::min(x, y), f64::max(x, y));
        prop_assert!(reward::latency_factor(kind, duration_s, soon) >= reward::latency_factor(kind, duration_s, late));
        let delivered = |elapsed_s| Delivery { duration_s, elapsed_s, deadline_s, ..Delivery::default() };
        let value = |elapsed_s| {
            let delivery = delivered(elapsed_s);
            reward::transcription(&Transcription { reference: "a", hypothesis: "a", delivery, ..Transcription::default() }).unwrap().value
        };
        prop_assert!(value(soon) >= value(late));
        let (good, bad) = (f64::min(e, f), f64::max(e, f));
        let speech = |wer: f64, mos: f64, cosine: f64| {
            let response = Synthesis { wer: Some(wer), cer: Some(wer), distill_mos: Some(mos), speaker_cosine: Some(cosine), ..natural() };
            reward::synthesis(&response).value
        };
        prop_assert!(speech(good, 3.0, 0.8) >= speech(bad, 3.0, 0.8));
        prop_assert!(speech(0.1, 1.0 + 4.0 * bad, 0.8) >= speech(0.1, 1.0 + 4.0 * good, 0.8));
        prop_assert!(speech(0.1, 3.0, bad) >= speech(0.1, 3.0, good));
    }

    #[test]
    fn the_order_of_peers_does_not_matter(hypothesis in text(), peers in vec(text(), 0..6), own in proptest::option::of(text()), shown in 0.0..1.0) {
        let value = |peers: &[&str]| reward::transcription_without_reference(&Agreement {
            hypothesis: &hypothesis, peers, own: own.as_deref(), language: "en", shown, delivery: Delivery::default(),
        });
        let mut peers: Vec<&str> = peers.iter().map(String::as_str).collect();
        let first = value(&peers);
        prop_assert!(first.value <= shown);
        peers.reverse();
        prop_assert_eq!(value(&peers), first);
    }

    #[test]
    fn agreement_is_symmetric(left in text(), right in text(), language in language()) {
        let value = |hypothesis, own| reward::transcription_without_reference(&Agreement {
            hypothesis, peers: &[], own: Some(own), language, shown: 1.0, delivery: Delivery::default(),
        }).value.to_bits();
        prop_assert_eq!(value(&left, &right), value(&right, &left));
    }
}

#[test]
fn a_megabyte_of_text_is_judged_in_bounded_time() {
    let long = "no such word ".repeat(80_000);
    let truth = "ask not what your country can do for you".to_owned();
    for (reference, hypothesis) in [(&truth, &long), (&long, &truth), (&long, &long)] {
        for language in ["en", "ja"] {
            check(&of(reference, hypothesis, language));
        }
    }
    let starts = vec![0.0; reward::n_units(&long, "en")];
    let response = Transcription {
        reference: "such",
        hypothesis: &long,
        reference_starts: Some(&[0.0]),
        word_starts: &starts,
        ..Transcription::default()
    };
    check(&reward::transcription(&response).unwrap());
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let texts = transcripts();
    let pairs: Vec<(&str, &str)> =
        texts.iter().flat_map(|a| texts.iter().map(move |b| (a.as_str(), b.as_str()))).collect();
    let values = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            pairs
                .par_iter()
                .map(|(a, b)| {
                    let silent = Transcription {
                        reference: a,
                        hypothesis: b,
                        language: "en",
                        word_starts: &[1.0, 2.0],
                        silences: &[(0.0, 7.0)],
                        ..Transcription::default()
                    };
                    let spoken = Synthesis { wer: Some(0.123), cer: Some(0.1), distill_mos: Some(3.21), ..natural() };
                    [
                        reward::transcription(&silent).unwrap().value.to_bits(),
                        reward::synthesis(&spoken).value.to_bits(),
                    ]
                })
                .collect::<Vec<_>>()
        })
    };
    let want = values(1);
    assert!((2..=8).all(|n_threads| values(n_threads) == want));
}

/// Bits that these rules gave when they were written: another machine or a change of them is noticed.
#[test]
fn the_bits_are_those_of_the_version() {
    let silence = Transcription {
        reference: "a b c d e f g",
        hypothesis: "a b c d e f x",
        word_starts: &[3.0],
        silences: &[(0.0, 7.0)],
        ..Transcription::default()
    };
    let spoken = Synthesis {
        wer: Some(0.123),
        cer: Some(0.1),
        distill_mos: Some(3.21),
        dnsmos: Some(2.9),
        speaker_cosine: Some(0.8),
        ..natural()
    };
    let bits = [reward::transcription(&silence).unwrap().value.to_bits(), reward::synthesis(&spoken).value.to_bits()];
    assert_eq!((reward::VERSION, bits), ("reward/4", [4_597_184_681_508_849_897, 4_596_773_549_724_655_963]));
}

/// Natural speech of nine words, as measured.
fn natural() -> Synthesis<'static> {
    Synthesis {
        text: "Ask not what your country can do for you.",
        language: "en",
        decodes: true,
        sample_rate: 24_000,
        level_dbfs: -20.0,
        wer: Some(0.0),
        cer: Some(0.0),
        distill_mos: Some(4.46),
        dnsmos: Some(3.25),
        delivery: Delivery { duration_s: 3.0, ..Delivery::default() },
        ..Synthesis::default()
    }
}

/// What was really said: the clips that Violet brings, and the transcripts among the normalizers' golden texts.
fn transcripts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("python/violet/data/speech/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let clips = manifest["clips"].as_array().unwrap().iter().map(|clip| clip["text"].as_str().unwrap().to_owned());
    let spoken: Vec<String> = serde_json::from_str(include_str!("data/transcripts.json")).unwrap();
    clips.chain(spoken).collect()
}

/// Texts that a miner could hand in without listening, by name.
fn cheats(truth: &str, others: &[String]) -> Vec<(&'static str, String)> {
    let words: Vec<&str> = truth.split_whitespace().collect();
    let mut shuffled = words.clone();
    let mut state = 7_u32;
    for index in (1..shuffled.len()).rev() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        shuffled.swap(index, (state >> 8) as usize % (index + 1));
    }
    let reversed: Vec<&str> = words.iter().rev().copied().collect();
    let is_other = |other: &&String| reward::transcription_error_rate(truth, other, "en").unwrap() > 0.25;
    let replay = others.iter().find(is_other).cloned().unwrap();
    vec![
        ("empty", String::new()),
        ("prompt echo", "Transcribe the following audio in English.".to_owned()),
        ("repeat x3", [truth; 3].join(" ")),
        ("all the", "the ".repeat(words.len())),
        ("reversed", reversed.join(" ")),
        ("shuffled", shuffled.join(" ")),
        ("replay", replay),
        ("loop of the first words", words[..3].iter().copied().cycle().take(words.len()).collect::<Vec<_>>().join(" ")),
        ("loop of the last word", [truth, &format!(" {}", words[words.len() - 1]).repeat(words.len())].concat()),
    ]
}

#[test]
fn no_transcript_made_up_earns_as_much_as_0_15() {
    let texts = transcripts();
    assert!(texts.len() >= 20, "{}", texts.len());
    for (index, truth) in texts.iter().enumerate() {
        let others: Vec<String> = texts.iter().cycle().skip(index + 1).take(texts.len() - 1).cloned().collect();
        for (name, text) in cheats(truth, &others) {
            let starts: Vec<f64> = (0_u32..).map(|n| f64::from(n) * 0.4).take(reward::n_units(truth, "en")).collect();
            let timed = Transcription {
                reference: truth,
                hypothesis: &text,
                language: "en",
                hypothesis_language: Some("en"),
                reference_starts: Some(&starts),
                word_starts: &starts,
                ..Transcription::default()
            };
            let value = of(truth, &text, "en").value.max(reward::transcription(&timed).unwrap().value);
            assert!(value < 0.15, "{name}: {value} for {truth:?}: {text:?}");
        }
    }
    // In silence: whatever is written, with and without times.
    for text in &texts {
        for silences in [&[][..], &[(0.0, 30.0)]] {
            let response = Transcription {
                hypothesis: text,
                language: "en",
                hypothesis_language: Some("en"),
                silences,
                ..Transcription::default()
            };
            let value = reward::transcription(&response).unwrap().value;
            assert!(value < 0.15, "{value} for {text:?} in silence");
        }
    }
}
