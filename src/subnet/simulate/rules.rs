//! How miners are paid: the network's rules, and two that are common elsewhere.

use serde::Serialize;

use super::agents::Answer;
use crate::score::reward::{Kind, agreed_error_rate, latency_factor, response_reward, word_quality};
use crate::subnet::miner::{self, Tally};
use crate::subnet::weights::{self, Ema, Miner};

/// A set of rules for miners' pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSet {
    /// Quality, speed and availability add up; weights in proportion.
    Additive,
    /// They multiply; weights in proportion.
    Multiplicative,
    /// Those of this network.
    Proposed,
}

impl RuleSet {
    /// Every rule set, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Additive, Self::Multiplicative, Self::Proposed];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Additive => "additive",
            Self::Multiplicative => "multiplicative",
            Self::Proposed => "proposed",
        }
    }
}

/// What a validator can compare an answer with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Truth {
    /// It knows what was said.
    Known,
    /// It knows what its own model and other miners heard: error rates between them and the answer.
    Heard { own: f64, peer: Option<f64> },
}

/// How an answer came, and whether the validator knew the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// A user's task, or another validator's challenge.
    Work,
    /// Its own challenge, through the proxy.
    Challenge,
    /// Its own challenge, sent by itself.
    Direct,
}

/// Error rate up to which a challenge is passed: from there on words count nothing.
const PASSED_UP_TO: f64 = 0.35;

/// What a validator knows of a miner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Knowledge {
    /// Rewards of all answers.
    pub quality: Ema,
    /// Rewards of what came through the proxy.
    pub work: Ema,
    /// Rewards of challenges that it sent itself.
    pub direct: Ema,
    pub challenges: Tally,
    pub probes: Tally,
}

impl RuleSet {
    /// The reward of an answer.
    pub(super) fn response(self, answer: &Answer, duration_s: f64, truth: Truth) -> f64 {
        let error_rate = match truth {
            Truth::Known => answer.error_rate,
            Truth::Heard { own, peer } => agreed_error_rate(Some(own), peer).unwrap_or(1.0),
        };
        let latency = latency_factor(Kind::Transcription, duration_s, answer.elapsed_s);
        let right = (1.0 - error_rate).max(0.0);
        match self {
            Self::Additive => 0.5 * right + 0.3 * latency + 0.2,
            Self::Multiplicative => right * latency,
            Self::Proposed => response_reward(true, word_quality(error_rate), latency),
        }
    }

    /// A miner's score.
    pub(super) fn score(self, known: &Knowledge) -> f64 {
        let availability = miner::availability(known.probes.good, known.probes.total());
        let quality = known.quality.value;
        match self {
            Self::Additive => 0.8 * quality + 0.2 * availability,
            Self::Multiplicative => quality * availability,
            Self::Proposed => miner::score(
                &[miner::proven(1.0, known.work, known.direct)],
                availability,
                miner::credibility(known.challenges.good, known.challenges.bad),
            ),
        }
    }

    /// Weights by uid.
    pub(super) fn weights(self, miners: &[Miner], burn_uid: u16) -> Vec<(u16, f64)> {
        match self {
            Self::Proposed => weights::weights(miners, Some(burn_uid)),
            Self::Additive | Self::Multiplicative => miners.iter().map(|miner| (miner.uid, miner.score)).collect(),
        }
    }
}

impl Knowledge {
    /// Lets one reward count.
    pub(super) fn add(&mut self, answer: &Answer, reward: f64, route: Route, now_s: f64) {
        self.quality = self.quality.update(reward, now_s);
        let by_route = if route == Route::Direct { &mut self.direct } else { &mut self.work };
        *by_route = by_route.update(reward, now_s);
        if route != Route::Work {
            self.challenges = self.challenges.counting(answer.error_rate <= PASSED_UP_TO);
        }
    }
}
