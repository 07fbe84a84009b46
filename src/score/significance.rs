//! How sure a rate is, and whether one system is better than another.
//!
//! Random numbers depend on the seed and on the replicate's number alone, so every number of threads gives the same
//! bits.

use rayon::prelude::*;

use super::align::Edit;
use super::corpus::{self, Scorer, Scoring};
use crate::{Error, Result};

/// Most replicates that can be asked for.
pub const MAX_RESAMPLES: usize = 1_000_000;

/// Errors and reference tokens of one unit of resampling: an utterance, or all of one speaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Errors.
    pub errors: usize,
    /// Reference tokens.
    pub len: usize,
}

/// How to resample. The default is 1,000 replicates from seed 0 for a level of 0.95.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Number of replicates.
    pub n_resamples: usize,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Share of the replicates inside the interval, between 0 and 1.
    pub level: f64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { n_resamples: 1_000, seed: 0, level: 0.95 }
    }
}

impl Resampling {
    fn check(self) -> Result<()> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(Error::InvalidInput(format!("got level {}; expected one between 0 and 1", self.level)));
        }
        if !(1..=MAX_RESAMPLES).contains(&self.n_resamples) {
            let n = self.n_resamples;
            return Err(Error::InvalidInput(format!("got n_resamples {n}; expected 1 to {MAX_RESAMPLES}")));
        }
        Ok(())
    }
}

/// Sums the tallies of utterances that have the same group (speaker), in order of first appearance.
///
/// # Errors
///
/// [`Error::InvalidInput`] if there is not one group for every tally.
pub fn grouped(tallies: &[Tally], groups: &[&str]) -> Result<Vec<Tally>> {
    if tallies.len() != groups.len() {
        let (n, m) = (groups.len(), tallies.len());
        return Err(Error::InvalidInput(format!("got {n} groups for {m} utterances; expected one for each")));
    }
    let mut sums = Vec::new();
    let mut numbers = std::collections::HashMap::new();
    for (tally, group) in tallies.iter().zip(groups) {
        let number = *numbers.entry(group).or_insert(sums.len());
        if number == sums.len() {
            sums.push(Tally::default());
        }
        sums[number].errors += tally.errors;
        sums[number].len += tally.len;
    }
    Ok(sums)
}

/// Bootstrap confidence interval of the rate, by percentiles; `None` if there is no rate.
///
/// Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
///
/// # Errors
///
/// [`Error::InvalidInput`] for an impossible level or number of replicates.
pub fn confidence_interval(tallies: &[Tally], how: Resampling) -> Result<Option<(f64, f64)>> {
    how.check()?;
    let rates = replicates(tallies.len(), how, |chosen| {
        let (mut errors, mut len) = (0, 0);
        for index in chosen {
            errors += tallies[index].errors;
            len += tallies[index].len;
        }
        (len > 0).then(|| errors as f64 / len as f64)
    });
    Ok(interval(rates, how.level))
}

/// How two systems compare on the same references.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Word error rates of the first and the second system.
    pub rates: (f64, f64),
    /// The second rate minus the first; below 0 the second system is better.
    pub difference: f64,
    /// Bootstrap confidence interval of the difference.
    pub interval: (f64, f64),
    /// Share of the replicates in which the second system is better, ties counted half.
    pub probability_of_improvement: f64,
    /// Two-sided p-value of the bootstrap.
    pub p_bootstrap: f64,
    /// The matched-pairs test.
    pub mapsswe: Mapsswe,
}

/// Matched-pairs sentence-segment word error test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapsswe {
    /// Number of segments in which a system errs.
    pub n_segments: usize,
    /// The normal statistic; above 0 the second system is better. 0 where it is not defined.
    pub z: f64,
    /// Two-sided p-value; 1 where it is not defined.
    pub p: f64,
}

