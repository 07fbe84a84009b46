//! What is fed to the decoder, as the kernels read it.

use std::ops::Range;

use super::model::{Feed, Model};
use crate::{
    Error, Result,
    infer::cuda::{Attend, AttendItem, MAX_QUERIES, Memory, Plain, Span},
};

/// Some tokens of some sequences, and where everything of them is.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Empty where they are not known yet: the device has chosen them.
    pub tokens: Vec<u32>,
    positions: Vec<u32>,
    /// Where each token's keys go.
    places: Vec<u64>,
    /// Attention over the tokens so far, and over the audio.
    own: Vec<AttendItem>,
    heard: Vec<AttendItem>,
    /// Most keys of an item of each.
    n_own: usize,
    n_heard: usize,
    /// The tokens after which scores are wanted.
    wanted: Vec<u32>,
}

/// The same in the GPU's memory.
#[derive(Debug)]
pub(super) struct Laid {
    pub n_tokens: usize,
    pub n_wanted: usize,
    pub tokens: Range<usize>,
    pub positions: Range<usize>,
    pub places: Range<usize>,
    pub wanted: Range<usize>,
    pub own: Items,
    pub heard: Items,
}

/// Items of an attention: first those of one query.
#[derive(Debug)]
pub(super) struct Items {
    pub place: Range<usize>,
    pub n: usize,
    pub n_single: usize,
    pub n_splits: usize,
}

/// Values of several kinds that go to the device in one copy.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    bytes: Vec<u8>,
}

impl Parcel {
    /// Adds values; returns where they are.
    pub(super) fn add<T: Plain>(&mut self, values: &[T]) -> Range<usize> {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(T::bytes(values));
        start..self.bytes.len()
    }

    /// Sends it.
    pub(super) fn send(&self, model: &Model) -> Result<Memory> {
        Memory::of(&model.gpu, &self.bytes)
    }
}

/// A part of a parcel that was sent.
pub(super) fn part<'a>(parcel: &'a Memory, place: &Range<usize>) -> Result<Span<'a>> {
    parcel.span(place.start, place.len())
}

impl Model {
    /// Checks what is fed, and lays it out.
    pub(super) fn plan(&self, feeds: &[&mut Feed<'_>]) -> Result<Plan> {
        let mut plan = Plan::default();
        for feed in feeds {
            let n = self.check(feed)?;
            plan.wanted.extend(
                (0..feed.cache.n_rows())
                    .flat_map(|row| feed.wanted.iter().map(move |i| row * n + i))
                    .map(|token| (plan.positions.len() + token) as u32),
            );
            plan.tokens.extend(feed.tokens);
            plan.add(feed, feed.cache.len(), n);
        }
        Ok(plan)
    }

    /// The same for a token a row that comes `ahead` tokens after the one fed first.
    pub(super) fn plan_ahead(feeds: &[&mut Feed<'_>], ahead: usize) -> Plan {
        let mut plan = Plan::default();
        for feed in feeds {
            plan.add(feed, feed.cache.len() + ahead, 1);
        }
        plan.wanted.extend(0..plan.positions.len() as u32);
        plan
    }

    /// How many tokens each row gets.
    fn check(&self, feed: &Feed<'_>) -> Result<usize> {
        let (n_rows, len, capacity) = (feed.cache.n_rows(), feed.cache.len(), feed.cache.shape().capacity);
        let n = feed.tokens.len() / n_rows;
        let n_vocab = self.dimensions.n_vocab;
        let n_ahead = feed.choices.map_or(1, |choices| choices.n_ahead);
        let reason = if n == 0 || feed.tokens.len() != n * n_rows {
            format!("{} tokens for {n_rows} rows", feed.tokens.len())
        } else if len + n + n_ahead.saturating_sub(1) > capacity {
            format!("{} tokens do not fit into {capacity} positions", len + n + n_ahead.saturating_sub(1))
        } else if let Some(token) = feed.tokens.iter().find(|token| **token as usize >= n_vocab) {
            format!("token {token} of {n_vocab}")
        } else if let Some(wanted) = feed.wanted.iter().find(|wanted| **wanted >= n) {
            format!("the scores after token {wanted} of {n}")
        } else {
            return Ok(n);
        };
        Err(Error::Model { source: reason.into() })
    }
}

impl Plan {
    /// Adds `n` tokens to each row of a cache that has `len`.
    fn add(&mut self, feed: &Feed<'_>, len: usize, n: usize) {
        let (first, n_rows) = (self.positions.len(), feed.cache.n_rows());
        for row in 0..n_rows {
            for i in (0..n).step_by(MAX_QUERIES) {
                self.own.push(AttendItem {
                    keys: feed.cache.place(row, 0),
                    n_keys: (len + i + 1) as i32,
                    step: 1,
                    first_query: (first + row * n + i) as i32,
                    n_queries: MAX_QUERIES.min(n - i) as i32,
                });
            }
            self.positions.extend((len..len + n).map(|position| position as u32));
            self.places.extend((len..len + n).map(|position| feed.cache.place(row, position)));
        }
        let audio = feed.cache.audio();
        for i in (0..n_rows * n).step_by(MAX_QUERIES) {
            self.heard.push(AttendItem {
                keys: audio.memory.all().start(),
                n_keys: audio.n_positions as i32,
                step: 0,
                first_query: (first + i) as i32,
                n_queries: MAX_QUERIES.min(n_rows * n - i) as i32,
            });
        }
        self.n_own = self.n_own.max(len + n);
        self.n_heard = self.n_heard.max(audio.n_positions);
    }

    /// Puts it into a parcel.
    pub(super) fn lay(mut self, parcel: &mut Parcel, model: &Model) -> Laid {
        Laid {
            n_tokens: self.positions.len(),
            n_wanted: self.wanted.len(),
            tokens: parcel.add(&self.tokens),
            positions: parcel.add(&self.positions),
            places: parcel.add(&self.places),
            wanted: parcel.add(&self.wanted),
            own: Items::new(parcel, model, &mut self.own, self.n_own),
            heard: Items::new(parcel, model, &mut self.heard, self.n_heard),
        }
    }
}

impl Items {
    fn new(parcel: &mut Parcel, model: &Model, items: &mut [AttendItem], n_keys: usize) -> Self {
        items.sort_by_key(|item| item.n_queries > 1);
        let n_single = items.iter().filter(|item| item.n_queries == 1).count();
        let n_splits = Attend::n_splits(&*model.gpu, items.len(), model.dimensions.width, n_keys);
        Self { place: parcel.add(items), n: items.len(), n_single, n_splits }
    }
}
