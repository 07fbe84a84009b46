//! Whether the proxy tells the truth about miners: what it says of them against what a validator sees itself.
//!
//! A proxy cannot change an answer, for the miner signed it, but it can say that there was none. Validators ask miners
//! directly too, so a miner that is always there when it is asked directly and often silent by the proxy's account is a
//! disagreement. Who of the two lies, the proxy or the miner, is for people to find out: it is flagged, and nothing else.

use super::miner::Tally;

/// Disagreement from which the proxy is flagged, standard deviations: by chance once in 30,000 looks.
pub const FLAGGED_FROM: f64 = 4.0;

/// What is known of one miner: how often it answered, and how often not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// By the proxy's account.
    pub proxy: Tally,
    /// When the validator asked directly.
    pub direct: Tally,
}

/// By how many standard deviations miners answer less by the proxy's account than when they are asked directly.
///
/// The test of Cochran, Mantel and Haenszel with the miners as strata, so that it does not matter that the proxy asks
/// some miners more often than others. 0 when nothing can be compared; negative when the proxy's account is the better.
///
/// Source: Mantel and Haenszel, "Statistical aspects of the analysis of data from retrospective studies of disease",
/// J. Natl. Cancer Inst. 22 (1959).
#[must_use]
pub fn disagreement<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> f64 {
    let (mut excess, mut variance) = (0.0, 0.0);
    for Account { proxy, direct } in accounts {
        let (n_proxy, n_direct) = (f64::from(proxy.total()), f64::from(direct.total()));
        let n = n_proxy + n_direct;
        if n_proxy < 1.0 || n_direct < 1.0 {
            continue;
        }
        let bad = f64::from(proxy.bad) + f64::from(direct.bad);
        excess += f64::from(proxy.bad) - n_proxy * bad / n;
        variance += n_proxy * n_direct * bad * (n - bad) / (n * n * (n - 1.0));
    }
    if variance > 0.0 { excess / variance.sqrt() } else { 0.0 }
}

/// Whether the proxy is to be flagged: over one miner's account, or over all together.
#[must_use]
pub fn is_flagged(accounts: &[Account]) -> bool {
    accounts.iter().any(|account| disagreement([account]) >= FLAGGED_FROM) || disagreement(accounts) >= FLAGGED_FROM
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(proxy: (u32, u32), direct: (u32, u32)) -> Account {
        let tally = |(good, bad)| Tally { good, bad };
        Account { proxy: tally(proxy), direct: tally(direct) }
    }

    #[test]
    fn disagreement_worked_by_hand() {
        // 10 of 20 missing by the proxy, 0 of 20 directly: 5 more than expected; variance 20*20*10*30 / (40^2 * 39).
        let found = disagreement([&account((10, 10), (20, 0))]);
        assert!((found - 5.0 / (120_000.0_f64 / 62_400.0).sqrt()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn small_lies_about_many_miners_add_up() {
        let each = account((24, 6), (40, 1));
        assert!(!is_flagged(&[each]));
        assert!(is_flagged(&[each; 8]));
    }

    #[test]
    fn a_proxy_that_asks_the_unreliable_more_often_is_no_liar() {
        assert!(!is_flagged(&[account((70, 30), (7, 3)), account((10, 0), (100, 0))]));
    }

    proptest! {
        #[test]
        fn nothing_seen_or_the_same_seen_is_no_disagreement(good in 0..100_u32, bad in 0..100_u32) {
            prop_assert!(disagreement([&account((good, bad), (good, bad))]).abs() < 1e-9);
            prop_assert!(disagreement([&account((good, bad), (0, 0))]).abs() < 1e-9);
        }

        #[test]
        fn more_denied_answers_never_lower_it(good in 0..100_u32, bad in 0..100_u32, up in 0..50_u32, down in 0..50_u32) {
            let found = |more| disagreement([&account((good, bad + more), (up, down))]);
            prop_assert!(found(1) >= found(0) - 1e-9);
        }
    }
}
