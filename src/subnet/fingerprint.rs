//! Miners that are one machine: their answering times rise and fall together.
//!
//! A validator asks all miners at the same moment, each something else. Miners with machines of their own are slow and
//! fast independently; several hotkeys before one machine wait for the same queue, in the same rounds.
//!
//! What it does not find: hotkeys that hold every answer back until the same late moment. Nobody loses by that up to the
//! time that counts in full, so coldkeys and addresses remain the first evidence.

/// Correlation from which two miners are one machine.
pub const SAME_FROM: f64 = 0.8;

/// Rounds that both must have answered: with fewer, chance correlates too.
pub const MIN_ROUNDS: usize = 24;

/// Rounds that are worth keeping; older ones are not looked at.
pub const MAX_ROUNDS: usize = 64;

/// The number of each miner's cluster; `None` for a miner that is a machine of its own.
///
/// `latencies[miner][round]` is how long it took, in seconds above 0, `None` where it did not answer; rows may end early.
/// What all miners of a round have in common, such as the validator's own network, is taken out first.
#[must_use]
pub fn clusters(latencies: &[Vec<Option<f64>>]) -> Vec<Option<u16>> {
    let residuals = residuals(latencies);
    let mut found: Vec<Option<u16>> = vec![None; residuals.len()];
    let mut n_clusters = 0;
    for index in 0..residuals.len() {
        for other in index + 1..residuals.len() {
            if correlation(&residuals[index], &residuals[other]).is_none_or(|r| r < SAME_FROM) {
                continue;
            }
            let joined = match (found[index], found[other]) {
                (Some(a), Some(b)) => {
                    found.iter_mut().filter(|cluster| **cluster == Some(b)).for_each(|cluster| *cluster = Some(a));
                    a
                }
                (a, b) => a.or(b).unwrap_or_else(|| {
                    n_clusters += 1;
                    n_clusters - 1
                }),
            };
            (found[index], found[other]) = (Some(joined), Some(joined));
        }
    }
    found
}

/// Logarithms of the last rounds' latencies, without the median of each round.
fn residuals(latencies: &[Vec<Option<f64>>]) -> Vec<Vec<Option<f64>>> {
    let n_rounds = latencies.iter().map(Vec::len).max().unwrap_or(0);
    let first = n_rounds.saturating_sub(MAX_ROUNDS);
    let log = |row: &Vec<Option<f64>>, round: usize| {
        row.get(round).copied().flatten().filter(|s| *s > 0.0 && s.is_finite()).map(libm::log)
    };
    let median = |round: usize| {
        let mut all: Vec<f64> = latencies.iter().filter_map(|row| log(row, round)).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
    };
    let medians: Vec<f64> = (first..n_rounds).map(median).collect();
    let of = |row: &Vec<Option<f64>>| {
        (first..n_rounds).zip(&medians).map(|(round, median)| log(row, round).map(|log| log - median)).collect()
    };
    latencies.iter().map(of).collect()
}

/// Pearson's correlation over the rounds that both have; `None` if they are too few or one of the two never varies.
fn correlation(a: &[Option<f64>], b: &[Option<f64>]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
    if pairs.len() < MIN_ROUNDS {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "at most MAX_ROUNDS")]
    let n = pairs.len() as f64;
    let (mean_a, mean_b) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sum = |of: fn(f64, f64) -> f64| pairs.iter().map(|p| of(p.0 - mean_a, p.1 - mean_b)).sum::<f64>();
    let spread = (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt();
    (spread > 1e-12).then(|| sum(|a, b| a * b) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miners with the loads of these machines, in 30 rounds.
    fn rounds(machines: &[u32]) -> Vec<Vec<Option<f64>>> {
        let load = |machine: u32, round: u32| f64::from((round + 1) * (machine * 37 + 11) % 101) / 25.0;
        let latency = |machine: u32, miner: u32, round: u32| {
            let network = 1.0 + f64::from(round % 7);
            Some(network * (load(machine, round) + 0.01 * load(miner + 50, round)).exp())
        };
        let row = |(miner, &machine)| (0..30).map(|round| latency(machine, miner, round)).collect();
        (0..).zip(machines).map(row).collect()
    }

    #[test]
    fn hotkeys_before_one_machine_are_a_cluster_and_others_are_none() {
        assert_eq!(
            clusters(&rounds(&[0, 1, 0, 2, 3, 3, 0])),
            [Some(0), None, Some(0), None, Some(1), Some(1), Some(0)]
        );
    }

    #[test]
    fn too_few_rounds_prove_nothing() {
        let mut rows = rounds(&[0, 0, 1]);
        for row in &mut rows {
            row.truncate(MIN_ROUNDS - 1);
        }
        assert_eq!(clusters(&rows), [None, None, None]);
        assert_eq!(clusters(&[]), []);
    }

    #[test]
    fn latencies_that_are_none_or_never_vary_are_no_evidence() {
        assert_eq!(clusters(&[vec![Some(1.0); 40], vec![Some(1.0); 40]]), [None, None]);
        assert_eq!(clusters(&[vec![Some(f64::NAN); 40], vec![Some(-1.0); 40], vec![None; 40]]), [None, None, None]);
    }
}
