//! Yuma consensus: one epoch of a subnet, for the local chain.
//!
//! The rules of subtensor's `epoch` with its defaults (bonds penalty 1, no liquid alpha, the original bonds): validators'
//! weights are clipped at the stake-weighted median, miners earn by what remains, validators by the moving average of
//! their bonds. Source: subtensor `docs/consensus.md`, equations 3 to 7, and `pallets/subtensor/src/epoch`.
//!
//! Differs from subtensor: `f64` instead of fixed point, bonds are kept column-normalised instead of max-upscaled to 16
//! bits, and there are no re-used uids, so no weights to mask because they are older than a registration.

use crate::{Error, Result};

/// The share of active stake that must support a weight: the chain's default, a hair below a half, so that exactly half
/// of the stake is a majority whatever the rounding. Source: subtensor `DefaultKappa`.
pub const KAPPA: f64 = 32_767.0 / 65_535.0;

/// Weight of the newest bonds in their moving average. Source: subtensor `DefaultBondsMovingAverage`, 0.9.
pub const BOND_ALPHA: f64 = 0.1;

/// Share of a subnet's emission that its owner gets; miners and validators halve the rest, 41 % each.
/// Source: subtensor `SubnetOwnerCut`.
pub const OWNER_SHARE: f64 = 0.18;

/// One row of a sparse matrix: (uid, value), each uid at most once, no order needed.
pub type Row = Vec<(usize, f64)>;

/// The state of a subnet before an epoch; every vector has one entry per uid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subnet {
    /// Stake, any unit.
    pub stake: Vec<f64>,
    /// Who may set weights.
    pub permits: Vec<bool>,
    /// Whose weights are recent enough to count.
    pub active: Vec<bool>,
    /// What each uid says about the others, any scale.
    pub weights: Vec<Row>,
    /// Bonds from the epoch before; empty rows before the first.
    pub bonds: Vec<Row>,
    /// The owner's uid: it may weigh itself, and what it would earn as a miner is burned.
    pub owner: Option<usize>,
}

/// What an epoch finds and pays; every vector has one entry per uid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Epoch {
    /// The weight that the majority of stake supports, per miner.
    pub consensus: Vec<f64>,
    /// Share of the miners' reward, sums to 1 (or all 0).
    pub incentive: Vec<f64>,
    /// How much of the weight on a miner survived the clipping, in [0, 1].
    pub trust: Vec<f64>,
    /// How much of a validator's weight survived the clipping, in [0, 1].
    pub validator_trust: Vec<f64>,
    /// Share of the validators' reward, sums to 1 (or all 0).
    pub dividends: Vec<f64>,
    /// Bonds after the epoch: rows are validators, columns sum to 1.
    pub bonds: Vec<Row>,
    /// What each uid is paid; with `owner_cut` and `burned` it sums to the epoch's emission.
    pub emission: Vec<f64>,
    /// What the subnet's owner is paid as its owner.
    pub owner_cut: f64,
    /// What nobody gets: the incentive of the owner's uid.
    pub burned: f64,
}

/// Runs one epoch that distributes `emission`.
///
/// When no weight counts, there is no incentive and the validators' stake shares what miners would have got.
///
/// # Errors
/// `InvalidInput` when the vectors differ in length, a uid is out of range or twice in a row, or a number is negative
/// or not finite.
pub fn epoch(subnet: &Subnet, emission: f64) -> Result<Epoch> {
    check(subnet, emission)?;
    let n = subnet.stake.len();
    let stake = active_stake(subnet);
    let weights = counted_weights(subnet);

    let consensus = consensus(&weights, &stake);
    let mut prerank = vec![0.0; n];
    let mut rank = vec![0.0; n];
    let mut validator_trust = vec![0.0; n];
    let mut new_bonds = vec![Row::new(); n];
    for (validator, row) in weights.iter().enumerate() {
        for &(miner, weight) in row {
            let clipped = weight.min(consensus[miner]);
            prerank[miner] += stake[validator] * weight;
            rank[miner] += stake[validator] * clipped;
            validator_trust[validator] += clipped;
            new_bonds[validator].push((miner, stake[validator] * clipped));
        }
    }
    let trust = rank.iter().zip(&prerank).map(|(after, before)| ratio(*after, *before)).collect();
    let incentive = normalised(rank);

    let bonds = moved_bonds(&subnet.bonds, new_bonds, n);
    let dividends =
        normalised(bonds.iter().map(|row| row.iter().map(|&(miner, bond)| bond * incentive[miner]).sum()).collect());

    let owner_cut = emission * OWNER_SHARE;
    let (paid, burned) = pay(subnet, &stake, &incentive, &dividends, emission - owner_cut);
    Ok(Epoch { consensus, incentive, trust, validator_trust, dividends, bonds, emission: paid, owner_cut, burned })
}

/// The uids that get a validator permit: the `count` greatest stakes above zero, the lower uid first among equals.
#[must_use]
pub fn permits(stake: &[f64], count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..stake.len()).filter(|&uid| stake[uid] > 0.0).collect();
    order.sort_by(|&a, &b| stake[b].total_cmp(&stake[a]).then(a.cmp(&b)));
    let mut permits = vec![false; stake.len()];
    for &uid in order.iter().take(count) {
        permits[uid] = true;
    }
    permits
}

/// Stake of active validators with a permit, normalised.
fn active_stake(subnet: &Subnet) -> Vec<f64> {
    let counts = subnet.permits.iter().zip(&subnet.active).map(|(permit, active)| *permit && *active);
    normalised(subnet.stake.iter().zip(counts).map(|(stake, counts)| if counts { *stake } else { 0.0 }).collect())
}

