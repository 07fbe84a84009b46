//! The reward of a transcript whose truth nobody knows.

use super::breakdown::Reward;
use super::clip;
use super::delivery::{Delivery, Kind};
use super::transcription::{errors, word_quality};

/// A transcript, what others heard, and how it came.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement<'t> {
    /// What the miner heard.
    pub hypothesis: &'t str,
    /// What other miners heard in the same audio; their order does not matter.
    pub peers: &'t [&'t str],
    /// What the validator's own model heard.
    pub own: Option<&'t str>,
    /// The language: a code such as `en`.
    pub language: &'t str,
    /// The miner's mean reward for challenges, whose truth the validator knew, 0 to 1: there is never more.
    pub shown: f64,
    /// How the response came.
    pub delivery: Delivery,
}

/// The reward of a transcript without a reference: agreement with others, and never above what challenges show.
///
/// The error rate between two texts is their distance over the length of the longer one, so it is symmetric. Against the
/// validator's model it is `e_v`; against the peers it is `e_p`, of the lower median: half of them, rounded up, agree at
/// least as well. Q is the word quality of `min(e_v, (e_v + e_p) / 2)`: peers can make up for half of what the
/// validator's model got wrong, but a majority that made up a text gains nothing by it, and an honest miner among such
/// loses nothing. Without one of the two the other counts alone; without both there is no reward.
#[must_use]
pub fn transcription_without_reference(response: &Agreement<'_>) -> Reward {
    let Agreement { hypothesis, peers, own, language, shown, delivery } = *response;
    let mut reward = Reward::new(Kind::Transcription.name());
    let against = |other: &str| {
        let (errors, n_other, n) = errors(other, hypothesis, language);
        if errors == 0 { 0.0 } else { errors as f64 / n_other.max(n) as f64 }
    };
    let own = own.map(against);
    let mut by_peer: Vec<f64> = peers.iter().copied().map(against).collect();
    by_peer.sort_by(f64::total_cmp);
    let peer = by_peer.get(by_peer.len().saturating_sub(1) / 2).copied();
    reward.measure("error_rate_to_validator", own.unwrap_or(f64::NAN));
    reward.measure("error_rate_to_peers", peer.unwrap_or(f64::NAN));
    let error_rate = agreed_error_rate(own, peer);
    reward.gate("witnessed", error_rate.is_some(), || "nobody else heard the audio".to_owned());
    let error_rate = error_rate.unwrap_or(1.0);
    reward.measure("error_rate", error_rate);
    let agreement = reward.part("agreement", word_quality(error_rate), || {
        format!("{:.1} % of the words differ from what others heard", 100.0 * error_rate)
    });
    let mut reward = reward.delivered(Kind::Transcription, agreement, &delivery);
    let (shown, earned) = (clip(shown), reward.value);
    reward.parts.insert("shown".to_owned(), shown);
    if shown < earned {
        reward.reasons.push(format!("{earned:.2}, but {shown:.2} is what challenges show"));
    }
    reward.value = earned.min(shown);
    reward
}

/// The error rate that counts, of that to the validator's model and that to the peers: see
/// [`transcription_without_reference`].
#[must_use]
pub fn agreed_error_rate(own: Option<f64>, peer: Option<f64>) -> Option<f64> {
    match (own, peer) {
        (Some(own), Some(peer)) => Some(own.min(f64::midpoint(own, peer))),
        (own, peer) => own.or(peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a b c d e f g h i j k l m n o p q r s t";
    /// Two of twenty words wrong.
    const OWN: &str = "x b c d e f g h i y k l m n o p q r s t";

    fn value(hypothesis: &str, peers: &[&str], own: Option<&str>, shown: f64) -> f64 {
        let response = Agreement { hypothesis, peers, own, shown, language: "en", ..Agreement::default() };
        transcription_without_reference(&response).value
    }

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn peers_make_up_for_half_of_the_validators_mistakes() {
        // W is (0.35 - 0.10) / 0.33 alone, (0.35 - 0.05) / 0.33 with a peer that agrees.
        near(value(TEXT, &[], Some(OWN), 1.0), (0.25_f64 / 0.33).powi(2));
        near(value(TEXT, &[TEXT], Some(OWN), 1.0), (0.30_f64 / 0.33).powi(2));
        near(value(TEXT, &["z", TEXT], Some(OWN), 1.0), (0.30_f64 / 0.33).powi(2));
    }

    #[test]
    fn a_majority_of_liars_gains_nothing_and_takes_nothing() {
        let lie = "thank you for watching";
        near(value(lie, &[lie, lie, TEXT], Some(OWN), 1.0), 0.0);
        near(value(TEXT, &[lie, lie], Some(OWN), 1.0), value(TEXT, &[], Some(OWN), 1.0));
    }

    #[test]
    fn agreement_never_lifts_above_challenges_and_needs_a_witness() {
        near(value(TEXT, &[TEXT], Some(TEXT), 0.3), 0.3);
        near(value(TEXT, &[], None, 1.0), 0.0);
        near(value("", &[], Some(""), 1.0), 1.0);
    }
}
