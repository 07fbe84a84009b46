//! The reward of synthesized speech.

use super::between;
use super::breakdown::Reward;
use super::delivery::{Delivery, Kind};
use super::transcription::{is_character_language, n_units};

/// Least sampling rate, Hz: below it sibilants are lost.
const MIN_SAMPLE_RATE: u32 = 16_000;
/// Most samples at full scale, as a share.
const MAX_CLIPPED_SHARE: f64 = 0.001;
/// Least level of speech, dB below full scale (root mean square).
const MIN_LEVEL_DBFS: f64 = -55.0;
/// Slowest and fastest speech, characters a second: of alphabets, and of languages that are scored by characters.
const CHARS_PER_S: (f64, f64) = (5.0, 30.0);
const CHARS_PER_S_UNSPACED: (f64, f64) = (1.5, 12.0);
/// Pauses that any speech may have, seconds.
const PAUSE_S: f64 = 3.0;
/// Error rates of the round trip through speech recognition from which on, and up to which, they count nothing and in
/// full. A good recognizer makes 2 to 5 % errors on natural speech itself.
const WER: (f64, f64) = (0.50, 0.05);
const CER: (f64, f64) = (0.30, 0.02);
/// Opinion scores that count nothing and in full. Natural speech has 4.46 DistillMOS and 3.25 DNSMOS, espeak-ng 2.42 and
/// 3.10, 200 ms pieces of speech in any order 1.89 and 2.83: only the first tells them apart, so it weighs three times as
/// much, and the two multiply.
const DISTILL_MOS: (f64, f64) = (1.5, 4.2);
const DNSMOS: (f64, f64) = (1.0, 3.0);
/// Cosine of speaker vectors that counts nothing and in full. The same voice has 0.95, another one 0.64.
const SPEAKER_COSINE: (f64, f64) = (0.65, 0.85);
/// Exponent of naturalness in the quality.
const NATURALNESS_EXPONENT: f64 = 0.7;

/// What was measured of synthesized speech, and how it came. The default was measured by nobody and is worth nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Synthesis<'t> {
    /// What was to be said.
    pub text: &'t str,
    /// Its language: a code such as `en`.
    pub language: &'t str,
    /// Whether the audio decodes.
    pub decodes: bool,
    /// Hz.
    pub sample_rate: u32,
    /// Share of samples at full scale, 0 to 1.
    pub clipped_share: f64,
    /// Root mean square, dB below full scale.
    pub level_dbfs: f64,
    /// Whether the same audio was handed in before.
    pub is_duplicate: bool,
    /// Word error rate of what a recognizer hears; `None` in languages that do not separate words.
    pub wer: Option<f64>,
    /// Character error rate of what a recognizer hears.
    pub cer: Option<f64>,
    /// DistillMOS, 1 to 5.
    pub distill_mos: Option<f64>,
    /// DNSMOS P.835, overall, 1 to 5.
    pub dnsmos: Option<f64>,
    /// Cosine of speaker vectors (GE2E) to the voice that was asked for, -1 to 1; `None` if none was.
    pub speaker_cosine: Option<f64>,
    /// How the response came; its duration is that of the synthesized audio.
    pub delivery: Delivery,
}

/// The reward of synthesized speech: Q is `I^1.5 * M^0.7 * K^0.5`, 0 if a gate is closed.
///
/// I, intelligibility, is the geometric mean of the word and the character part of the round trip; M, naturalness,
/// `D^0.75 * N^0.25` of DistillMOS and DNSMOS, so that the latter, which cannot tell espeak from a human, never pays
/// alone; K the speaker's likeness, if a voice was asked for. What was not measured counts nothing.
#[must_use]
pub fn synthesis(response: &Synthesis<'_>) -> Reward {
    let Synthesis { wer, cer, distill_mos, dnsmos, speaker_cosine, delivery, .. } = *response;
    let mut reward = Reward::new(Kind::Synthesis.name());
    gates(response, &mut reward);
    for (name, value) in [
        ("wer", wer),
        ("cer", cer),
        ("distill_mos", distill_mos),
        ("dnsmos", dnsmos),
        ("speaker_cosine", speaker_cosine),
    ] {
        reward.measure(name, value.unwrap_or(f64::NAN));
    }
    let of = |(zero, full), value: Option<f64>| value.map(|value| between(zero, full, value));
    let percent = |rate: Option<f64>| rate.map_or("not measured".to_owned(), |rate| format!("{:.1} %", 100.0 * rate));
    let mos = |mos: Option<f64>| mos.map_or("not measured".to_owned(), |mos| format!("{mos:.2}"));
    let intelligibility = match (of(WER, wer), of(CER, cer)) {
        (Some(words), Some(characters)) => (words * characters).sqrt(),
        (words, characters) => words.or(characters).unwrap_or(0.0),
    };
    let intelligibility = reward.part("intelligibility", intelligibility, || {
        format!("a recognizer makes of it errors in words: {}, in characters: {}", percent(wer), percent(cer))
    });
    let (natural, clean) = (of(DISTILL_MOS, distill_mos).unwrap_or(0.0), of(DNSMOS, dnsmos).unwrap_or(0.0));
    let naturalness = reward.part("naturalness", (natural * (natural * clean).sqrt()).sqrt(), || {
        format!("DistillMOS {} of {}, DNSMOS {} of {}", mos(distill_mos), DISTILL_MOS.1, mos(dnsmos), DNSMOS.1)
    });
    let speaker = of(SPEAKER_COSINE, speaker_cosine).map_or(1.0, |likeness| {
        reward.part("speaker", likeness, || {
            format!("cosine {} to the voice that was asked for, of {}", mos(speaker_cosine), SPEAKER_COSINE.1)
        })
    });
    let quality =
        intelligibility * intelligibility.sqrt() * libm::pow(naturalness, NATURALNESS_EXPONENT) * speaker.sqrt();
    reward.delivered(Kind::Synthesis, quality, &delivery)
}

