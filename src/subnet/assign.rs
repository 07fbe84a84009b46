//! Who gets which work.
//!
//! A miner that asks is given the most urgent open slots that fit it. A fresh slot is first shown to the miner whose turn
//! it is among those who wait ([`super::turns`]); if that one does not take it, to the others, the better ones first, by
//! delay scheduling (Zaharia et al., EuroSys 2010): to a miner of quality `q` after [`TURN_MS`] and [`HOLD_MS`]` * (1 - q)`.
//! So nobody waits longer than that, and when there is more work than miners everybody takes what it can.

use std::borrow::Borrow;
use std::sync::Arc;

use super::sortition::draw;
use super::task::{Coldkey, Hotkey, Kind, Refusal, Slot, SlotState, Task, TaskId};
use super::turns::{self, Waiting};

/// Quality of a miner about which nothing is known yet.
pub const NEWCOMER_QUALITY: f64 = 0.5;

/// Share of the newest score in a miner's quality.
pub const QUALITY_STEP: f64 = 0.2;

/// Time that the worst miner waits before it is shown a slot, ms.
pub const HOLD_MS: f64 = 400.0;

/// Time for which a slot is another's whose turn it is, ms: long enough to be woken and to claim.
pub const TURN_MS: i64 = 200;

/// Leases that one miner may hold, whatever it declares.
pub const MAX_CAPACITY: u32 = 16;

/// Leases that a miner of which nothing is known may hold, and answers for each one more.
pub const NEWCOMER_CAPACITY: u32 = 4;
const ANSWERS_A_LEASE: u64 = 4;

/// Shifts of the pause before a slot is shown again, above which it grows no more.
const MAX_DOUBLINGS: u32 = 6;

/// Waiting time that lifts a task by one step of priority, seconds.
pub const AGEING_S: f64 = 30.0;

/// A miner that asks for work.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// Who asks.
    pub miner: &'a Hotkey,
    /// Who owns it.
    pub coldkey: &'a Coldkey,
    /// What it can do.
    pub kinds: &'a [Kind],
    /// Voices that it speaks with.
    pub voices: &'a [String],
    /// How many leases it wants to hold in all.
    pub capacity: u32,
    /// How many it holds.
    pub held: u32,
    /// Its proven quality, 0 to 1.
    pub quality: f64,
}

/// What there is around a claim; by default nobody else waits, and nothing is put off.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// Miners that wait for work now, the claimant among them.
    pub waiting: Vec<Arc<Waiting>>,
    /// Pause before a slot is shown again after its first attempt failed, ms; twice as long after each further one, and a
    /// half more or less so that slots that failed together part.
    pub backoff_ms: i64,
}

/// Leases that a miner may hold that wants so many and gave so many answers: what it declares counts as far as it proved it.
#[must_use]
pub fn capacity(declared: u32, answered: u64) -> u32 {
    let proven = u64::from(NEWCOMER_CAPACITY) + answered / ANSWERS_A_LEASE;
    declared.min(MAX_CAPACITY).min(u32::try_from(proven).unwrap_or(u32::MAX))
}

impl Claimant<'_> {
    /// How many more leases it may get.
    #[must_use]
    pub fn free(&self) -> usize {
        self.capacity.min(MAX_CAPACITY).saturating_sub(self.held) as usize
    }

    fn can_do(&self, task: &Task) -> bool {
        self.kinds.contains(&task.kind) && task.options.voice.as_ref().is_none_or(|voice| self.voices.contains(voice))
    }
}

/// A slot for the miner that asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The task.
    pub task_id: TaskId,
    /// Which of its slots.
    pub slot: u8,
}

/// What a miner gets now, and when asking again may give more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// Slots, most urgent first; at most one of each task.
    pub offers: Vec<Offer>,
    /// When the next slot that is open already may be shown to this miner.
    pub next_at_ms: Option<i64>,
}

