//! Steps of many sequences: scores for the processor, or tokens that the device chooses by them.
//!
//! A step has three parts: everything is laid out, allocated and sent in one copy; then there are launches alone, of as
//! many tokens after each other as are to be chosen, and nothing waits; then the tokens come back, in one copy.
//!
//! The launches of the second part allocate nothing and wait for nothing, so they could be captured as a CUDA graph. They
//! are not: a graph is of one number of rows and one division of the softmaxes, which change with every window that comes
//! or ends, and the launches of tokens ahead are hidden behind the device's work already.

use std::{cmp::Reverse, ops::Range};

use super::{
    cache::{Audio, Cache},
    decoder::{Pass, Room},
    model::{Feed, Model},
    plan::{Laid, Parcel, part},
};
use crate::{
    Error, Result,
    infer::{
        cuda::{Choose, ChooseResult, ChooseRule, MAX_AHEAD, Memory, Span},
        whisper::choice::{Answer, Choice, Choices, Chosen},
    },
};

/// Heads whose scores are kept, as `align` wants them.
pub(super) struct Observed<'a> {
    pub heads: &'a [(usize, usize)],
    pub audio: &'a Audio,
    /// `[heads.len(), n_tokens, n_positions]` in f32.
    pub scores: &'a Memory,
}

/// A step of several tokens, as far as it is laid out.
struct Layout {
    /// Of the tokens after each other. The caches of each are the first of those before.
    laid: Vec<Laid>,
    rules: Range<usize>,
    /// Of each of `laid`.
    n_choices: Vec<usize>,
}

