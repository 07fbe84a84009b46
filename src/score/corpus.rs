//! Edit counts of many utterances: the memory of one is reused for the next, and threads share the utterances.

use rayon::prelude::*;

use super::align::{self, Chunk, Edit, EditCounts};
use super::bit_parallel::Aligner;
use super::words::Words;
use crate::text::Normalizer;
use crate::{Error, Result};

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// What white space separates.
    #[default]
    Word,
    /// Unicode scalar values, white space at both ends left out.
    Char,
}

/// How texts are made into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scoring {
    /// What is counted.
    pub unit: Unit,
    /// What is applied to both texts first.
    pub normalizer: Normalizer,
}

/// Most threads that can be asked for.
pub const MAX_THREADS: usize = 256;
/// Bytes of text below which one thread is as fast as several.
const PARALLEL_BYTES: usize = 1 << 16;

/// Edit counts of every pair, by `num_threads` threads (all, if `None`). The result is the same for any number.
///
/// # Errors
///
/// [`Error::InvalidInput`] for lists of different lengths and for an impossible number of threads.
pub fn utterance_counts(
    references: &[&str],
    hypotheses: &[&str],
    scoring: Scoring,
    num_threads: Option<usize>,
) -> Result<Vec<EditCounts>> {
    per_pair(references, hypotheses, num_threads, |scorer, reference, hypothesis| {
        scorer.counts(reference, hypothesis, scoring)
    })
}

/// The alignment of every pair, as chunks; [`EditCounts::of_chunks`] has their counts.
///
/// # Errors
///
/// As [`utterance_counts`].
pub fn utterance_chunks(
    references: &[&str],
    hypotheses: &[&str],
    scoring: Scoring,
    num_threads: Option<usize>,
) -> Result<Vec<Vec<Chunk>>> {
    per_pair(references, hypotheses, num_threads, |scorer, reference, hypothesis| {
        align::chunks(&scorer.steps(reference, hypothesis, scoring))
    })
}

/// Errors and reference tokens of every pair: less work than [`utterance_counts`], for no alignment is chosen.
///
/// # Errors
///
/// As [`utterance_counts`].
pub fn utterance_errors(
    references: &[&str],
    hypotheses: &[&str],
    scoring: Scoring,
    num_threads: Option<usize>,
) -> Result<Vec<(usize, usize)>> {
    per_pair(references, hypotheses, num_threads, |scorer, reference, hypothesis| {
        scorer.errors(reference, hypothesis, scoring)
    })
}

/// Of several references of each utterance the one that its hypothesis has the lowest error rate against; of equal ones
/// the first.
///
/// # Errors
///
/// As [`utterance_counts`], and for an utterance without a reference.
pub fn best_references(
    references: &[Vec<&str>],
    hypotheses: &[&str],
    scoring: Scoring,
    num_threads: Option<usize>,
) -> Result<Vec<usize>> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (index, (candidates, hypothesis)) in references.iter().zip(hypotheses).enumerate() {
        if candidates.is_empty() {
            return Err(Error::InvalidInput(format!("references[{index}] is empty; expected at least one reference")));
        }
        left.extend(candidates);
        right.extend(candidates.iter().map(|_| *hypothesis));
    }
    let mut errors = utterance_errors(&left, &right, scoring, num_threads)?.into_iter();
    let best = |candidates: &Vec<&str>| {
        // An empty reference has no rate: right for an empty hypothesis, else the worst.
        let rate = |(errors, len): (usize, usize)| match len {
            0 if errors > 0 => f64::INFINITY,
            _ => errors as f64 / len.max(1) as f64,
        };
        let rates: Vec<f64> = errors.by_ref().take(candidates.len()).map(rate).collect();
        (0..rates.len()).min_by(|&a, &b| rates[a].total_cmp(&rates[b])).unwrap_or(0)
    };
    Ok(references.iter().map(best).collect())
}

/// Calls `score` for every pair, in order of the pairs.
pub(super) fn per_pair<T: Send>(
    references: &[&str],
    hypotheses: &[&str],
    num_threads: Option<usize>,
    score: impl Fn(&mut Scorer, &str, &str) -> T + Sync,
) -> Result<Vec<T>> {
    if references.len() != hypotheses.len() {
        return Err(lengths_differ(references.len(), hypotheses.len()));
    }
    let n_bytes = || references.iter().chain(hypotheses).map(|text| text.len()).sum::<usize>();
    let is_small = references.len() < 2 || num_threads == Some(1) || n_bytes() < PARALLEL_BYTES;
    if is_small && num_threads.is_none_or(|n| (1..=MAX_THREADS).contains(&n)) {
        let mut scorer = Scorer::default();
        let pairs = references.iter().zip(hypotheses);
        return Ok(pairs.map(|(reference, hypothesis)| score(&mut scorer, reference, hypothesis)).collect());
    }
    in_threads(num_threads, || {
        let pairs = references.par_iter().zip(hypotheses);
        pairs
            .map_init(Scorer::default, |scorer, (reference, hypothesis)| score(scorer, reference, hypothesis))
            .collect()
    })
}