/// A task's place in the order of urgency, ms: a task with a smaller one goes first.
///
/// Urgency is priority, and a step more for every [`AGEING_S`] of waiting. All tasks age alike, so their order is the same
/// at any time: it is that of the times from which a task of no priority would be as urgent.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "a constant of seconds")]
pub fn rank(task: &Task) -> i64 {
    task.created_at_ms - i64::from(task.priority) * (AGEING_S * 1_000.0) as i64
}

/// Time for which a fresh slot is not shown to a miner of this quality, ms.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the value is within 0..=HOLD_MS")]
pub fn hold_ms(quality: f64) -> i64 {
    (HOLD_MS * (1.0 - quality.clamp(0.0, 1.0))).round() as i64
}

/// A miner's quality after one more score.
#[must_use]
pub fn updated_quality(quality: f64, score: f64) -> f64 {
    (quality + QUALITY_STEP * (score - quality)).clamp(0.0, 1.0)
}

/// The slots that the claimant gets now, of tasks in the order of their [`rank`]; no more of them are looked at than it
/// takes.
pub fn assign<T: Borrow<Task>>(
    claimant: &Claimant<'_>,
    situation: &Situation,
    tasks: impl Iterator<Item = T>,
    now_ms: i64,
) -> Assignment {
    let mut assignment = Assignment::default();
    let free = claimant.free();
    if free == 0 {
        return assignment;
    }
    for task in tasks {
        let task: &Task = task.borrow();
        if !is_claimable(task) || !claimant.can_do(task) {
            continue;
        }
        let Some((slot, shown_at_ms)) = first_look(task, claimant, situation, now_ms) else { continue };
        let at_ms = match task.may_work(claimant.coldkey, now_ms) {
            Ok(()) => shown_at_ms,
            Err(Refusal::Deferred { until_ms }) => shown_at_ms.max(until_ms),
            Err(_) => continue,
        };
        if at_ms > now_ms {
            assignment.next_at_ms = Some(assignment.next_at_ms.map_or(at_ms, |next| next.min(at_ms)));
            continue;
        }
        assignment.offers.push(Offer { task_id: task.id.clone(), slot });
        if assignment.offers.len() == free {
            break;
        }
    }
    assignment
}

/// Whether a task has a slot for whoever may have it.
#[must_use]
pub fn is_claimable(task: &Task) -> bool {
    !task.state.is_final()
        && task.settled_at_ms.is_none()
        && task.slots.iter().any(|slot| slot.state == SlotState::Open)
}

/// The open slot that a miner is shown first, and when.
fn first_look(task: &Task, claimant: &Claimant<'_>, situation: &Situation, now_ms: i64) -> Option<(u8, i64)> {
    let hold_ms = hold_ms(claimant.quality);
    let shown_at_ms = |slot: &Slot| {
        let open_at_ms = slot.opened_at_ms + backoff_ms(task, slot, situation.backoff_ms);
        // Whoever's turn it was: that is over.
        if situation.waiting.is_empty() || now_ms >= open_at_ms + TURN_MS + hold_ms {
            return open_at_ms + hold_ms;
        }
        let waiting = situation.waiting.iter().map(AsRef::as_ref);
        match turns::turn(task, slot, waiting, now_ms) {
            Some(miner) if &miner.miner == claimant.miner => open_at_ms,
            Some(_) => open_at_ms + TURN_MS + hold_ms,
            None => open_at_ms + hold_ms,
        }
    };
    let open = task.slots.iter().filter(|slot| slot.state == SlotState::Open);
    open.map(|slot| (slot.index, shown_at_ms(slot))).min_by_key(|&(_, at_ms)| at_ms)
}

