//! Which of several tries at one window to believe. Source: openai/whisper `transcribe.py` (20250625).

use super::{decode::Decoded, options::Options};

/// Whether a result is so repetitive or improbable that the next temperature is tried.
pub(super) fn needs_fallback(options: &Options, decoded: &Decoded) -> bool {
    let is_silence = is_improbable(options, decoded) && is_quiet(options, decoded);
    (is_repetitive(options, decoded) || is_improbable(options, decoded)) && !is_silence
}

/// Whether the window holds no speech, so that its words are invented.
pub(super) fn is_without_speech(options: &Options, decoded: &Decoded) -> bool {
    let is_probable = options.logprob_threshold.is_some_and(|limit| decoded.avg_logprob > limit);
    is_quiet(options, decoded) && !is_probable
}

/// The result to keep: the last try when it was good; else the likeliest of those that are not repetitive, or, of tries
/// that all are, the one that repeats itself least: a loop is likelier the longer it runs.
///
/// Differs from openai/whisper, which keeps the last try even when it is noise drawn at temperature 1.
pub(super) fn choose(options: &Options, mut tries: Vec<Decoded>) -> Option<Decoded> {
    let last = tries.pop()?;
    if !needs_fallback(options, &last) {
        return Some(last);
    }
    let repetition = |decoded: &Decoded| if is_repetitive(options, decoded) { decoded.compression_ratio } else { 0.0 };
    let worth = |decoded: &Decoded| (-repetition(decoded), decoded.avg_logprob);
    let is_better = |a: &Decoded, b: &Decoded| worth(a) > worth(b);
    tries.push(last);
    tries.into_iter().reduce(|best, other| if is_better(&other, &best) { other } else { best })
}

fn is_repetitive(options: &Options, decoded: &Decoded) -> bool {
    options.compression_ratio_threshold.is_some_and(|limit| decoded.compression_ratio > limit)
}

fn is_improbable(options: &Options, decoded: &Decoded) -> bool {
    options.logprob_threshold.is_some_and(|limit| decoded.avg_logprob < limit)
}

fn is_quiet(options: &Options, decoded: &Decoded) -> bool {
    options.no_speech_threshold.is_some_and(|limit| decoded.no_speech_prob > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(avg_logprob: f32, compression_ratio: f32, no_speech_prob: f32) -> Decoded {
        Decoded { tokens: Vec::new(), avg_logprob, no_speech_prob, compression_ratio, temperature: 0.0 }
    }

    #[test]
    fn the_decision_follows_the_thresholds() {
        for (name, result, fallback, silent) in [
            ("good", decoded(-0.3, 1.4, 0.1), false, false),
            ("repetitive", decoded(-0.3, 2.5, 0.1), true, false),
            ("improbable", decoded(-1.1, 1.4, 0.1), true, false),
            ("improbable and quiet", decoded(-1.1, 1.4, 0.7), false, true),
            ("repetitive, improbable and quiet", decoded(-1.1, 9.0, 0.7), false, true),
            ("probable though quiet", decoded(-0.3, 1.4, 0.99), false, false),
            ("repetitive though quiet", decoded(-0.3, 2.5, 0.99), true, false),
        ] {
            assert_eq!(needs_fallback(&Options::default(), &result), fallback, "{name}");
            assert_eq!(is_without_speech(&Options::default(), &result), silent, "{name}");
        }
        let none = Options {
            compression_ratio_threshold: None,
            logprob_threshold: None,
            no_speech_threshold: None,
            ..Options::default()
        };
        assert!(
            !needs_fallback(&none, &decoded(-9.0, 9.0, 0.9)) && !is_without_speech(&none, &decoded(-9.0, 9.0, 0.9))
        );
    }

    #[test]
    fn the_last_try_is_kept_when_good_and_the_likeliest_or_least_repetitive_otherwise() {
        let kept = |tries| choose(&Options::default(), tries).map(|decoded| decoded.avg_logprob);
        assert_eq!(kept(vec![]), None);
        assert_eq!(kept(vec![decoded(-0.1, 5.0, 0.0), decoded(-0.9, 1.0, 0.0)]), Some(-0.9));
        assert_eq!(kept(vec![decoded(-1.2, 1.0, 0.0), decoded(-3.0, 1.0, 0.0)]), Some(-1.2));
        assert_eq!(kept(vec![decoded(-0.1, 5.0, 0.0), decoded(-3.0, 1.0, 0.0)]), Some(-3.0));
        assert_eq!(kept(vec![decoded(-0.1, 5.0, 0.0), decoded(-0.2, 5.0, 0.0)]), Some(-0.1));
        // The longer a loop, the likelier.
        assert_eq!(kept(vec![decoded(-0.6, 2.6, 0.0), decoded(-0.1, 17.0, 0.0), decoded(-0.4, 9.0, 0.0)]), Some(-0.6));
    }
}
