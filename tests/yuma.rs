//! Yuma consensus: by hand, against an independent implementation, and its properties.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::Value;
use violet::subnet::yuma::{BOND_ALPHA, Epoch, OWNER_SHARE, Row, Subnet, epoch, permits};

fn assert_close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{what}[{index}]: {got}, expected {expected}");
    }
}

/// Two validators (uids 0 and 1, stake 3 to 1) and three miners (uids 2 to 4).
fn two_validators_three_miners() -> Subnet {
    Subnet {
        stake: vec![30.0, 10.0, 0.0, 0.0, 0.0],
        permits: vec![true, true, false, false, false],
        active: vec![true; 5],
        weights: vec![vec![(2, 5.0), (3, 3.0), (4, 2.0)], vec![(2, 1.0), (4, 9.0)], vec![], vec![], vec![]],
        bonds: vec![Row::new(); 5],
        owner: None,
    }
}

#[test]
fn an_epoch_worked_by_hand() {
    let found = epoch(&two_validators_three_miners(), 100.0).unwrap();
    // Stake is 0.75 and 0.25, so validator 0 alone decides: its weights 0.5, 0.3, 0.2 are the consensus.
    assert_close(&found.consensus, &[0.0, 0.0, 0.5, 0.3, 0.2], "consensus");
    // Validator 1 said 0.1 and 0.9; the 0.9 is cut to 0.2.
    assert_close(&found.validator_trust, &[1.0, 0.3, 0.0, 0.0, 0.0], "validator trust");
    // Ranks: 0.75 * 0.5 + 0.25 * 0.1 = 0.4, 0.75 * 0.3 = 0.225, 0.75 * 0.2 + 0.25 * 0.2 = 0.2; together 0.825.
    let incentive = [0.0, 0.0, 0.4 / 0.825, 0.225 / 0.825, 0.2 / 0.825];
    assert_close(&found.incentive, &incentive, "incentive");
    // Before the cut miner 4 had 0.15 + 0.225 = 0.375.
    assert_close(&found.trust, &[0.0, 0.0, 1.0, 1.0, 0.2 / 0.375], "trust");
    // Bonds: miner 2 0.375 and 0.025 of 0.4, miner 3 all to validator 0, miner 4 0.15 and 0.05 of 0.2.
    let first = (0.375 / 0.4) * incentive[2] + incentive[3] + 0.75 * incentive[4];
    assert_close(&found.dividends, &[first, 1.0 - first, 0.0, 0.0, 0.0], "dividends");
    // 18 to the owner, 41 to the miners, 41 to the validators.
    let expected: Vec<f64> = found.incentive.iter().zip(&found.dividends).map(|(i, d)| 41.0 * (i + d)).collect();
    assert_close(&found.emission, &expected, "emission");
    assert_close(&[found.owner_cut, found.burned], &[18.0, 0.0], "owner's");
}

#[test]
fn bonds_move_by_a_tenth() {
    let mut subnet = two_validators_three_miners();
    // All bonds of miner 2 were validator 1's; now 0.375 : 0.025 of them are validator 0's.
    subnet.bonds[1] = vec![(2, 7.0)];
    let found = epoch(&subnet, 100.0).unwrap();
    let bond = found.bonds[0].iter().find(|entry| entry.0 == 2).unwrap().1;
    assert_close(&[bond], &[BOND_ALPHA * 0.9375], "bond");
}

#[test]
fn what_the_owner_would_earn_as_a_miner_is_burned() {
    let mut subnet = two_validators_three_miners();
    subnet.owner = Some(2);
    let found = epoch(&subnet, 100.0).unwrap();
    assert_close(&[found.burned, found.emission[2]], &[41.0 * 0.4 / 0.825, 0.0], "burned");
    assert_close(&[found.emission.iter().sum::<f64>() + found.burned + found.owner_cut], &[100.0], "sum");
}

