//! The choice of tokens.

use super::{int, launch};
use crate::{
    Result,
    infer::cuda::gpu::{Gpu, Plain, Span, mistake},
};

/// The most tokens that follow each other without the processor. Source: `kernels/choose.cu`.
pub(crate) const MAX_AHEAD: usize = 4;

/// Which tokens may be chosen: text from `text_from` up to the first time token, and times in `time_from..time_to`; how
/// to choose; and what the device needs to know which may follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ChooseRule {
    /// Address of the mask that forbids more, as bits, one a token; 0 when there is none.
    pub mask: u64,
    /// The same of the tokens that follow.
    pub mask_next: u64,
    /// Which row of the scores.
    pub row: i32,
    /// The first text token.
    pub text_from: i32,
    /// The first time token that is allowed.
    pub time_from: i32,
    /// The first time token that is too late.
    pub time_to: i32,
    /// The first time token of all; the number of tokens where times have no rules.
    pub time_begin: i32,
    /// The end token.
    pub end_of_text: i32,
    /// The first time that may come after more text.
    pub floor: i32,
    /// 1 when a time that comes now opens a segment.
    pub opens: i32,
    /// The token whose log probability is told; -1 for the one that is chosen.
    pub observed: i32,
    /// 0 chooses the likeliest; above, tokens are drawn.
    pub temperature: f32,
    /// Of the draws, in [0, 1).
    pub uniforms: [f32; MAX_AHEAD],
}
// SAFETY: numbers without padding: 2 of 8 bytes and 14 of 4.
unsafe impl Plain for ChooseRule {}

impl ChooseRule {
    /// Whether every token that it names is one of `n_vocab`, and its row one of `n_rows`.
    pub(crate) fn is_valid(&self, n_rows: usize, n_vocab: usize) -> bool {
        let within = |n: i32, limit: usize| usize::try_from(n).is_ok_and(|n| n <= limit);
        let tokens = [self.text_from, self.time_from, self.time_to, self.time_begin, self.end_of_text, self.floor];
        let names_row = usize::try_from(self.row).is_ok_and(|row| row < n_rows);
        let is_ordered = self.text_from <= self.time_begin && self.time_from <= self.time_to;
        names_row
            && is_ordered
            && tokens.into_iter().all(|token| within(token, n_vocab))
            && usize::try_from(self.observed).map_or(self.observed == -1, |token| token < n_vocab)
    }
}

/// A chosen token.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ChooseResult {
    /// Its id; `i32::MAX` when none was allowed.
    pub token: i32,
    /// The logarithm of its probability (or the observed token's) among the tokens that were allowed.
    pub log_probability: f32,
}
// SAFETY: numbers without padding.
unsafe impl Plain for ChooseResult {}

/// A token of each rule; the rules then are those of the next tokens.
pub(crate) struct Choose<'a> {
    pub out: Span<'a>,
    pub logits: Span<'a>,
    /// [`ChooseRule`]s that are valid and whose masks are alive.
    pub rules: Span<'a>,
    /// The chosen tokens once more, to be fed.
    pub next: Span<'a>,
    pub n_choices: usize,
    /// Of the scores.
    pub n_rows: usize,
    pub n_vocab: usize,
    /// How often these rules have chosen already.
    pub ahead: usize,
}

impl Choose<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        #[repr(C)]
        struct Arguments(u64, u64, u64, u64, i32, i32);
        let Self { n_choices, n_rows, n_vocab, ahead, .. } = *self;
        if ahead >= MAX_AHEAD {
            return Err(mistake(format!("{ahead} choices ahead of {MAX_AHEAD}")));
        }
        let arguments = Arguments(
            self.out.address(n_choices * size_of::<ChooseResult>())?,
            self.logits.address(n_rows * n_vocab * 4)?,
            self.rules.address(n_choices * size_of::<ChooseRule>())?,
            self.next.address(n_choices * 4)?,
            int(n_vocab)?,
            int(ahead)?,
        );
        launch(gpu, "choose", [n_choices, 1, 1], &arguments)
    }
}
