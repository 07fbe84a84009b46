//! Whose turn a fresh slot is, among the miners that wait for work.
//!
//! Two of them are drawn by their weights, and the one with more of its capacity free has the turn: the power of two
//! choices (Mitzenmacher, IEEE TPDS 2001). They are drawn by weighted rendezvous hashing (Schindelhauer and Schomaker,
//! SPAA 2005): each miner's number for the slot is exponentially distributed with its weight as the rate, and the
//! smallest win. So a miner comes first as often as its weight says, whoever draws gets the same, and who leaves changes
//! nothing for the others. A share of the slots is drawn among newcomers alone, or nobody would ever learn of a good one.

use super::assign::capacity;
use super::sortition::draw;
use super::task::{Coldkey, Hotkey, Kind, Slot, Task};

/// Share of the slots that is drawn among newcomers, while some wait.
pub const EXPLORED: f64 = 0.1;

/// Answers from which a miner is no newcomer.
pub const KNOWN_FROM: u64 = 20;

/// Least weight, so that a miner that lost all its quality can win some back.
pub const LEAST_WEIGHT: f64 = 0.05;

/// A miner that waits for work.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Who.
    pub miner: Hotkey,
    /// Who owns it.
    pub coldkey: Coldkey,
    /// What it can do.
    pub kinds: Vec<Kind>,
    /// Voices that it speaks with.
    pub voices: Vec<String>,
    /// Its proven quality, 0 to 1.
    pub quality: f64,
    /// Answers that it gave so far.
    pub answered: u64,
    /// How many leases it wants to hold in all.
    pub capacity: u32,
    /// How many it holds.
    pub held: u32,
    /// Its [`number`], which every draw needs.
    pub number: u64,
}

/// A miner's number in draws.
#[must_use]
pub fn number(miner: &Hotkey) -> u64 {
    draw("miner", miner.as_str())
}

impl Waiting {
    /// How often it is drawn, compared with others.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.quality.clamp(LEAST_WEIGHT, 1.0)
    }

    fn is_newcomer(&self) -> bool {
        self.answered < KNOWN_FROM
    }

    fn can_take(&self, task: &Task, now_ms: i64) -> bool {
        self.held < self.capacity_that_counts()
            && self.kinds.contains(&task.kind)
            && task.options.voice.as_ref().is_none_or(|voice| self.voices.contains(voice))
            && task.may_work(&self.coldkey, now_ms).is_ok()
    }

    fn capacity_that_counts(&self) -> u32 {
        capacity(self.capacity, self.answered)
    }

    /// Whether less of its capacity is taken than of the other's.
    fn is_freer_than(&self, other: &Self) -> bool {
        let taken = |a: &Self, b: &Self| u64::from(a.held) * u64::from(b.capacity_that_counts());
        taken(self, other) < taken(other, self)
    }
}

/// Whose turn the slot is; nobody's if none of those who wait may have it.
#[must_use]
pub fn turn<'a>(
    task: &Task,
    slot: &Slot,
    waiting: impl Iterator<Item = &'a Waiting> + Clone,
    now_ms: i64,
) -> Option<&'a Waiting> {
    // Every lease of a slot is another draw.
    let name = format!("{} {}", slot.index, slot.token);
    let seed = draw(task.id.as_str(), &name);
    let able = waiting.filter(|miner| miner.can_take(task, now_ms));
    let explores = uniform(mixed(seed)) <= EXPLORED && able.clone().any(Waiting::is_newcomer);
    let mut first: Option<(f64, &Waiting)> = None;
    let mut second = None;
    for miner in able.filter(|miner| !explores || miner.is_newcomer()) {
        let weight = if explores { 1.0 } else { miner.weight() };
        let number = -uniform(mixed(seed ^ miner.number)).ln() / weight;
        if first.is_none_or(|(least, _)| number < least) {
            second = first.replace((number, miner));
        } else if second.is_none_or(|(least, _): (f64, &Waiting)| number < least) {
            second = Some((number, miner));
        }
    }
    let (_, first) = first?;
    Some(second.map(|(_, second)| second).filter(|second| second.is_freer_than(first)).unwrap_or(first))
}