/// Compares two systems; `None` if the references have no words.
///
/// The bootstrap is paired: both systems see the same utterances (or groups). MAPSSWE takes as segments what lies
/// between two or more words in a row that both systems have right. Sources: Bisani and Ney, ICASSP 2004; Gillick and
/// Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989.
///
/// # Errors
///
/// [`Error::InvalidInput`] for lists of different lengths, an impossible level or number of replicates.
pub fn compare(
    references: &[&str],
    systems: (&[&str], &[&str]),
    groups: Option<&[&str]>,
    scoring: Scoring,
    how: Resampling,
) -> Result<Option<Comparison>> {
    how.check()?;
    let step = |scorer: &mut Scorer, reference: &str, hypothesis: &str| scorer.steps(reference, hypothesis, scoring);
    let first = corpus::per_pair(references, systems.0, None, step)?;
    let second = corpus::per_pair(references, systems.1, None, step)?;
    let tally = |steps: &Vec<Edit>| Tally {
        errors: steps.iter().filter(|&&step| step != Edit::Hit).count(),
        len: steps.iter().filter(|&&step| step != Edit::Insertion).count(),
    };
    let mut tallies: (Vec<_>, Vec<_>) = (first.iter().map(tally).collect(), second.iter().map(tally).collect());
    if let Some(groups) = groups {
        tallies = (grouped(&tallies.0, groups)?, grouped(&tallies.1, groups)?);
    }
    let total = |tallies: &[Tally]| {
        let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>() as f64;
        sum(|tally| tally.errors) / sum(|tally| tally.len)
    };
    let rates = (total(&tallies.0), total(&tallies.1));
    let differences = replicates(tallies.0.len(), how, |chosen| {
        let (mut difference, mut len) = (0_i64, 0);
        for index in chosen {
            difference += tallies.1[index].errors as i64 - tallies.0[index].errors as i64;
            len += tallies.0[index].len;
        }
        (len > 0).then(|| difference as f64 / len as f64)
    });
    let n = differences.len() as f64;
    let share = |is_counted: fn(f64) -> bool| differences.iter().filter(|&&d| is_counted(d)).count() as f64 / n;
    let (better, equal, worse) = (share(|d| d < 0.0), share(|d| d == 0.0), share(|d| d > 0.0));
    let p_bootstrap = (2.0 * (better + equal).min(worse + equal)).min(1.0);
    let Some(interval) = interval(differences, how.level).filter(|_| rates.0.is_finite()) else { return Ok(None) };
    Ok(Some(Comparison {
        rates,
        difference: rates.1 - rates.0,
        interval,
        probability_of_improvement: better + equal / 2.0,
        p_bootstrap,
        mapsswe: mapsswe(&first, &second),
    }))
}

/// Words in a row that both systems must have right between two segments.
const MIN_GOOD_WORDS: usize = 2;

