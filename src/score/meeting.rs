//! Error rates of speech of several speakers, whose names differ between reference and hypothesis.

use std::collections::{BTreeMap, HashMap};

use super::align::EditCounts;
use super::corpus::{Scorer, Scoring, Unit};
use super::interning::intern;
use crate::text::Normalizer;
use crate::{Error, Result};

/// What one speaker says without a break.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The recording.
    pub session: String,
    /// Who speaks; in a hypothesis any name.
    pub speaker: String,
    /// Where it begins and ends, seconds.
    pub start: f64,
    /// See `start`.
    pub end: f64,
    /// The words.
    pub text: String,
}

/// Which speaker of the hypothesis was taken for which of the reference, in one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The recording.
    pub session: String,
    /// The reference's speaker; `None` for one that nobody is.
    pub reference: Option<String>,
    /// The hypothesis's speaker; `None` for one that was not found.
    pub hypothesis: Option<String>,
}

/// Word counts under the best assignment of speakers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeetingCounts {
    /// Word counts, over all recordings.
    pub counts: EditCounts,
    /// The assignment that was best.
    pub assignment: Vec<Assignment>,
}

/// Concatenated minimum-permutation word error counts (`cpWER`).
///
/// Every speaker's segments are joined in order of their start; of all assignments of speakers the one with the fewest
/// errors counts; a speaker without a partner is deleted or inserted in full. Source: Watanabe et al., "`CHiME`-6
/// challenge", `CHiME` 2020; behaviour as in meeteval 0.4.
///
/// # Errors
///
/// [`Error::InvalidInput`] for a hypothesis of a recording that the reference has not.
pub fn cp_counts(reference: &[Segment], hypothesis: &[Segment], normalizer: Normalizer) -> Result<MeetingCounts> {
    let scoring = Scoring { unit: Unit::Word, normalizer: Normalizer::None };
    assigned(reference, hypothesis, |reference, hypothesis| {
        let text = |segments: &[&Segment]| {
            segments.iter().map(|segment| normalizer.normalize(&segment.text)).collect::<Vec<_>>().join(" ")
        };
        Scorer::default().counts(&text(reference), &text(hypothesis), scoring)
    })
}

/// Time-constrained `cpWER` (`tcpWER`): words can only be matched where they are spoken at the same time, give or take
/// `collar_s`.
///
/// Times of words are taken from their segment in proportion to their characters; a word of the hypothesis is the
/// middle of its time, widened by the collar to both sides. Source: von Neumann et al., "`MeetEval`: a toolkit for
/// computation of word error rates for meeting transcription systems", `CHiME` 2023; behaviour as in meeteval 0.4.
///
/// # Errors
///
/// [`Error::InvalidInput`] for a hypothesis of a recording that the reference has not, a collar or times that are no
/// numbers or negative, and segments that end before they begin.
pub fn tcp_counts(
    reference: &[Segment],
    hypothesis: &[Segment],
    collar_s: f64,
    normalizer: Normalizer,
) -> Result<MeetingCounts> {
    if !(collar_s >= 0.0 && collar_s.is_finite()) {
        return Err(Error::InvalidInput(format!("got collar {collar_s}; expected seconds, 0 or more")));
    }
    for Segment { session, speaker, start, end, .. } in reference.iter().chain(hypothesis) {
        if !(start.is_finite() && end.is_finite() && start <= end) {
            return Err(Error::InvalidInput(format!(
                "session {session:?}, speaker {speaker:?}: got a segment from {start} to {end} s; expected numbers, the \
                 end not before the start"
            )));
        }
    }
    assigned(reference, hypothesis, |reference, hypothesis| {
        let (left, right) = (timed_words(reference, normalizer), timed_words(hypothesis, normalizer));
        let words = |timed: &[TimedWord]| timed.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
        let (rows, columns) = intern(&words(&left), &words(&right));
        let left: Vec<_> = left.iter().map(|word| (word.start, word.end)).collect();
        let point = |word: &TimedWord| f64::midpoint(word.start, word.end);
        let right: Vec<_> = right.iter().map(|word| (point(word) - collar_s, point(word) + collar_s)).collect();
        timed_counts(&rows, &columns, &left, &right)
    })
}

struct TimedWord {
    text: String,
    start: f64,
    end: f64,
}