/// A number in (0, 1].
#[allow(clippy::cast_precision_loss, reason = "the top 53 bits")]
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// Bits that tell nothing of each other: the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mixed(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::task::{Claim, NewTask, Terms};

    const TASKS: u32 = 1_000;

    fn miner(name: &str, quality: f64) -> Waiting {
        Waiting {
            miner: Hotkey::from(name),
            coldkey: Coldkey::from(format!("cold {name}")),
            kinds: vec![Kind::Transcription],
            voices: Vec::new(),
            quality,
            answered: 1_000,
            capacity: 4,
            held: 0,
            number: number(&Hotkey::from(name)),
        }
    }

    fn task(n: u32) -> Task {
        Task::new(NewTask::sample(&format!("task_{n}"), 0), 0)
    }

    fn winner<'a>(task: &Task, waiting: &'a [Waiting]) -> Option<&'a str> {
        turn(task, &task.slots[0], waiting.iter(), 0).map(|miner| miner.miner.as_str())
    }

    /// How many of a thousand tasks each miner gets.
    fn shares(waiting: &[Waiting]) -> Vec<u32> {
        let mut shares = vec![0; waiting.len()];
        for n in 0..TASKS {
            let name = winner(&task(n), waiting).unwrap().to_owned();
            shares[waiting.iter().position(|miner| miner.miner.as_str() == name).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn over_a_thousand_tasks_shares_are_within_a_fifth_of_the_weights() {
        let waiting = [("a", 1.0), ("b", 0.9), ("c", 0.8), ("d", 0.6), ("e", 0.5)].map(|(name, q)| miner(name, q));
        let total: f64 = waiting.iter().map(Waiting::weight).sum();
        for (miner, share) in waiting.iter().zip(shares(&waiting)) {
            let expected = f64::from(TASKS) * miner.weight() / total;
            let off = (f64::from(share) - expected).abs() / expected;
            assert!(off < 0.2, "{}: {share} of {TASKS}, expected {expected:.0}", miner.miner);
        }
    }

    #[test]
    fn of_two_that_are_drawn_the_one_with_more_room_has_the_turn() {
        let [free, mut busy] = ["free", "busy"].map(|name| miner(name, 1.0));
        busy.held = 1;
        assert_eq!(shares(&[free.clone(), busy.clone()]), [TASKS, 0]);
        // Two of five hold three of their four leases: their turn comes only when both are drawn, one time in ten.
        busy.held = 3;
        let others = ["b", "c"].map(|name| miner(name, 1.0));
        let also_busy = Waiting { held: 3, ..miner("also", 1.0) };
        let [other, another] = others;
        let shares = shares(&[free, other, another, busy.clone(), also_busy]);
        assert!(shares[3] + shares[4] < TASKS / 7, "{shares:?}: alone by weight they would have two fifths");
        // Half of two is as much as half of four: then the first that is drawn.
        let [mut two, mut four] = ["two", "four"].map(|name| miner(name, 1.0));
        (two.capacity, two.held, four.held) = (2, 1, 2);
        let shares = self::shares(&[two, four]);
        assert!(shares.iter().all(|share| share.abs_diff(TASKS / 2) < TASKS / 10), "{shares:?}");
    }

    #[test]
    fn newcomers_have_a_share_of_their_own() {
        let mut waiting: Vec<Waiting> = (0..19).map(|n| miner(&format!("m{n}"), 1.0)).collect();
        waiting.push(Waiting { answered: 0, ..miner("new", 0.5) });
        let of_new = shares(&waiting)[19];
        // A tenth, and of the rest one part in 39: 123.
        assert!((90..160).contains(&of_new), "{of_new} of {TASKS}; its weight alone would give 26");
        waiting[19].answered = KNOWN_FROM;
        assert!(shares(&waiting)[19] < 50, "known, it has what its weight says");
    }

    #[test]
    fn whoever_may_not_have_it_is_passed_over_and_the_others_keep_their_order() {
        let all = ["a", "b", "c"].map(|name| miner(name, 1.0));
        for n in 0..50 {
            let mut task = task(n);
            let first = winner(&task, &all).unwrap().to_owned();
            let rest: Vec<Waiting> = all.iter().filter(|miner| miner.miner.as_str() != first).cloned().collect();
            let next = winner(&task, &rest).unwrap().to_owned();
            // Any of these takes the first one out, as if it were not there.
            let without = |change: fn(&mut Waiting)| {
                let mut all = all.clone();
                all.iter_mut().filter(|miner| miner.miner.as_str() == first).for_each(change);
                winner(&task, &all).unwrap().to_owned()
            };
            assert_eq!(without(|miner| miner.kinds.clear()), next);
            assert_eq!(without(|miner| miner.held = miner.capacity), next);
            // One operator has one slot of a task.
            task.slots.push(Slot { index: 1, ..task.slots[0].clone() });
            let claim = Claim {
                slot: 1,
                miner: Hotkey::from("other"),
                coldkey: Coldkey::from(format!("cold {first}")),
                claim_id: "c".to_owned(),
            };
            task.claim(claim, 0, &Terms { lease_ms: 9, grace_ms: 9, commit_ms: 9, reveal_ms: 9 }).unwrap();
            assert_eq!(winner(&task, &all), Some(next.as_str()));
        }
        assert_eq!(winner(&task(0), &[]), None);
    }

    #[test]
    fn a_capacity_that_was_only_declared_is_not_there() {
        let mut boaster = miner("boaster", 1.0);
        (boaster.answered, boaster.capacity, boaster.held) = (0, 16, capacity(16, 0));
        assert_eq!(winner(&task(0), &[boaster.clone()]), None);
        boaster.answered = 1_000;
        assert_eq!(winner(&task(0), &[boaster]), Some("boaster"));
    }
}