fn mapsswe(first: &[Vec<Edit>], second: &[Vec<Edit>]) -> Mapsswe {
    let mut differences = Vec::new();
    for (first, second) in first.iter().zip(second) {
        let (first, second) = (errors_by_word(first), errors_by_word(second));
        let (mut difference, mut has_errors, mut n_good) = (0_i64, false, 0);
        for (a, b) in first.iter().zip(&second) {
            if *a == 0 && *b == 0 {
                n_good += 1;
                continue;
            }
            if n_good >= MIN_GOOD_WORDS && std::mem::take(&mut has_errors) {
                differences.push(std::mem::take(&mut difference));
            }
            (has_errors, n_good) = (true, 0);
            difference += a - b;
        }
        if has_errors {
            differences.push(difference);
        }
    }
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<i64>() as f64 / n;
    let variance = differences.iter().map(|&d| (d as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Always the same difference: infinitely sure, with two segments or more.
    let z = mean / (variance / n).sqrt();
    let n_segments = differences.len();
    if z.is_nan() {
        return Mapsswe { n_segments, z: 0.0, p: 1.0 };
    }
    Mapsswe { n_segments, z, p: erfc(z.abs() / std::f64::consts::SQRT_2) }
}

/// Errors of every word of the reference with the insertions before it; last, the insertions at the end.
fn errors_by_word(steps: &[Edit]) -> Vec<i64> {
    let mut errors = vec![0];
    for step in steps {
        if let Some(last) = errors.last_mut() {
            *last += i64::from(*step != Edit::Hit);
        }
        if *step != Edit::Insertion {
            errors.push(0);
        }
    }
    errors
}

/// The statistic of every replicate that has one.
fn replicates(
    n: usize,
    how: Resampling,
    statistic: impl Fn(&mut dyn Iterator<Item = usize>) -> Option<f64> + Sync,
) -> Vec<f64> {
    let one = |replicate: usize| {
        let mut random = Random::new(how.seed, replicate as u64);
        statistic(&mut (0..n).map(|_| random.below(n)))
    };
    (0..how.n_resamples).into_par_iter().filter_map(one).collect()
}

/// The middle `level` of the values, interpolated between neighbours.
fn interval(mut values: Vec<f64>, level: f64) -> Option<(f64, f64)> {
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = q * (values.len() as f64 - 1.0);
        let (low, share) = (at.floor(), at.fract());
        let value = *values.get(low as usize)?;
        let next = *values.get(low as usize + 1).unwrap_or(&value);
        Some(value + (next - value) * share)
    };
    Some((quantile((1.0 - level) / 2.0)?, quantile(f64::midpoint(1.0, level))?))
}

/// Steele, Lea and Flood's `SplitMix64` ("Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(start.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// The complementary error function for `x >= 0`, to 14 digits.
///
/// Source: Abramowitz and Stegun 7.1.6 (series) and 7.1.14 (continued fraction).
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x.is_infinite() {
        return 0.0;
    }
    if x < 2.5 {
        let (mut term, mut sum) = (2.0 * x, 2.0 * x);
        for n in 1..100 {
            term *= 2.0 * x * x / (2.0 * f64::from(n) + 1.0);
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    let fraction = (1..100).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    scale / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_equals_the_tables() {
        for (x, want) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_034_8e-12),
        ] {
            assert!((erfc(x) / want - 1.0).abs() < 1e-11, "{x}: {}", erfc(x));
        }
    }

    #[test]
    fn the_interval_is_that_of_a_binomial_rate() {
        // 1,000 utterances of 1 word, 100 wrong: the standard error is sqrt(0.1 * 0.9 / 1000).
        let tallies: Vec<_> = (0..1_000).map(|n| Tally { errors: usize::from(n % 10 == 0), len: 1 }).collect();
        let how = Resampling { n_resamples: 20_000, ..Resampling::default() };
        let (low, high) = confidence_interval(&tallies, how).unwrap().unwrap();
        let half = 1.96 * (0.1 * 0.9 / 1_000.0_f64).sqrt();
        assert!((low - (0.1 - half)).abs() < 1e-3 && (high - (0.1 + half)).abs() < 1e-3, "{low} {high}");
        let by_ten: Vec<String> = (0..1_000).map(|n| (n / 10).to_string()).collect();
        let groups: Vec<&str> = by_ten.iter().map(String::as_str).collect();
        // Every group has exactly one error, so there is nothing to vary.
        let grouped = grouped(&tallies, &groups).unwrap();
        assert_eq!(confidence_interval(&grouped, how).unwrap(), Some((0.1, 0.1)));
        assert_eq!(confidence_interval(&[], how).unwrap(), None);
        assert!(confidence_interval(&tallies, Resampling { level: 1.0, ..how }).is_err());
    }

    #[test]
    fn mapsswe_worked_by_hand() {
        use Edit::{Hit as H, Insertion as I, Substitution as S};
        // Two good words part the segments, one does not. Differences: 2, 0, 1.
        let first = [vec![S, H, S, H, H, H, I, H], vec![S]];
        let second = [vec![H, H, H, H, H, S, H], vec![H]];
        let got = mapsswe(&first, &second);
        assert_eq!(got.n_segments, 3);
        // Mean 1, variance 1: z = 1 / sqrt(1 / 3).
        assert!((got.z - 3.0_f64.sqrt()).abs() < 1e-12);
        assert!((got.p - 0.083_264_516_663_551).abs() < 1e-9, "{}", got.p);
        assert!((mapsswe(&first, &first).p - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_better_system_is_seen() {
        let references: Vec<String> = (0..200).map(|n| format!("a b c d e{n}")).collect();
        let worse: Vec<String> = (0..200).map(|n| format!("a b x d e{}", if n % 2 == 0 { n } else { 0 })).collect();
        let (references, worse): (Vec<&str>, Vec<&str>) =
            (references.iter().map(String::as_str).collect(), worse.iter().map(String::as_str).collect());
        let run = |a: &[&str], b: &[&str]| {
            compare(&references, (a, b), None, Scoring::default(), Resampling::default()).unwrap().unwrap()
        };
        let got = run(&worse, &references);
        assert!(got.difference < 0.0 && got.interval.1 < 0.0 && got.p_bootstrap < 1e-9 && got.mapsswe.p < 1e-6);
        assert!((got.probability_of_improvement - 1.0).abs() < f64::EPSILON);
        let back = run(&references, &worse);
        assert_eq!((back.difference, back.mapsswe.z), (-got.difference, -got.mapsswe.z));
        let same = run(&worse, &worse);
        assert_eq!((same.difference, same.p_bootstrap, same.probability_of_improvement), (0.0, 1.0, 0.5));
    }
}
