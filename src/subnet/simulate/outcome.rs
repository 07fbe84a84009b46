//! What a simulation found.

use std::fmt::Write as _;

use serde::Serialize;

use super::agents::Agent;
use super::{RuleSet, Settings};

/// What one operator's miners earn of all that miners earn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MinerShare {
    /// What it is.
    pub name: &'static str,
    /// Hotkeys that the share is of.
    pub hotkeys: usize,
    /// Share of the miners' emission, 0 to 1; of several that are alike, such as the good miners, the mean.
    pub share: f64,
    /// The greatest share of one hotkey.
    pub greatest: f64,
}

/// How far colluding validators moved the scores of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Collusion {
    /// The farthest.
    pub max_move: f64,
    /// The mean over all scores.
    pub mean_move: f64,
}

/// What validators are paid, per share of the stake: 1 if all were paid alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LazyValidator {
    /// Those that judge.
    pub honest_dividends: f64,
    /// The one that copies weights.
    pub lazy_dividends: f64,
}

/// After how many tasks a proxy was flagged; `None` if never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LyingProxy {
    /// One that denies half of the best miner's answers.
    pub one_miner: Option<u32>,
    /// One that denies a fifth of everybody's answers.
    pub all_miners: Option<u32>,
    /// One that tells the truth.
    pub honest: Option<u32>,
}

/// What came of one set of rules.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleSetOutcome {
    /// Which.
    pub rules: RuleSet,
    /// Emission, in the order of the table.
    pub miners: Vec<MinerShare>,
    /// Share of the miners' emission that was burned.
    pub burned: f64,
    /// Verdicts.
    pub collusion: Collusion,
    /// Dividends.
    pub lazy: LazyValidator,
}

/// What a simulation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// What was simulated.
    #[serde(flatten)]
    pub settings: Settings,
    /// By rule set, in the order of [`RuleSet::ALL`].
    pub rule_sets: Vec<RuleSetOutcome>,
    /// The proxy, under the proposed rules.
    pub lying_proxy: LyingProxy,
}

impl Collusion {
    pub(super) fn new(moves: &[f64]) -> Self {
        let max_move = moves.iter().copied().fold(0.0, f64::max);
        Self { max_move, mean_move: moves.iter().sum::<f64>() / moves.len().max(1) as f64 }
    }
}

/// Shares by name, in the order of the agents; sybils' summed, others' of one name averaged.
pub(super) fn shares(agents: &[Agent], incentive: &[f64]) -> Vec<MinerShare> {
    let mut found: Vec<MinerShare> = Vec::new();
    for (agent, share) in agents.iter().zip(incentive) {
        match found.iter_mut().find(|known| known.name == agent.name) {
            Some(known) => {
                (known.hotkeys, known.share) = (known.hotkeys + 1, known.share + share);
                known.greatest = known.greatest.max(*share);
            }
            None => found.push(MinerShare { name: agent.name, hotkeys: 1, share: *share, greatest: *share }),
        }
    }
    for share in found.iter_mut().filter(|share| share.name == "good") {
        share.share /= share.hotkeys as f64;
    }
    found
}

impl RuleSetOutcome {
    /// The share of the miners with this name; 0 if there are none.
    #[must_use]
    pub fn share(&self, name: &str) -> f64 {
        self.miners.iter().find(|miner| miner.name == name).map_or(0.0, |miner| miner.share)
    }
}

impl Outcome {
    /// The outcome of one rule set.
    #[must_use]
    pub fn of(&self, rules: RuleSet) -> Option<&RuleSetOutcome> {
        self.rule_sets.iter().find(|outcome| outcome.rules == rules)
    }

    /// A table for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = String::new();
        let mut row = |name: &str, of: &dyn Fn(&RuleSetOutcome) -> String| {
            let _ = write!(table, "{name:<28}");
            for outcome in &self.rule_sets {
                let _ = write!(table, "{:>16}", of(outcome));
            }
            table.push('\n');
        };
        row("miners' emission, %", &|outcome| outcome.rules.name().to_owned());
        for name in self.rule_sets.iter().take(1).flat_map(|outcome| &outcome.miners).map(|miner| miner.name) {
            let shown = if name == "good" { "good (each of 6)" } else { name };
            row(shown, &|outcome| format!("{:.2}", 100.0 * outcome.share(name)));
        }
        row("burned", &|outcome| format!("{:.2}", 100.0 * outcome.burned));
        row("verdict moved by, at most", &|outcome| format!("{:.4}", outcome.collusion.max_move));
        row("dividends: honest", &|outcome| format!("{:.4}", outcome.lazy.honest_dividends));
        row("dividends: lazy", &|outcome| format!("{:.4}", outcome.lazy.lazy_dividends));
        let Settings { seed, epochs, colluding_stake, colluders } = self.settings;
        let flagged =
            |tasks: Option<u32>| tasks.map_or("not flagged".to_owned(), |n| format!("flagged after {n} tasks"));
        let LyingProxy { one_miner, all_miners, honest } = self.lying_proxy;
        let _ = write!(
            table,
            "seed {seed}, {epochs} epochs; {:.0} % of the stake colludes, on {colluders} hotkeys; dividends are per share of stake\n\
             a proxy that denies half of one miner's answers: {}; a fifth of everybody's: {}; an honest one: {}\n",
            100.0 * colluding_stake,
            flagged(one_miner),
            flagged(all_miners),
            flagged(honest)
        );
        table
    }
}