/// Rows of permitted validators, without weights on themselves (the owner's stays), normalised.
fn counted_weights(subnet: &Subnet) -> Vec<Row> {
    let row = |(uid, row): (usize, &Row)| {
        if !subnet.permits[uid] {
            return Row::new();
        }
        let is_counted = |entry: &&(usize, f64)| entry.1 > 0.0 && (entry.0 != uid || subnet.owner == Some(uid));
        let mut row: Row = row.iter().filter(is_counted).copied().collect();
        let sum: f64 = row.iter().map(|entry| entry.1).sum();
        for entry in &mut row {
            entry.1 = ratio(entry.1, sum);
        }
        row
    };
    subnet.weights.iter().enumerate().map(row).collect()
}

/// Per miner the greatest weight that at least [`KAPPA`] of the stake supports (equation 3).
fn consensus(weights: &[Row], stake: &[f64]) -> Vec<f64> {
    let mut columns = vec![Vec::new(); stake.len()];
    for (row, stake) in weights.iter().zip(stake) {
        for &(miner, weight) in row {
            columns[miner].push((weight, *stake));
        }
    }
    let median = |mut column: Vec<(f64, f64)>| {
        column.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut support = 0.0;
        for (weight, stake) in column {
            support += stake;
            if support >= KAPPA {
                return weight;
            }
        }
        0.0
    };
    columns.into_iter().map(median).collect()
}

/// The moving average of bonds (equations 5 and 6), column-normalised.
fn moved_bonds(old: &[Row], new: Vec<Row>, n: usize) -> Vec<Row> {
    let old_sums = column_sums(old, n);
    let new_sums = column_sums(&new, n);
    let mut dense = vec![0.0; n];
    let mut mixed: Vec<Row> = old
        .iter()
        .zip(new)
        .map(|(old, new)| {
            for &(miner, bond) in old {
                dense[miner] += (1.0 - BOND_ALPHA) * ratio(bond, old_sums[miner]);
            }
            for &(miner, bond) in &new {
                dense[miner] += BOND_ALPHA * ratio(bond, new_sums[miner]);
            }
            let row = dense.iter().enumerate().filter(|(_, bond)| **bond > 0.0).map(|(miner, bond)| (miner, *bond));
            let row = row.collect();
            dense.fill(0.0);
            row
        })
        .collect();
    let sums = column_sums(&mixed, n);
    for (miner, bond) in mixed.iter_mut().flatten() {
        *bond = ratio(*bond, sums[*miner]);
    }
    mixed
}

/// Divides `amount` between miners and validators; returns what each uid gets and what is burned (equation 7).
fn pay(subnet: &Subnet, stake: &[f64], incentive: &[f64], dividends: &[f64], amount: f64) -> (Vec<f64>, f64) {
    let total: f64 = incentive.iter().chain(dividends).sum();
    if total <= 0.0 {
        let has_active = stake.iter().any(|stake| *stake > 0.0);
        let shares = if has_active { stake.to_vec() } else { normalised(subnet.stake.clone()) };
        // Without any stake there is nobody to pay.
        let burned = if shares.iter().any(|share| *share > 0.0) { 0.0 } else { amount };
        return (shares.iter().map(|share| share * amount).collect(), burned);
    }
    let mut paid: Vec<f64> = incentive.iter().zip(dividends).map(|(i, d)| (i + d) / total * amount).collect();
    let burned = subnet.owner.map_or(0.0, |owner| incentive[owner] / total * amount);
    if let Some(owner) = subnet.owner {
        paid[owner] = dividends[owner] / total * amount;
    }
    (paid, burned)
}

fn column_sums(rows: &[Row], n: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n];
    for &(column, value) in rows.iter().flatten() {
        sums[column] += value;
    }
    sums
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn normalised(mut values: Vec<f64>) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    for value in &mut values {
        *value = ratio(*value, sum);
    }
    values
}

fn check(subnet: &Subnet, emission: f64) -> Result<()> {
    let n = subnet.stake.len();
    let lengths = [subnet.permits.len(), subnet.active.len(), subnet.weights.len(), subnet.bonds.len()];
    if lengths.iter().any(|length| *length != n) {
        let message = format!("permits, active, weights and bonds have {lengths:?} entries; expected {n}, one per uid");
        return Err(Error::InvalidInput(message));
    }
    if subnet.owner.is_some_and(|owner| owner >= n) {
        return Err(Error::InvalidInput(format!("the owner's uid is {:?}; there are {n} uids", subnet.owner)));
    }
    let rows = subnet.weights.iter().chain(&subnet.bonds);
    let values = rows.clone().flatten().map(|entry| &entry.1).chain(&subnet.stake).chain([&emission]);
    if let Some(value) = values.into_iter().find(|value| !value.is_finite() || **value < 0.0) {
        return Err(Error::InvalidInput(format!("{value} among stake, weights, bonds or emission; expected >= 0")));
    }
    // The last row in which a uid was seen: finds a repetition without sorting.
    let mut seen = vec![usize::MAX; n];
    for (index, row) in rows.enumerate() {
        for &(uid, _) in row {
            match seen.get_mut(uid) {
                None => return Err(Error::InvalidInput(format!("uid {uid} in weights or bonds; there are {n} uids"))),
                Some(last) if *last == index => {
                    return Err(Error::InvalidInput(format!("uid {uid} twice in one row of weights or bonds")));
                }
                Some(last) => *last = index,
            }
        }
    }
    Ok(())
}
