//! The judging of a task's responses, as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{Hotkey, ResponseId};
use crate::subnet::consensus::Trust;

/// Where an evaluation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Validators hand in hashes of their scores.
    Commit,
    /// Validators open them.
    Reveal,
    /// The verdict is there.
    Done,
}

/// What a validator says about one response.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Goodness, 0 to 1.
    pub score: f64,
    /// Word error rate against the validator's reference, where there is one.
    pub error_rate: Option<f64>,
}

/// What a validator says about all responses of a task.
pub type Scores = BTreeMap<ResponseId, Score>;

/// An evaluation lent to one process of a validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationLease {
    /// The validator's own name for the claim.
    pub claim_id: String,
    /// When another claim of the same validator may have it.
    pub expires_at_ms: i64,
}

/// A validator of the committee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub validator: Hotkey,
    /// Its stake when the evaluation began, or the share of all stake that it was drawn for.
    pub stake: f64,
    /// Its trust when the evaluation began.
    #[serde(default)]
    pub trust: Trust,
    /// The evaluation as lent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<EvaluationLease>,
    /// Hash of its scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// Its scores, once revealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
}

impl Member {
    /// A member that did nothing yet, with a newcomer's trust.
    #[must_use]
    pub fn new(validator: Hotkey, stake: f64) -> Self {
        Self { validator, stake, trust: Trust::default(), lease: None, commitment: None, scores: None }
    }
}

/// The judging of a task's responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Where it stands.
    pub phase: Phase,
    /// When it began.
    pub started_at_ms: i64,
    /// When commits close at the latest.
    pub commit_by_ms: i64,
    /// When reveals close at the latest.
    pub reveal_by_ms: i64,
    /// Who judges ([`crate::subnet::sortition`]); fixed when it began.
    pub committee: Vec<Member>,
}