/// How long a slot rests after so many attempts failed, ms.
fn backoff_ms(task: &Task, slot: &Slot, first_ms: i64) -> i64 {
    if slot.attempts == 0 || first_ms == 0 {
        return 0;
    }
    let longest_ms = first_ms << (slot.attempts - 1).min(MAX_DOUBLINGS);
    let name = format!("backoff {} {}", slot.index, slot.token);
    // From a half of it to one and a half, the same whoever asks.
    let share = i64::try_from(draw(task.id.as_str(), &name) % 1_000).unwrap_or_default();
    longest_ms / 2 + longest_ms * share / 1_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subnet::task::{Claim, Hotkey, NewTask, Terms};

    const TERMS: Terms = Terms { lease_ms: 1_000, grace_ms: 1_000, commit_ms: 1_000, reveal_ms: 1_000 };
    const KINDS: &[Kind] = &[Kind::Transcription];

    fn task(id: &str, priority: u8, created_at_ms: i64) -> Task {
        let new = NewTask { priority, redundancy: 2, ..NewTask::sample(id, created_at_ms) };
        Task::new(new, created_at_ms)
    }

    fn claimant(coldkey: &Coldkey) -> Claimant<'_> {
        static MINER: std::sync::LazyLock<Hotkey> = std::sync::LazyLock::new(|| Hotkey::from("m"));
        Claimant { miner: &MINER, coldkey, kinds: KINDS, voices: &[], capacity: 1, held: 0, quality: 1.0 }
    }

    /// What a miner gets that asks alone.
    fn assign<T: Borrow<Task>>(claimant: &Claimant<'_>, tasks: impl Iterator<Item = T>, now_ms: i64) -> Assignment {
        super::assign(claimant, &Situation::default(), tasks, now_ms)
    }

    fn ids(assignment: &Assignment) -> Vec<&str> {
        assignment.offers.iter().map(|offer| offer.task_id.as_str()).collect()
    }

    fn by_rank(tasks: &mut [Task]) -> impl Iterator<Item = &Task> {
        tasks.sort_by_key(rank);
        tasks.iter()
    }

    #[test]
    fn the_higher_priority_goes_first() {
        let coldkey = Coldkey::from("c");
        let mut tasks = [task("low", 1, 0), task("high", 8, 0)];
        assert_eq!(ids(&assign(&claimant(&coldkey), by_rank(&mut tasks), 10)), ["high"]);
    }

    #[test]
    fn a_task_that_waited_long_overtakes_a_fresh_one_of_higher_priority() {
        let coldkey = Coldkey::from("c");
        let mut tasks = [task("fresh", 5, 150_000), task("old", 1, 0)];
        assert_eq!(ids(&assign(&claimant(&coldkey), by_rank(&mut tasks), 150_000)), ["old"], "1 + 150/30 = 6 > 5");
        let mut tasks = [task("fresh", 5, 110_000), task("old", 1, 0)];
        let ids_at =
            |tasks: &mut [Task], now_ms| ids(&assign(&claimant(&coldkey), by_rank(tasks), now_ms))[0].to_owned();
        assert_eq!(ids_at(&mut tasks, 110_000), "fresh", "1 + 110/30 < 5");
        assert_eq!(ids_at(&mut tasks, 900_000), "fresh", "both age alike");
    }

    #[test]
    fn capacity_is_what_is_declared_minus_what_is_held_and_capped() {
        let coldkey = Coldkey::from("c");
        let tasks: Vec<Task> = (0..40).map(|n| task(&format!("t{n:02}"), 5, 0)).collect();
        let ask =
            |capacity, held| assign(&Claimant { capacity, held, ..claimant(&coldkey) }, tasks.iter(), 10).offers.len();
        assert_eq!(ask(3, 1), 2);
        assert_eq!(ask(2, 2), 0);
        assert_eq!(ask(1_000, 0), MAX_CAPACITY as usize);
    }

    #[test]
    fn no_more_tasks_are_looked_at_than_it_takes() {
        let coldkey = Coldkey::from("c");
        let tasks: Vec<Task> = (0..40).map(|n| task(&format!("t{n:02}"), 5, 0)).collect();
        let mut looked_at = 0;
        assign(&claimant(&coldkey), tasks.iter().inspect(|_| looked_at += 1), 10);
        assert_eq!(looked_at, 1);
    }

    #[test]
    fn one_operator_gets_one_slot_of_a_task() {
        let coldkey = Coldkey::from("c");
        let mut held = task("t", 5, 0);
        let claim = Claim { slot: 0, miner: Hotkey::from("m"), coldkey: coldkey.clone(), claim_id: "x".to_owned() };
        held.claim(claim, 10, &TERMS).unwrap();
        assert!(assign(&claimant(&coldkey), [&held].into_iter(), 20).offers.is_empty());
        let other = Coldkey::from("d");
        assert_eq!(assign(&claimant(&other), [&held].into_iter(), 20).offers[0].slot, 1);
    }

    #[test]
    fn a_kind_that_the_miner_cannot_do_is_not_offered() {
        let coldkey = Coldkey::from("c");
        let tasks = [task("t", 5, 0)];
        let deaf = Claimant { kinds: &[], ..claimant(&coldkey) };
        assert_eq!(assign(&deaf, tasks.iter(), 10), Assignment::default());
    }

    #[test]
    fn a_voice_is_asked_of_miners_that_have_it() {
        let coldkey = Coldkey::from("c");
        let mut task = task("t", 5, 0);
        (task.kind, task.options.voice) = (Kind::Synthesis, Some("joe".to_owned()));
        let with = |voices: &[String]| {
            let claimant = Claimant { kinds: &[Kind::Synthesis], voices, ..claimant(&coldkey) };
            assign(&claimant, [&task].into_iter(), 10).offers.len()
        };
        assert_eq!((with(&[]), with(&["amy".to_owned()]), with(&["amy".to_owned(), "joe".to_owned()])), (0, 0, 1));
    }

    #[test]
    fn better_miners_look_first_and_the_others_are_told_when() {
        let coldkey = Coldkey::from("c");
        let tasks = [task("t", 5, 1_000)];
        let with = |quality, now_ms| assign(&Claimant { quality, ..claimant(&coldkey) }, tasks.iter(), now_ms);
        assert_eq!(with(1.0, 1_000).offers.len(), 1, "the best see it at once");
        assert_eq!(with(NEWCOMER_QUALITY, 1_000), Assignment { offers: vec![], next_at_ms: Some(1_200) });
        assert_eq!(with(NEWCOMER_QUALITY, 1_200).offers.len(), 1);
        assert_eq!(with(0.0, 1_400).offers.len(), 1, "the worst starve never");
    }

    fn waiting(name: &str) -> Arc<Waiting> {
        Arc::new(Waiting {
            miner: Hotkey::from(name),
            coldkey: Coldkey::from(format!("cold {name}")),
            kinds: KINDS.to_vec(),
            voices: Vec::new(),
            quality: 1.0,
            answered: 1_000,
            capacity: 1,
            held: 0,
            number: turns::number(&Hotkey::from(name)),
        })
    }

    #[test]
    fn a_fresh_slot_is_the_miners_whose_turn_it_is_and_then_everybodys() {
        let situation = Situation { waiting: ["a", "b", "c"].map(waiting).to_vec(), backoff_ms: 0 };
        let task = Task::new(NewTask::sample("t", 1_000), 1_000);
        let sees = |name: &str, quality, now_ms| {
            let (miner, coldkey) = (Hotkey::from(name), Coldkey::from(format!("cold {name}")));
            let claimant = Claimant { miner: &miner, quality, ..claimant(&coldkey) };
            let found = super::assign(&claimant, &situation, [&task].into_iter(), now_ms);
            (!found.offers.is_empty(), found.next_at_ms)
        };
        let turns: Vec<&str> = ["a", "b", "c"].into_iter().filter(|name| sees(name, 1.0, 1_000).0).collect();
        let [turn] = turns[..] else { panic!("it is the turn of {turns:?}") };
        let other = ["a", "b", "c"].into_iter().find(|name| *name != turn).unwrap();
        assert_eq!(sees(other, 1.0, 1_000), (false, Some(1_000 + TURN_MS)));
        assert_eq!(sees(other, 0.5, 1_000), (false, Some(1_000 + TURN_MS + 200)), "better miners before others");
        assert!(sees(other, 1.0, 1_000 + TURN_MS).0, "it was not taken");
        assert!(sees(other, 0.0, 1_000 + TURN_MS + 400).0);
        // A miner that does not wait here asks all the same.
        assert_eq!(sees("d", 1.0, 1_000), (false, Some(1_000 + TURN_MS)));
    }

    #[test]
    fn a_slot_rests_longer_after_each_attempt_and_not_all_the_same() {
        let situation = Situation { waiting: Vec::new(), backoff_ms: 1_000 };
        let coldkey = Coldkey::from("c");
        let rests_ms = |id: &str, attempts| {
            let mut task = task(id, 5, 0);
            task.slots.truncate(1);
            (task.slots[0].attempts, task.slots[0].token) = (attempts, u64::from(attempts));
            let found = super::assign(&claimant(&coldkey), &situation, [&task].into_iter(), 0);
            found.next_at_ms.unwrap_or_default()
        };
        assert_eq!(rests_ms("t", 0), 0);
        for (attempts, middle_ms) in [(1, 1_000), (2, 2_000), (3, 4_000), (90, 64_000)] {
            let rested: Vec<i64> = (0..20).map(|n| rests_ms(&format!("t{n}"), attempts)).collect();
            assert!(rested.iter().all(|ms| (middle_ms / 2..middle_ms * 3 / 2).contains(ms)), "{attempts}: {rested:?}");
            assert!(rested.iter().any(|ms| *ms != rested[0]), "{rested:?}");
        }
    }

    #[test]
    fn capacity_grows_with_answers_up_to_what_is_declared() {
        assert_eq!(
            [(1, 0), (16, 0), (16, 4), (16, 20), (16, 1_000), (99, 1_000)].map(|(d, n)| capacity(d, n)),
            [1, NEWCOMER_CAPACITY, NEWCOMER_CAPACITY + 1, 9, 16, MAX_CAPACITY]
        );
    }

    proptest! {
        #[test]
        fn whoever_may_see_a_slot_a_better_one_may_too(a in 0.0..=1.0f64, b in 0.0..=1.0f64, now in 0..600i64) {
            let coldkey = Coldkey::from("c");
            let tasks = [task("t", 5, 0)];
            let sees = |quality| !assign(&Claimant { quality, ..claimant(&coldkey) }, tasks.iter(), now).offers.is_empty();
            if a <= b && sees(a) {
                prop_assert!(sees(b));
            }
        }

        #[test]
        fn offers_fit_the_capacity_and_name_a_task_once(
            priorities in proptest::collection::vec(0u8..10, 0..30), capacity in 0u32..40, held in 0u32..40, now in 400..100_000i64,
        ) {
            let coldkey = Coldkey::from("c");
            let tasks: Vec<Task> = priorities.iter().enumerate().map(|(n, &p)| task(&format!("t{n:02}"), p, 0)).collect();
            let claimant = Claimant { capacity, held, quality: 0.0, ..claimant(&coldkey) };
            let assignment = assign(&claimant, tasks.iter(), now);
            prop_assert_eq!(assignment.offers.len(), claimant.free().min(tasks.len()));
            let mut names = ids(&assignment);
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), assignment.offers.len());
        }

        #[test]
        fn quality_stays_in_range_and_moves_towards_the_score(q in 0.0..=1.0f64, score in 0.0..=1.0f64) {
            let updated = updated_quality(q, score);
            prop_assert!((0.0..=1.0).contains(&updated));
            prop_assert!((updated - score).abs() <= (q - score).abs() + 1e-12);
        }
    }
}