#[test]
fn without_weights_validators_share_by_stake() {
    let mut subnet = two_validators_three_miners();
    subnet.weights = vec![Row::new(); 5];
    assert_close(&epoch(&subnet, 100.0).unwrap().emission, &[61.5, 20.5, 0.0, 0.0, 0.0], "by active stake");
    subnet.active = vec![false; 5];
    assert_close(&epoch(&subnet, 100.0).unwrap().emission, &[61.5, 20.5, 0.0, 0.0, 0.0], "by stake");
    subnet.stake = vec![0.0; 5];
    let found = epoch(&subnet, 100.0).unwrap();
    assert_close(&[found.burned, found.emission.iter().sum()], &[82.0, 0.0], "nobody to pay");
}

#[test]
fn half_of_the_stake_is_a_majority() {
    let mut subnet = two_validators_three_miners();
    subnet.stake = vec![10.0, 10.0, 0.0, 0.0, 0.0];
    assert_close(&epoch(&subnet, 1.0).unwrap().consensus, &[0.0, 0.0, 0.5, 0.3, 0.9], "consensus");
}

#[test]
fn weights_on_oneself_count_for_the_owner_only() {
    let mut subnet = two_validators_three_miners();
    subnet.weights[0] = vec![(0, 1.0), (2, 1.0)];
    assert_close(&epoch(&subnet, 1.0).unwrap().consensus[..3], &[0.0, 0.0, 1.0], "masked");
    subnet.owner = Some(0);
    assert_close(&epoch(&subnet, 1.0).unwrap().consensus[..3], &[0.5, 0.0, 0.5], "kept");
}

#[test]
fn permits_go_to_the_greatest_stakes_above_zero() {
    assert_eq!(permits(&[1.0, 3.0, 0.0, 3.0, 2.0], 3), [false, true, false, true, true]);
    assert_eq!(permits(&[1.0, 1.0, 1.0], 2), [true, true, false], "the lower uid first among equals");
    assert_eq!(permits(&[0.0, 1.0], 5), [false, true], "never without stake");
}

type Breakage = fn(&mut Subnet);

#[test]
fn impossible_input_is_refused() {
    let broken: [(&str, Breakage); 7] = [
        ("permits, active", |subnet| subnet.permits = vec![true]),
        ("owner's uid", |subnet| subnet.owner = Some(5)),
        ("uid 9", |subnet| subnet.weights[0].push((9, 1.0))),
        ("uid 2 twice", |subnet| subnet.weights[0].push((2, 1.0))),
        ("NaN", |subnet| subnet.weights[0][0].1 = f64::NAN),
        ("-1", |subnet| subnet.stake[0] = -1.0),
        ("inf", |subnet| subnet.bonds[0] = vec![(2, f64::INFINITY)]),
    ];
    for (expected, breakage) in broken {
        let mut subnet = two_validators_three_miners();
        breakage(&mut subnet);
        let message = epoch(&subnet, 1.0).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(epoch(&two_validators_three_miners(), f64::NAN).is_err());
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn booleans(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|flag| flag.as_bool().unwrap()).collect()
}

fn uid(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn subnet(value: &Value, bonds: Vec<Row>) -> Subnet {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|e| (uid(&e[0]), e[1].as_f64().unwrap())).collect();
    Subnet {
        stake: numbers(&value["stake"]),
        permits: booleans(&value["permits"]),
        active: booleans(&value["active"]),
        weights: value["weights"].as_array().unwrap().iter().map(row).collect(),
        bonds,
        owner: value["owner"].as_u64().map(|owner| usize::try_from(owner).unwrap()),
    }
}

/// Golden values: `tests/data/make_yuma.py`, dense numpy from the published equations.
#[test]
fn epochs_equal_those_of_another_implementation() {
    let runs: Vec<Vec<Value>> = serde_json::from_str(include_str!("data/yuma.json")).unwrap();
    assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), 21);
    for run in &runs {
        let mut bonds = vec![Row::new(); numbers(&run[0]["subnet"]["stake"]).len()];
        for step in run {
            let emission = step["subnet"]["emission"].as_f64().unwrap();
            let found = epoch(&subnet(&step["subnet"], bonds), emission).unwrap();
            let expected = &step["found"];
            for (name, values) in [
                ("consensus", &found.consensus),
                ("incentive", &found.incentive),
                ("trust", &found.trust),
                ("validator_trust", &found.validator_trust),
                ("dividends", &found.dividends),
                ("emission", &found.emission),
            ] {
                assert_close(values, &numbers(&expected[name]), name);
            }
            assert_close(
                &[found.burned, found.owner_cut],
                &numbers(&serde_json::json!([expected["burned"], expected["owner_cut"]])),
                "burned",
            );
            for (row, expected) in dense(&found).iter().zip(expected["bonds"].as_array().unwrap()) {
                assert_close(row, &numbers(expected), "bonds");
            }
            bonds = found.bonds;
        }
    }
}

