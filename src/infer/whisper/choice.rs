//! Choosing tokens where the scores are: what an engine may be asked besides, and what it answers then.

use super::{cuda, rules::Allowed};
use crate::infer::cuda::MAX_AHEAD;

/// How a token is to be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// By which of the wanted scores of a cache, counted through its rows.
    pub row: usize,
    /// Which tokens may come.
    pub allowed: Allowed,
    /// Whose probability is told; that of the chosen one when absent. It, too, is one among all tokens then.
    pub observed: Option<u32>,
    /// 0 takes the likeliest token; above, it is drawn.
    pub temperature: f32,
    /// For the draws of this token and of those that follow, each in [0, 1).
    pub uniforms: [f32; MAX_AHEAD],
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chosen {
    /// `None` when no token was allowed.
    pub token: Option<u32>,
    /// Of the token, or of the observed one.
    pub log_probability: f32,
}

/// What of a step may be chosen by the engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices<'a> {
    pub each: &'a [Choice],
    /// The tokens that never come, and those that do not come first.
    pub masks: &'a Masks,
    /// How many tokens to choose after each other, at most [`MAX_AHEAD`]. More than one where each row has one choice, in
    /// their order, and is fed what was chosen for it.
    pub n_ahead: usize,
}

/// Forbidden tokens, where an engine chooses.
#[derive(Debug)]
pub(crate) struct Masks(pub(super) cuda::Masks);

/// What comes back of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The scores, `[n_rows, wanted.len(), n_vocab]`.
    Scores(Vec<f32>),
    /// Tokens, `[n, choices.len()]` with `n` from 1 to `n_ahead`; all but the last were fed.
    Chosen(Vec<Chosen>),
}

impl Answer {
    /// The scores, where nothing was to be chosen.
    pub(crate) fn scores(self) -> Vec<f32> {
        match self {
            Self::Scores(scores) => scores,
            Self::Chosen(_) => Vec::new(),
        }
    }
}