/// Why these many references and hypotheses are no pairs.
pub(crate) fn lengths_differ(n: usize, m: usize) -> Error {
    Error::InvalidInput(format!("got {n} references and {m} hypotheses; expected as many of one as of the other"))
}

/// This many threads, if that is possible; `None` is as many as there are.
pub(crate) fn n_threads(num_threads: Option<usize>) -> Result<usize> {
    match num_threads {
        None => Ok(rayon::current_num_threads()),
        Some(n) if (1..=MAX_THREADS).contains(&n) => Ok(n),
        Some(n) => Err(Error::InvalidInput(format!("got num_threads {n}; expected 1 to {MAX_THREADS}"))),
    }
}

/// Runs `work` with this number of threads; `None` is all of them.
pub(super) fn in_threads<T: Send>(num_threads: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    if num_threads.is_none() {
        return Ok(work());
    }
    let n = n_threads(num_threads)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
    let pool = pool.map_err(|error| Error::InvalidInput(format!("cannot start {n} threads: {error}")))?;
    Ok(pool.install(work))
}

/// Scores pair after pair in the same memory.
#[derive(Debug, Default)]
pub struct Scorer {
    aligner: Aligner,
    reference: Vec<u32>,
    hypothesis: Vec<u32>,
    words: Words,
    chars: Chars,
}

impl Scorer {
    /// Edit counts of one pair.
    pub fn counts(&mut self, reference: &str, hypothesis: &str, scoring: Scoring) -> EditCounts {
        let n_equal = self.read(reference, hypothesis, scoring);
        let mut counts = self.aligner.counts(&self.reference, &self.hypothesis);
        counts.hits += n_equal.0 + n_equal.1;
        counts
    }

    /// Errors (the Levenshtein distance) and reference tokens of one pair.
    pub fn errors(&mut self, reference: &str, hypothesis: &str, scoring: Scoring) -> (usize, usize) {
        let n_equal = self.read(reference, hypothesis, scoring);
        let errors = self.aligner.distance(&self.reference, &self.hypothesis);
        (errors, self.reference.len() + n_equal.0 + n_equal.1)
    }

    /// The alignment of one pair.
    pub fn steps(&mut self, reference: &str, hypothesis: &str, scoring: Scoring) -> Vec<Edit> {
        let (n_before, n_after) = self.read(reference, hypothesis, scoring);
        let mut steps = vec![Edit::Hit; n_before];
        steps.extend(self.aligner.steps(&self.reference, &self.hypothesis));
        steps.extend(std::iter::repeat_n(Edit::Hit, n_after));
        steps
    }

    /// Makes numbers of the tokens between what both texts begin and end with; returns the lengths of these two.
    fn read(&mut self, reference: &str, hypothesis: &str, scoring: Scoring) -> (usize, usize) {
        let (reference, hypothesis) = (scoring.normalizer.apply(reference), scoring.normalizer.apply(hypothesis));
        self.reference.clear();
        self.hypothesis.clear();
        match scoring.unit {
            Unit::Word => {
                let numbers = (&mut self.reference, &mut self.hypothesis);
                self.words.read((&reference, &hypothesis), numbers)
            }
            Unit::Char => self.read_chars(reference.trim(), hypothesis.trim()),
        }
    }

    fn read_chars(&mut self, reference: &str, hypothesis: &str) -> (usize, usize) {
        let is_equal = |(a, b): &(char, char)| a == b;
        let before = reference.chars().zip(hypothesis.chars()).take_while(is_equal);
        let (mut n_before, mut n_bytes) = (0, 0);
        for (c, _) in before {
            n_before += 1;
            n_bytes += c.len_utf8();
        }
        let (reference, hypothesis) = (&reference[n_bytes..], &hypothesis[n_bytes..]);
        let after = reference.chars().rev().zip(hypothesis.chars().rev()).take_while(is_equal);
        let (mut n_after, mut n_bytes) = (0, 0);
        for (c, _) in after {
            n_after += 1;
            n_bytes += c.len_utf8();
        }
        self.chars.clear();
        let Self { chars, reference: left, hypothesis: right, .. } = self;
        left.extend(reference[..reference.len() - n_bytes].chars().map(|c| chars.number(c)));
        right.extend(hypothesis[..hypothesis.len() - n_bytes].chars().map(|c| chars.number(c)));
        (n_before, n_after)
    }
}

/// Numbers of characters.
#[derive(Debug, Default)]
struct Chars {
    /// Of each character: the pair of texts that it was last seen in, and its number there.
    seen: Vec<(u32, u32)>,
    generation: u32,
    n_known: u32,
}

impl Chars {
    fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.seen.clear();
            self.generation = 1;
        }
        self.n_known = 0;
    }

    fn number(&mut self, c: char) -> u32 {
        let at = c as usize;
        if self.seen.len() <= at {
            self.seen.resize((at + 1).next_power_of_two(), (0, 0));
        }
        let entry = &mut self.seen[at];
        if entry.0 != self.generation {
            *entry = (self.generation, self.n_known);
            self.n_known += 1;
        }
        entry.1
    }
}
