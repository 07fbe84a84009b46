//! The subnet's rules against miners, validators and a proxy that are honest, weak, lazy or dishonest.
//!
//! Agents only draw outcomes: error rates, answering times, whether they are there. What follows from those is computed by
//! the rules that the network runs: assignment, the task's state machine with commit and reveal, rewards, verdicts, trust,
//! weights, Yuma's epochs. Two other rule sets of miners' pay run on the same draws for comparison.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a simulation are far below 2^32"
)]

mod agents;
mod board;
mod chart;
mod outcome;
mod random;
mod rules;
mod validators;
mod world;

pub use outcome::{Collusion, LazyValidator, LyingProxy, MinerShare, Outcome, RuleSetOutcome};
pub use rules::RuleSet;

use serde::Serialize;

use crate::{Error, Result};

/// Least and most epochs that are worth simulating: miners have to be known, and somebody has to wait for it.
pub const EPOCHS: (u32, u32) = (10, 1_000);

/// Most stake that colluding validators may hold: with half of it they are the chain.
pub const MAX_COLLUDING_STAKE: f64 = 0.49;

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// Epochs of 360 blocks.
    pub epochs: u32,
    /// Share of the stake that colluding validators hold.
    pub colluding_stake: f64,
    /// Number of hotkeys that they divide it among.
    pub colluders: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 0, epochs: 60, colluding_stake: MAX_COLLUDING_STAKE, colluders: 12 }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let Self { epochs, colluding_stake, colluders, .. } = *self;
        if !(EPOCHS.0..=EPOCHS.1).contains(&epochs) {
            return Err(Error::InvalidInput(format!("got {epochs} epochs; expected {} to {}", EPOCHS.0, EPOCHS.1)));
        }
        if !(0.0..=MAX_COLLUDING_STAKE).contains(&colluding_stake) {
            return Err(Error::InvalidInput(format!(
                "got {colluding_stake} as the colluding validators' share of the stake; expected 0 to {MAX_COLLUDING_STAKE}"
            )));
        }
        if !(1..=validators::MAX_COLLUDERS).contains(&colluders) {
            return Err(Error::InvalidInput(format!(
                "got {colluders} colluding validators; expected 1 to {}",
                validators::MAX_COLLUDERS
            )));
        }
        Ok(())
    }
}

/// Runs every rule set, and the proxy that lies under the proposed one.
///
/// # Errors
/// [`Error::InvalidInput`] for settings out of range.
pub fn simulate(settings: &Settings) -> Result<Outcome> {
    settings.check()?;
    let rule_sets = RuleSet::ALL.into_iter().map(|rules| world::run(settings, rules)).collect::<Result<_>>()?;
    let lying_proxy = LyingProxy {
        one_miner: world::tasks_until_flagged(settings, board::Proxy::DeniesOne),
        all_miners: world::tasks_until_flagged(settings, board::Proxy::DeniesAll),
        honest: world::tasks_until_flagged(settings, board::Proxy::Honest),
    };
    Ok(Outcome { settings: *settings, rule_sets, lying_proxy })
}
