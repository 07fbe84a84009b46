//! Sequences of tokens, and which of several is the best. Source: openai/whisper `decoding.py` (20250625),
//! `MaximumLikelihoodRanker`.

/// A sequence that is being or was decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    /// The tokens, without the end.
    pub tokens: Vec<u32>,
    /// How many of them were given, not sampled.
    pub n_given: usize,
    /// Sum of the log probabilities of the sampled tokens, the end included.
    pub sum_logprob: f64,
}

impl Sequence {
    /// Tokens that were sampled, without the end.
    pub(super) fn n_sampled(&self) -> usize {
        self.tokens.len() - self.n_given
    }

    /// Source: openai/whisper counts the end token, also where decoding stopped before it.
    pub(super) fn avg_logprob(&self) -> f32 {
        (self.sum_logprob / (self.n_sampled() + 1) as f64) as f32
    }
}

/// How ended sequences compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranking {
    /// Exponent of the penalty of Wu et al. 2016 (Google NMT), equation 14; without one the length itself divides.
    pub length_penalty: Option<f32>,
}

impl Ranking {
    /// The best sequence, the first of equal ones; an impossible empty one when there is none.
    pub(super) fn best(self, sequences: Vec<Sequence>) -> Sequence {
        let is_better = |a: &Sequence, b: &Sequence| self.score(a) > self.score(b);
        let best = sequences.into_iter().reduce(|best, other| if is_better(&other, &best) { other } else { best });
        best.unwrap_or(Sequence { sum_logprob: f64::NEG_INFINITY, ..Sequence::default() })
    }

    fn score(self, sequence: &Sequence) -> f64 {
        let n = sequence.n_sampled().max(1) as f64;
        let penalty = self.length_penalty.map_or(n, |exponent| ((5.0 + n) / 6.0).powf(f64::from(exponent)));
        sequence.sum_logprob / penalty
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test fails by panicking; these values are copied")]
mod tests {
    use super::*;

    fn best(length_penalty: Option<f32>, sequences: &[(usize, f64)]) -> usize {
        let sequence = |&(n, sum_logprob): &(usize, f64)| Sequence { tokens: vec![0; n], sum_logprob, n_given: 0 };
        Ranking { length_penalty }.best(sequences.iter().map(sequence).collect()).tokens.len()
    }

    #[test]
    fn the_penalty_decides_between_short_and_long() {
        // Means -0.5 and -0.45; at exponent 0 the sums themselves; at 1 divided by 7/6 and 15/6: -0.857 and -1.8.
        let sequences = [(2, -1.0), (10, -4.5)];
        assert_eq!(best(None, &sequences), 10);
        assert_eq!(best(Some(0.0), &sequences), 2);
        assert_eq!(best(Some(1.0), &sequences), 2);
        // At 1 divided by 7/6 and 15/6: -0.857 and -0.8.
        assert_eq!(best(Some(1.0), &[(2, -1.0), (10, -2.0)]), 10);
        assert_eq!(best(Some(0.5), &[(2, -1.0), (10, -2.0)]), 2);
    }

    /// Values of openai-whisper's ranker. Source: `tests/data/make_whisper_search.py`.
    #[test]
    fn the_kept_sequence_is_openais() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/whisper_search.json");
        let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = golden["ranked"].as_array().unwrap();
        assert_eq!(cases.len(), 60);
        for case in cases {
            let given: Vec<(usize, f64)> = serde_json::from_value(case["sequences"].clone()).unwrap();
            let sequences =
                given.iter().map(|&(n, sum_logprob)| Sequence { tokens: vec![0; n], sum_logprob, n_given: 0 });
            let length_penalty = case["length_penalty"].as_f64().map(|penalty| penalty as f32);
            let kept = Ranking { length_penalty }.best(sequences.collect());
            let expected = given[case["kept"].as_u64().unwrap() as usize];
            assert_eq!((kept.tokens.len(), kept.sum_logprob), expected, "{case}");
        }
    }

    #[test]
    fn the_first_of_equals_is_best_and_given_tokens_do_not_count() {
        let given = Sequence { tokens: vec![0; 9], n_given: 8, sum_logprob: -1.0 };
        let sampled = Sequence { tokens: vec![0; 2], n_given: 0, sum_logprob: -1.5 };
        assert_eq!(Ranking { length_penalty: None }.best(vec![given, sampled]).tokens.len(), 2);
        assert_eq!(best(None, &[(1, -1.0), (2, -2.0)]), 1);
        assert_eq!(best(None, &[]), 0);
    }
}