fn dense(epoch: &Epoch) -> Vec<Vec<f64>> {
    let n = epoch.consensus.len();
    let row = |row: &Row| {
        let mut values = vec![0.0; n];
        for &(miner, bond) in row {
            values[miner] = bond;
        }
        values
    };
    epoch.bonds.iter().map(row).collect()
}

prop_compose! {
    fn any_subnet()(n in 1_usize..8)(
        stake in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1e6_f64], n),
        permits in prop::collection::vec(any::<bool>(), n),
        active in prop::collection::vec(prop::bool::weighted(0.9), n),
        dense in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0.0), 0.0..1.0_f64], n), n),
        owner in prop::option::of(0..n),
    ) -> Subnet {
        let weights: Vec<Row> = dense.into_iter().map(|row| row.into_iter().enumerate().collect()).collect();
        Subnet { bonds: vec![Row::new(); stake.len()], stake, permits, active, weights, owner }
    }
}

proptest! {
    #[test]
    fn emission_is_paid_or_burned_and_never_made(subnet in any_subnet(), emission in 0.0..1e9_f64) {
        let found = epoch(&subnet, emission).unwrap();
        let sum = found.emission.iter().sum::<f64>() + found.burned + found.owner_cut;
        prop_assert!((sum - emission).abs() <= 1e-9 * emission.max(1.0));
        prop_assert!(found.emission.iter().all(|paid| *paid >= 0.0));
        prop_assert!((found.owner_cut - emission * OWNER_SHARE).abs() < 1e-6);
    }

    #[test]
    fn shares_are_shares(subnet in any_subnet()) {
        let found = epoch(&subnet, 1.0).unwrap();
        for shares in [&found.incentive, &found.dividends] {
            let sum: f64 = shares.iter().sum();
            prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-9);
        }
        for values in [&found.trust, &found.validator_trust, &found.consensus] {
            prop_assert!(values.iter().all(|value| (0.0..=1.0 + 1e-9).contains(value)));
        }
    }

    #[test]
    fn the_unit_of_stake_and_the_scale_of_weights_do_not_matter(subnet in any_subnet(), scale in 0.01..100.0_f64) {
        let mut scaled = subnet.clone();
        scaled.stake.iter_mut().for_each(|stake| *stake *= 1024.0);
        scaled.weights.iter_mut().flatten().for_each(|entry| entry.1 *= scale);
        let (found, expected) = (epoch(&scaled, 1.0).unwrap(), epoch(&subnet, 1.0).unwrap());
        for (a, b) in found.emission.iter().zip(&expected.emission) {
            prop_assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn a_minority_cannot_raise_its_own_miner(rest in 0.0..0.9_f64, greed in 0.0..1.0_f64) {
        // Validator 1 has a quarter of the stake; whatever it gives miner 4, the miner keeps what validator 0 gives.
        let mut subnet = two_validators_three_miners();
        subnet.weights[1] = vec![(2, rest + 1e-6), (4, greed)];
        prop_assert!(epoch(&subnet, 1.0).unwrap().consensus[4] <= 0.2 + 1e-12);
    }
}