impl Model {
    /// One step of all these caches together: for each its scores, `[n_rows, wanted.len(), n_vocab]`, or what was chosen
    /// by them.
    ///
    /// Tokens are chosen ahead only where scores are wanted of none.
    pub(in crate::infer::whisper) fn answer(&self, feeds: &mut [Feed<'_>]) -> Result<Vec<Answer>> {
        let all_choose = feeds.iter().all(|feed| feed.choices.is_some());
        let n_ahead = |feed: &Feed<'_>| if all_choose { feed.choices.map_or(1, |choices| choices.n_ahead) } else { 1 };
        for feed in feeds.iter() {
            check_choices(feed)?;
        }
        // Those that go on longest come first, so that what is fed ahead is the beginning of what was chosen before.
        let mut sorted: Vec<(usize, &mut Feed<'_>)> = feeds.iter_mut().enumerate().collect();
        sorted.sort_by_key(|(_, feed)| Reverse(n_ahead(feed)));
        let (order, mut feeds): (Vec<usize>, Vec<&mut Feed<'_>>) = sorted.into_iter().unzip();
        let n_ahead: Vec<usize> = feeds.iter().map(|feed| n_ahead(feed)).collect();

        let mut parcel = Parcel::default();
        let layout = self.lay(&feeds, &n_ahead, &mut parcel)?;
        let parcel = parcel.send(self)?;
        let room = Room::new(self, &layout.laid, &feeds)?;
        let most = layout.n_choices.first().copied().unwrap_or_default();
        let results = Memory::new(&self.gpu, layout.laid.len() * most * size_of::<ChooseResult>())?;
        let next = Memory::new(&self.gpu, most * 4)?;

        for (ahead, (laid, &n_choices)) in layout.laid.iter().zip(&layout.n_choices).enumerate() {
            let pass = Pass { model: self, laid, parcel: &parcel, room: &room };
            pass.run(if ahead == 0 { part(&parcel, &laid.tokens)? } else { next.all() }, None)?;
            let n_bytes = n_choices * size_of::<ChooseResult>();
            Choose {
                out: results.span(ahead * most * size_of::<ChooseResult>(), n_bytes)?,
                logits: room.logits.all(),
                rules: part(&parcel, &layout.rules)?,
                next: next.all(),
                n_choices,
                n_rows: laid.n_wanted,
                n_vocab: self.dimensions.n_vocab,
                ahead,
            }
            .run(&*self.gpu)?;
        }

        let chosen: Vec<ChooseResult> = results.all().download(layout.laid.len() * most)?;
        let answers = self.answers(&feeds, &n_ahead, room.logits.all(), &chosen)?;
        for (feed, n_ahead) in feeds.iter_mut().zip(n_ahead) {
            let n = feed.tokens.len() / feed.cache.n_rows();
            feed.cache.advance(n + n_ahead - 1);
        }
        let mut in_order: Vec<(usize, Answer)> = order.into_iter().zip(answers).collect();
        in_order.sort_by_key(|(index, _)| *index);
        Ok(in_order.into_iter().map(|(_, answer)| answer).collect())
    }

    fn lay(&self, feeds: &[&mut Feed<'_>], n_ahead: &[usize], parcel: &mut Parcel) -> Result<Layout> {
        let first = self.plan(feeds)?;
        let mut laid = vec![first.lay(parcel, self)];
        let n_choices_of = |feeds: &[&mut Feed<'_>]| {
            feeds.iter().map(|feed| feed.choices.map_or(0, |choices| choices.each.len())).sum()
        };
        let mut n_choices = vec![n_choices_of(feeds)];
        for ahead in 1..n_ahead.first().copied().unwrap_or(1) {
            let going = &feeds[..n_ahead.partition_point(|n| *n > ahead)];
            laid.push(Self::plan_ahead(going, ahead).lay(parcel, self));
            n_choices.push(n_choices_of(going));
        }
        let (mut rules, mut first_row) = (Vec::new(), 0);
        for feed in feeds {
            if let Some(Choices { each: choices, masks, .. }) = feed.choices {
                rules.extend(choices.iter().map(|choice| rule(choice, first_row, masks.0.addresses())));
            }
            first_row += feed.cache.n_rows() * feed.wanted.len();
        }
        match rules.iter().find(|rule| !rule.is_valid(first_row, self.dimensions.n_vocab)) {
            Some(rule) => Err(Error::Model { source: format!("{rule:?} for {first_row} rows of scores").into() }),
            None => Ok(Layout { laid, rules: parcel.add(&rules), n_choices }),
        }
    }

    /// For each of the feeds what it has asked for; `chosen` is of all of them, token after token.
    fn answers(
        &self,
        feeds: &[&mut Feed<'_>],
        n_ahead: &[usize],
        logits: Span<'_>,
        chosen: &[ChooseResult],
    ) -> Result<Vec<Answer>> {
        let n_vocab = self.dimensions.n_vocab;
        let most = chosen.len() / n_ahead.first().copied().unwrap_or(1);
        let (mut first_row, mut first_choice) = (0, 0);
        let mut answers = Vec::with_capacity(feeds.len());
        for (feed, n_ahead) in feeds.iter().zip(n_ahead) {
            let n_rows = feed.cache.n_rows() * feed.wanted.len();
            answers.push(if let Some(Choices { each: choices, .. }) = feed.choices {
                let of_token = |ahead| &chosen[ahead * most + first_choice..][..choices.len()];
                let chosen = (0..*n_ahead).flat_map(of_token).map(|&result| told(result)).collect();
                first_choice += choices.len();
                Answer::Chosen(chosen)
            } else {
                let n_bytes = n_rows * n_vocab * 4;
                Answer::Scores(logits.span(first_row * n_vocab * 4, n_bytes)?.download(n_rows * n_vocab)?)
            });
            first_row += n_rows;
        }
        Ok(answers)
    }

    /// How `tokens`, fed as one sequence, attend to the audio in some heads, `[heads.len(), tokens.len(), n_positions]`
    /// before the softmax, and the scores of the next token after each, `[tokens.len(), n_vocab]`.
    pub(in crate::infer::whisper) fn align(
        &self,
        audio: &Audio,
        tokens: &[u32],
        heads: &[(usize, usize)],
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let capacity = tokens.len().min(self.dimensions.n_text_ctx);
        let mut cache = Cache::new(&self.gpu, audio, self.shape(capacity), 1)?;
        let n_scores = heads.len() * tokens.len() * audio.n_positions;
        let scores = Memory::new(&self.gpu, n_scores * 4)?;
        let wanted: Vec<usize> = (0..tokens.len()).collect();
        let feeds = [&mut Feed { cache: &mut cache, tokens, wanted: &wanted, choices: None }];
        let mut parcel = Parcel::default();
        let laid = self.plan(&feeds)?.lay(&mut parcel, self);
        let parcel = parcel.send(self)?;
        let room = Room::new(self, std::slice::from_ref(&laid), &feeds)?;
        let observed = Observed { heads, audio, scores: &scores };
        let pass = Pass { model: self, laid: &laid, parcel: &parcel, room: &room };
        pass.run(part(&parcel, &laid.tokens)?, Some(&observed))?;
        let logits = room.logits.all().download(tokens.len() * self.dimensions.n_vocab)?;
        Ok((scores.all().download(n_scores)?, logits))
    }
}

/// Whether what is chosen ahead can be fed.
fn check_choices(feed: &Feed<'_>) -> Result<()> {
    let Some(Choices { each: choices, n_ahead, .. }) = feed.choices else { return Ok(()) };
    let n_rows = feed.cache.n_rows();
    let each_row_has_one = feed.tokens.len() == n_rows
        && feed.wanted.len() == 1
        && choices.iter().map(|choice| choice.row).eq(0..n_rows)
        && choices.iter().all(|choice| choice.observed.is_none());
    let n_scores = n_rows * feed.wanted.len();
    let is_valid = (1..=MAX_AHEAD).contains(&n_ahead)
        && (n_ahead == 1 || each_row_has_one)
        && choices.iter().all(|choice| choice.row < n_scores);
    if is_valid {
        return Ok(());
    }
    let n = choices.len();
    Err(Error::Model { source: format!("{n} choices for {n_scores} rows of scores, {n_ahead} tokens ahead").into() })
}

fn rule(choice: &Choice, first_row: usize, [always, first]: [u64; 2]) -> ChooseRule {
    let allowed = &choice.allowed;
    ChooseRule {
        mask: match choice.observed {
            Some(_) => 0,
            None if allowed.is_first => first,
            None => always,
        },
        mask_next: always,
        row: (first_row + choice.row) as i32,
        text_from: allowed.text_from as i32,
        time_from: allowed.times.start as i32,
        time_to: allowed.times.end as i32,
        time_begin: allowed.time_begin as i32,
        end_of_text: allowed.end_of_text as i32,
        floor: allowed.floor as i32,
        opens: i32::from(allowed.opens),
        observed: choice.observed.map_or(-1, |token| token as i32),
        temperature: choice.temperature,
        uniforms: choice.uniforms,
    }
}

fn told(result: ChooseResult) -> Chosen {
    let token = u32::try_from(result.token).ok().filter(|_| result.token != i32::MAX);
    Chosen { token, log_probability: result.log_probability }
}
