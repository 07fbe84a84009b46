//! The simulation: bands that the rules must keep, whatever the seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::OnceLock;

use violet::subnet::simulate::{Outcome, RuleSet, RuleSetOutcome, Settings, simulate};

const SEEDS: [u64; 3] = [0, 1, 2];

fn outcomes() -> &'static [Outcome] {
    static OUTCOMES: OnceLock<Vec<Outcome>> = OnceLock::new();
    OUTCOMES.get_or_init(|| {
        SEEDS.map(|seed| simulate(&Settings { seed, ..Settings::default() }).unwrap()).into_iter().collect()
    })
}

fn each(rules: RuleSet, check: impl Fn(&RuleSetOutcome)) {
    for outcome in outcomes() {
        check(outcome.of(rules).unwrap());
    }
}

#[test]
fn the_best_miner_comes_first_and_the_good_ones_next() {
    each(RuleSet::Proposed, |outcome| {
        let best = outcome.share("best");
        assert!(outcome.miners.iter().all(|miner| miner.name == "best" || miner.share < best));
        assert!(outcome.share("good") > outcome.share("slow"));
    });
}

#[test]
fn empty_made_up_and_cached_answers_earn_nothing() {
    each(RuleSet::Proposed, |outcome| {
        for name in ["empty", "fast garbage", "cached answers"] {
            assert!(outcome.share(name) < 1e-12, "{name}: {}", outcome.share(name));
        }
    });
}

#[test]
fn eight_sybils_earn_at_most_11_percent_whether_they_hide_or_not() {
    each(RuleSet::Proposed, |outcome| {
        for name in ["8 sybils, one address", "8 sybils, hidden"] {
            assert!(outcome.share(name) <= 0.11, "{name}: {}", outcome.share(name));
        }
    });
}

#[test]
fn a_copier_and_a_challenge_detector_earn_next_to_nothing() {
    each(RuleSet::Proposed, |outcome| {
        assert!(outcome.share("copier") < 0.05, "{}", outcome.share("copier"));
        assert!(outcome.share("challenge detector") < outcome.share("good") / 2.0);
    });
}

#[test]
fn a_relay_is_no_better_than_the_best_that_it_relays_to() {
    each(RuleSet::Proposed, |outcome| {
        let best = outcome.miners.iter().find(|miner| miner.name == "good").unwrap().greatest;
        assert!(outcome.share("relay") <= best, "{} of {best}", outcome.share("relay"));
    });
}

#[test]
fn a_miner_that_is_there_70_percent_of_the_time_keeps_a_third() {
    // In the mean over the seeds: one miner's days are better or worse than another's.
    let kept = |outcome: &Outcome| {
        let found = outcome.of(RuleSet::Proposed).unwrap();
        found.share("70 % available") / found.share("good")
    };
    let mean = outcomes().iter().map(kept).sum::<f64>() / SEEDS.map(|_| 1.0).iter().sum::<f64>();
    assert!((1.0 / 3.0..0.8).contains(&mean), "{mean}");
}

#[test]
fn rules_that_add_up_pay_garbage_and_sybils() {
    each(RuleSet::Additive, |outcome| {
        assert!(outcome.share("fast garbage") > 0.01 && outcome.share("8 sybils, hidden") > 0.2);
    });
}

#[test]
fn colluding_validators_hardly_move_a_verdict() {
    for (colluding_stake, colluders) in [(0.1, 12), (0.3, 12), (0.49, 1), (0.49, 12), (0.49, 40)] {
        let outcome = simulate(&Settings { epochs: 10, colluding_stake, colluders, seed: 3 }).unwrap();
        let found = outcome.of(RuleSet::Proposed).unwrap().collusion;
        assert!(found.max_move <= 0.06, "{colluding_stake} on {colluders}: {found:?}");
    }
}

#[test]
fn the_lazy_validator_earns_less_than_those_that_judge() {
    each(RuleSet::Proposed, |outcome| {
        let lazy = outcome.lazy;
        assert!(lazy.lazy_dividends < lazy.honest_dividends, "{lazy:?}");
    });
}

#[test]
fn a_lying_proxy_is_flagged_within_200_tasks_and_an_honest_one_never() {
    for outcome in outcomes() {
        let found = outcome.lying_proxy;
        assert!(found.one_miner.is_some_and(|tasks| tasks <= 200), "{found:?}");
        assert!(found.all_miners.is_some_and(|tasks| tasks <= 200), "{found:?}");
        assert_eq!(found.honest, None);
    }
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_another_one_another() {
    let run = |seed| simulate(&Settings { seed, epochs: 10, ..Settings::default() }).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).rule_sets, run(6).rule_sets);
}

#[test]
fn shares_are_of_all_that_miners_earn_and_the_page_shows_each() {
    for outcome in outcomes() {
        for found in &outcome.rule_sets {
            let of = |name: &str, share: f64| if name == "good" { 6.0 * share } else { share };
            let sum: f64 = found.miners.iter().map(|miner| of(miner.name, miner.share)).sum();
            assert!((sum + found.burned - 1.0).abs() < 1e-9, "{sum} and {}", found.burned);
        }
        let page = outcome.to_html();
        assert_eq!(page.matches("<title>").count(), 1 + 3 * outcome.rule_sets[0].miners.len());
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |settings: Settings| simulate(&settings).unwrap_err().to_string();
    let default = Settings::default();
    assert_eq!(refused(Settings { epochs: 9, ..default }), "got 9 epochs; expected 10 to 1000");
    assert!(refused(Settings { colluding_stake: 0.5, ..default }).contains("0.5"));
    assert!(refused(Settings { colluding_stake: f64::NAN, ..default }).contains("NaN"));
    assert!(refused(Settings { colluders: 41, ..default }).contains("41"));
}