/// The words of a speaker, each with the part of its segment's time that its characters are of the segment's.
fn timed_words(segments: &[&Segment], normalizer: Normalizer) -> Vec<TimedWord> {
    let mut timed = Vec::new();
    for segment in segments {
        let text = normalizer.normalize(&segment.text);
        let n_chars: usize = text.split_whitespace().map(|word| word.chars().count()).sum();
        let char_s = (segment.end - segment.start) / n_chars as f64;
        let at = |chars: usize| segment.start + char_s * chars as f64;
        let mut before = 0;
        for word in text.split_whitespace() {
            let after = before + word.chars().count();
            timed.push(TimedWord { text: word.to_owned(), start: at(before), end: at(after) });
            before = after;
        }
    }
    timed
}

/// Edit counts where a pair of words may only meet if their times overlap.
fn timed_counts(rows: &[u32], columns: &[u32], row_times: &[(f64, f64)], column_times: &[(f64, f64)]) -> EditCounts {
    let better = |a: EditCounts, b: EditCounts| if b.errors() < a.errors() { b } else { a };
    let mut above: Vec<EditCounts> =
        (0..=columns.len()).map(|n| EditCounts { insertions: n, ..EditCounts::default() }).collect();
    for (row, (start, end)) in rows.iter().zip(row_times) {
        let mut diagonal = above[0];
        above[0].deletions += 1;
        for (index, (column, times)) in columns.iter().zip(column_times).enumerate() {
            let mut deleted = above[index + 1];
            let mut inserted = above[index];
            let mut paired = diagonal;
            diagonal = deleted;
            deleted.deletions += 1;
            inserted.insertions += 1;
            let mut best = better(deleted, inserted);
            if *start < times.1 && *end > times.0 {
                if row == column {
                    paired.hits += 1;
                } else {
                    paired.substitutions += 1;
                }
                best = better(paired, best);
            }
            above[index + 1] = best;
        }
    }
    above[columns.len()]
}

type Speakers<'t> = BTreeMap<&'t str, Vec<&'t Segment>>;

/// The recordings, and in each the speakers with their segments in order of time.
fn by_session(segments: &[Segment]) -> BTreeMap<&str, Speakers<'_>> {
    let mut sessions: BTreeMap<&str, Speakers<'_>> = BTreeMap::new();
    for segment in segments {
        sessions.entry(&segment.session).or_default().entry(&segment.speaker).or_default().push(segment);
    }
    for segments in sessions.values_mut().flat_map(BTreeMap::values_mut) {
        segments.sort_by(|a, b| a.start.total_cmp(&b.start));
    }
    sessions
}

/// Counts of all recordings, in each with the best assignment of speakers.
fn assigned(
    reference: &[Segment],
    hypothesis: &[Segment],
    count: impl Fn(&[&Segment], &[&Segment]) -> EditCounts,
) -> Result<MeetingCounts> {
    let (reference, hypothesis) = (by_session(reference), by_session(hypothesis));
    if let Some(session) = hypothesis.keys().find(|session| !reference.contains_key(*session)) {
        let known: Vec<_> = reference.keys().take(5).collect();
        return Err(Error::InvalidInput(format!(
            "the hypothesis has session {session:?}, the reference not; expected one of {known:?}"
        )));
    }
    let mut found = MeetingCounts::default();
    let nobody = Speakers::new();
    for (session, left) in reference {
        let right = hypothesis.get(session).unwrap_or(&nobody);
        let (left, right): (Vec<_>, Vec<_>) = (left.iter().collect(), right.iter().collect());
        let n = left.len().max(right.len());
        let speaker =
            |speakers: &[(&&str, &Vec<&Segment>)], at: usize| speakers.get(at).map(|(name, _)| (**name).to_owned());
        let mut counts = HashMap::new();
        let mut costs = vec![vec![0; n]; n];
        for (row, costs) in costs.iter_mut().enumerate() {
            for (column, cost) in costs.iter_mut().enumerate() {
                let said = left.get(row).map_or(&[][..], |(_, segments)| segments);
                let heard = right.get(column).map_or(&[][..], |(_, segments)| segments);
                let pair = count(said, heard);
                *cost = pair.errors() as i64;
                counts.insert((row, column), pair);
            }
        }
        for (row, column) in best_assignment(&costs).into_iter().enumerate() {
            found.counts += counts[&(row, column)];
            let (reference, hypothesis) = (speaker(&left, row), speaker(&right, column));
            found.assignment.push(Assignment { session: session.to_owned(), reference, hypothesis });
        }
    }
    Ok(found)
}

