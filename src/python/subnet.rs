//! The subnet's rules for Python: weights and Yuma consensus.

#![allow(clippy::needless_pass_by_value, reason = "lists of Python arrive as owned vectors")]

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::subnet::miner::{self, KindQuality, Tally};
use crate::subnet::weights::{Ema, Miner};
use crate::subnet::yuma::{Epoch, Row, Subnet};
use crate::subnet::{audit, fingerprint, weights, yuma};

/// Adds the functions of this file to the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_TALLY", miner::MAX_TALLY)?;
    module.add("MAX_ROUNDS", fingerprint::MAX_ROUNDS)?;
    module.add("SCORE_FLOOR", weights::SCORE_FLOOR)?;
    module.add_function(wrap_pyfunction!(ema_update, module)?)?;
    module.add_function(wrap_pyfunction!(proven, module)?)?;
    module.add_function(wrap_pyfunction!(tally_add, module)?)?;
    module.add_function(wrap_pyfunction!(miner_score, module)?)?;
    module.add_function(wrap_pyfunction!(availability, module)?)?;
    module.add_function(wrap_pyfunction!(credibility, module)?)?;
    module.add_function(wrap_pyfunction!(miner_weights, module)?)?;
    module.add_function(wrap_pyfunction!(latency_clusters, module)?)?;
    module.add_function(wrap_pyfunction!(audit_proxy, module)?)?;
    module.add_function(wrap_pyfunction!(weights_to_u16, module)?)?;
    module.add_function(wrap_pyfunction!(yuma_permits, module)?)?;
    module.add_function(wrap_pyfunction!(yuma_epoch, module)?)
}

/// `Ema::update` on a tuple (value, mass, `updated_s`).
#[pyfunction]
fn ema_update(ema: (f64, f64, f64), x: f64, now_s: f64) -> (f64, f64, f64) {
    let (value, mass, updated_s) = ema;
    let ema = Ema { value, mass, updated_s }.update(x, now_s);
    (ema.value, ema.mass, ema.updated_s)
}

/// A miner's score from tuples (weight, confidence, quality) by kind of task, availability and credibility.
#[pyfunction]
fn miner_score(kinds: Vec<(f64, f64, f64)>, availability: f64, credibility: f64) -> f64 {
    let kind = |(weight, confidence, quality)| KindQuality { weight, confidence, quality };
    let kinds: Vec<KindQuality> = kinds.into_iter().map(kind).collect();
    miner::score(&kinds, availability, credibility)
}

/// The Wilson lower bound of the share of requests that were answered.
#[pyfunction]
fn availability(answered: u32, asked: u32) -> f64 {
    miner::availability(answered, asked)
}

/// Credibility from challenges passed and failed.
#[pyfunction]
fn credibility(passed: u32, failed: u32) -> f64 {
    miner::credibility(passed, failed)
}

/// (weight, confidence, quality) of a kind of task from tuples (value, mass) of work and of direct challenges.
#[pyfunction]
fn proven(weight: f64, work: (f64, f64), direct: (f64, f64)) -> (f64, f64, f64) {
    let ema = |(value, mass)| Ema { value, mass, updated_s: 0.0 };
    let KindQuality { weight, confidence, quality } = miner::proven(weight, ema(work), ema(direct));
    (weight, confidence, quality)
}

/// `Tally::add` on a tuple (good, bad).
#[pyfunction]
fn tally_add(tally: (u32, u32), is_good: bool) -> (u32, u32) {
    let tally = Tally { good: tally.0, bad: tally.1 }.counting(is_good);
    (tally.good, tally.bad)
}

/// What Python gives of a miner: (uid, score, coldkey, ip or None, fingerprint or None).
type MinerTuple = (u16, f64, String, Option<String>, Option<u16>);

/// Weights (uid, share), each miner's (earning, group, group's share, share), the cap of a group, and what is withheld.
type ExplainedTuple = (Vec<(u16, f64)>, Vec<(f64, usize, f64, f64)>, f64, f64);

/// Weights and how they came about, from tuples (uid, score, coldkey, ip or None, fingerprint or None).
#[pyfunction]
#[pyo3(signature = (miners, burn_uid=None))]
fn miner_weights(miners: Vec<MinerTuple>, burn_uid: Option<u16>) -> ExplainedTuple {
    let miner = |(uid, score, coldkey, ip, fingerprint)| Miner { uid, score, coldkey, ip, fingerprint };
    let miners: Vec<Miner> = miners.into_iter().map(miner).collect();
    let found = weights::explain(&miners, burn_uid);
    let share = |share: weights::Share| (share.earning, share.group, share.group_share, share.share);
    (found.weights, found.shares.into_iter().map(share).collect(), found.cap, found.withheld)
}

/// The cluster of each miner by its latencies in rounds, None where it did not answer; None for a machine of its own.
#[pyfunction]
fn latency_clusters(latencies: Vec<Vec<Option<f64>>>) -> Vec<Option<u16>> {
    fingerprint::clusters(&latencies)
}

/// How often a miner answered, and how often not.
type TallyTuple = (u32, u32);

/// Standard deviations by which miners answer less by the proxy's account than directly, for each pair of tallies and for
/// all together, and whether the proxy is to be flagged.
#[pyfunction]
fn audit_proxy(accounts: Vec<(TallyTuple, TallyTuple)>) -> (Vec<f64>, f64, bool) {
    let tally = |(good, bad)| Tally { good, bad };
    let account = |(proxy, direct)| audit::Account { proxy: tally(proxy), direct: tally(direct) };
    let accounts: Vec<audit::Account> = accounts.into_iter().map(account).collect();
    let each = accounts.iter().map(|account| audit::disagreement([account])).collect();
    (each, audit::disagreement(&accounts), audit::is_flagged(&accounts))
}

/// Weights as the chain takes them: the greatest becomes 65,535.
#[pyfunction]
fn weights_to_u16(weights: Vec<(u16, f64)>) -> Vec<(u16, u16)> {
    weights::to_u16(&weights)
}

/// The uids that get a validator permit, as one flag per uid.
#[pyfunction]
fn yuma_permits(stake: Vec<f64>, count: usize) -> Vec<bool> {
    yuma::permits(&stake, count)
}

/// One epoch of Yuma consensus, as a dictionary of what it finds and pays.
#[pyfunction]
#[pyo3(signature = (stake, permits, active, weights, bonds, emission, owner=None))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
fn yuma_epoch(
    py: Python<'_>,
    stake: Vec<f64>,
    permits: Vec<bool>,
    active: Vec<bool>,
    weights: Vec<Row>,
    bonds: Vec<Row>,
    emission: f64,
    owner: Option<usize>,
) -> PyResult<Bound<'_, PyDict>> {
    let subnet = Subnet { stake, permits, active, weights, bonds, owner };
    let found = py.detach(|| yuma::epoch(&subnet, emission))?;
    let Epoch { consensus, incentive, trust, validator_trust, dividends, bonds, emission, owner_cut, burned } = found;
    let dict = PyDict::new(py);
    for (name, values) in [
        ("consensus", consensus),
        ("incentive", incentive),
        ("trust", trust),
        ("validator_trust", validator_trust),
        ("dividends", dividends),
        ("emission", emission),
    ] {
        dict.set_item(name, values)?;
    }
    dict.set_item("bonds", bonds)?;
    dict.set_item("owner_cut", owner_cut)?;
    dict.set_item("burned", burned)?;
    Ok(dict)
}