/// Why this speech is worth nothing, however it sounds: the first gate that it does not pass; `None` if it passes all.
#[must_use]
pub fn synthesis_refusal(response: &Synthesis<'_>) -> Option<String> {
    let mut reward = Reward::new(Kind::Synthesis.name());
    gates(response, &mut reward);
    reward.reasons.into_iter().next()
}

/// Notes what must hold for there to be a reward at all.
fn gates(response: &Synthesis<'_>, reward: &mut Reward) {
    let Synthesis { text, language, decodes, sample_rate, clipped_share, level_dbfs, is_duplicate, delivery, .. } =
        *response;
    reward.gate("decodes", decodes, || "the audio does not decode".to_owned());
    reward.gate("sample_rate", sample_rate >= MIN_SAMPLE_RATE, || {
        format!("the sample rate is {sample_rate} Hz; expected {MIN_SAMPLE_RATE} or more")
    });
    reward.gate("unclipped", (0.0..=MAX_CLIPPED_SHARE).contains(&clipped_share), || {
        format!("{:.2} % of the samples are at full scale; expected {} % at most", 100.0 * clipped_share, 0.1)
    });
    reward.gate("audible", level_dbfs >= MIN_LEVEL_DBFS && level_dbfs.is_finite(), || {
        format!("the level is {level_dbfs:.1} dB below full scale; expected {MIN_LEVEL_DBFS} or more")
    });
    let (shortest_s, longest_s) = plausible_s(text, language);
    reward.gate("duration", (shortest_s..=longest_s).contains(&delivery.duration_s), || {
        format!("{:.1} s long; the text takes {shortest_s:.1} to {longest_s:.1} s", delivery.duration_s)
    });
    reward.gate("original", !is_duplicate, || "the same audio was handed in before".to_owned());
}

/// The least and the most time that a text takes, seconds; nothing for one without words.
fn plausible_s(text: &str, language: &str) -> (f64, f64) {
    if n_units(text, language) == 0 {
        return (f64::INFINITY, 0.0);
    }
    let n_chars = text.chars().filter(|c| !c.is_whitespace()).count() as f64;
    let (slow, fast) = if is_character_language(language) { CHARS_PER_S_UNSPACED } else { CHARS_PER_S };
    (n_chars / fast, n_chars / slow + PAUSE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Natural speech, as facts of it were measured.
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
            speaker_cosine: Some(0.95),
            delivery: Delivery { duration_s: 3.0, ..Delivery::default() },
            ..Synthesis::default()
        }
    }

    #[test]
    fn natural_speech_earns_all() {
        let reward = synthesis(&natural());
        assert!((reward.value - 1.0).abs() < 1e-12 && reward.reasons.is_empty(), "{reward:?}");
    }

    #[test]
    fn quality_worked_by_hand() {
        // Each part is a half, but for the naturalness: D is 0.5, N is 1.
        let half = Synthesis {
            wer: Some(0.275),
            cer: Some(0.16),
            distill_mos: Some(2.85),
            speaker_cosine: Some(0.75),
            ..natural()
        };
        let want = 0.5_f64.powf(1.5) * 0.5_f64.powf(0.75 * 0.7) * 0.5_f64.sqrt();
        let got = synthesis(&half);
        assert!((got.parts["quality"] - want).abs() < 1e-12, "{got:?}");
        assert!((got.value - want * want).abs() < 1e-12);
    }

    #[test]
    fn every_gate_closes() {
        let table = [
            ("decodes", Synthesis { decodes: false, ..natural() }),
            ("sample_rate", Synthesis { sample_rate: 8_000, ..natural() }),
            ("unclipped", Synthesis { clipped_share: 0.1, ..natural() }),
            ("unclipped", Synthesis { clipped_share: f64::NAN, ..natural() }),
            ("audible", Synthesis { level_dbfs: f64::NEG_INFINITY, ..natural() }),
            ("original", Synthesis { is_duplicate: true, ..natural() }),
            ("duration", Synthesis { delivery: Delivery { duration_s: 30.0, ..Delivery::default() }, ..natural() }),
            ("duration", Synthesis { delivery: Delivery { duration_s: 0.5, ..Delivery::default() }, ..natural() }),
            ("duration", Synthesis { text: "...", ..natural() }),
            ("valid", Synthesis { delivery: Delivery { is_valid: false, ..natural().delivery }, ..natural() }),
        ];
        for (gate, response) in table {
            let reward = synthesis(&response);
            let closed: Vec<_> = reward.gates.iter().filter(|gate| !gate.1).map(|gate| *gate.0).collect();
            assert_eq!((closed, reward.value.to_bits()), (vec![gate], 0), "{reward:?}");
        }
    }

    #[test]
    fn what_was_not_measured_counts_nothing() {
        for response in [
            Synthesis { wer: None, cer: None, ..natural() },
            Synthesis { distill_mos: None, ..natural() },
            Synthesis { dnsmos: None, ..natural() },
            Synthesis { speaker_cosine: Some(f64::NAN), ..natural() },
        ] {
            assert_eq!(synthesis(&response).value.to_bits(), 0, "{response:?}");
        }
        let unasked = Synthesis { speaker_cosine: None, ..natural() };
        assert!(synthesis(&unasked).value > 0.99);
    }
}