/// The column of every row, so that the sum of a square matrix's chosen cells is least.
///
/// Source: Kuhn, "The Hungarian method for the assignment problem", 1955, with potentials and shortest paths.
fn best_assignment(costs: &[Vec<i64>]) -> Vec<usize> {
    let n = costs.len();
    // Row and column 0 are outside the matrix.
    let (mut row_potential, mut column_potential) = (vec![0; n + 1], vec![0; n + 1]);
    let mut row_of = vec![0; n + 1];
    for row in 1..=n {
        row_of[0] = row;
        let (mut least, mut from, mut is_used) = (vec![i64::MAX; n + 1], vec![0; n + 1], vec![false; n + 1]);
        let mut column = 0;
        while row_of[column] != 0 {
            is_used[column] = true;
            let current = row_of[column];
            let (mut delta, mut next) = (i64::MAX, 0);
            for other in (1..=n).filter(|&other| !is_used[other]) {
                let reduced = costs[current - 1][other - 1] - row_potential[current] - column_potential[other];
                if reduced < least[other] {
                    (least[other], from[other]) = (reduced, column);
                }
                if least[other] < delta {
                    (delta, next) = (least[other], other);
                }
            }
            for other in 0..=n {
                if is_used[other] {
                    row_potential[row_of[other]] += delta;
                    column_potential[other] -= delta;
                } else {
                    least[other] = least[other].saturating_sub(delta);
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[from[column]];
            column = from[column];
        }
    }
    let mut columns = vec![0; n];
    for (column, &row) in row_of.iter().enumerate().skip(1) {
        columns[row - 1] = column - 1;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(speaker: &str, start: f64, end: f64, text: &str) -> Segment {
        Segment { session: "s".to_owned(), speaker: speaker.to_owned(), start, end, text: text.to_owned() }
    }

    fn cells(costs: &[Vec<i64>], columns: &[usize]) -> i64 {
        columns.iter().zip(costs).map(|(&column, row)| row[column]).sum()
    }

    /// The least sum of all permutations.
    fn least(costs: &[Vec<i64>], row: usize, is_used: &mut Vec<bool>) -> i64 {
        if row == costs.len() {
            return 0;
        }
        let mut best = i64::MAX;
        for column in 0..costs.len() {
            if !std::mem::replace(&mut is_used[column], true) {
                best = best.min(costs[row][column] + least(costs, row + 1, is_used));
                is_used[column] = false;
            }
        }
        best
    }

    #[test]
    fn the_assignment_is_the_best_of_all() {
        let mut state = 7_u64;
        for n in 1..=6 {
            for _ in 0..30 {
                let mut next = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    i64::try_from(state >> 60).unwrap()
                };
                let costs: Vec<Vec<i64>> = (0..n).map(|_| (0..n).map(|_| next()).collect()).collect();
                let got = cells(&costs, &best_assignment(&costs));
                assert_eq!(got, least(&costs, 0, &mut vec![false; n]), "{costs:?}");
            }
        }
        assert_eq!(best_assignment(&[]), Vec::<usize>::new());
    }

    #[test]
    fn names_of_speakers_do_not_matter() {
        let reference = [segment("A", 0.0, 1.0, "a b"), segment("B", 1.0, 2.0, "c d"), segment("A", 2.0, 3.0, "e")];
        let hypothesis = [segment("x", 1.0, 2.0, "c d"), segment("y", 0.0, 1.0, "a b e")];
        let got = cp_counts(&reference, &hypothesis, Normalizer::None).unwrap();
        assert_eq!(got.counts, EditCounts { hits: 5, ..EditCounts::default() });
        assert_eq!(got.assignment[0].hypothesis.as_deref(), Some("y"));
        let extra = [hypothesis.to_vec(), vec![segment("z", 0.0, 1.0, "u v w")]].concat();
        let got = cp_counts(&reference, &extra, Normalizer::None).unwrap();
        assert_eq!((got.counts.errors(), got.counts.insertions), (3, 3));
        assert_eq!(cp_counts(&reference, &[], Normalizer::None).unwrap().counts.deletions, 5);
        assert!(cp_counts(&[], &hypothesis, Normalizer::None).is_err());
    }

    #[test]
    fn words_at_other_times_do_not_match() {
        let reference = [segment("A", 0.0, 2.0, "a b"), segment("A", 10.0, 12.0, "c d")];
        let late = [segment("x", 20.0, 22.0, "a b"), segment("x", 30.0, 32.0, "c d")];
        let counts = |collar| tcp_counts(&reference, &late, collar, Normalizer::None).unwrap().counts;
        assert_eq!(counts(0.5), EditCounts { deletions: 4, insertions: 4, ..EditCounts::default() });
        assert_eq!(counts(100.0), EditCounts { hits: 4, ..EditCounts::default() });
        assert!(tcp_counts(&reference, &late, f64::NAN, Normalizer::None).is_err());
        let backwards = [segment("A", 2.0, 1.0, "a")];
        assert!(tcp_counts(&backwards, &[], 5.0, Normalizer::None).is_err());
    }
}
