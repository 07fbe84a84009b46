//! The proxy: tasks from their creation to the beginning of their judgement, by the rules that it runs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::agents::{Agent, Answer, Conduct, Moment, Request};
use super::random::Random;
use crate::subnet::assign::{self, Claimant, NEWCOMER_QUALITY, Situation};
use crate::subnet::task::{
    Claim, Coldkey, Holding, Hotkey, Input, Kind, Member, NewTask, Options, ResponseId, Submit, Task, TaskId, Terms, ms,
};

/// Whether the proxy tells the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    Honest,
    /// It denies half of the answers of the best miner.
    DeniesOne,
    /// It denies a fifth of everybody's answers.
    DeniesAll,
}

/// The times that rule a task; the grace is enough for the slowest miner.
pub(super) const TERMS: Terms = Terms { lease_ms: 60_000, grace_ms: 20_000, commit_ms: 60_000, reveal_ms: 30_000 };

/// Miners that work on one task.
const REDUNDANCY: u8 = 3;

/// How often a miner is gone before it answers.
const LOST: f64 = 0.005;

/// Time within which miners ask, ms: they are busy with other work before.
const POLL_MS: f64 = 2_000.0;

/// Time after which a task without an answer fails, ms.
const DEADLINE_MS: i64 = 600_000;

/// A task that miners have worked on.
pub(super) struct Worked {
    pub task: Task,
    /// The answers that passed, with their miners.
    pub answers: Vec<(ResponseId, usize, Answer)>,
    /// Every lease's miner, and whether it answered by the proxy's account.
    pub leases: Vec<(usize, bool)>,
}

pub(super) struct Board {
    proxy: Proxy,
    hotkeys: Vec<Hotkey>,
    coldkeys: Vec<Coldkey>,
    /// What the proxy thinks of each miner.
    qualities: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A miner asks for work.
    Ask(usize),
    /// A miner answers: slot, token, index into the answers drawn.
    Answer(usize, u8, u64, usize),
}

impl Board {
    pub(super) fn new(agents: &[Agent], proxy: Proxy) -> Self {
        Self {
            proxy,
            hotkeys: (0..agents.len()).map(|at| Hotkey::from(format!("miner {at}"))).collect(),
            coldkeys: agents.iter().map(|agent| Coldkey::from(agent.coldkey.as_str())).collect(),
            qualities: vec![NEWCOMER_QUALITY; agents.len()],
        }
    }

    /// Lets a verdict's score count for a miner.
    pub(super) fn credit(&mut self, miner: usize, score: f64) {
        self.qualities[miner] = assign::updated_quality(self.qualities[miner], score);
    }

    /// One task, until validators judge it or it failed.
    pub(super) fn work(
        &mut self,
        name: &str,
        request: &Request,
        now_ms: i64,
        members: &[Member],
        (agents, drifts): (&[Agent], &[f64]),
        random: &mut Random,
    ) -> Worked {
        let mut worked = Worked { task: new_task(name, request, now_ms), answers: Vec::new(), leases: Vec::new() };
        let moment = Moment::draw(agents, random);
        let mut events = BinaryHeap::new();
        let mut drawn: Vec<Answer> = Vec::new();
        let ask_all = |events: &mut BinaryHeap<_>, at_ms: i64, random: &mut Random| {
            for (miner, agent) in agents.iter().enumerate() {
                if agent.is_there(random) {
                    events.push(Reverse((at_ms + random.between(0.0, POLL_MS) as i64, Event::Ask(miner))));
                }
            }
        };
        ask_all(&mut events, now_ms, random);
        let mut now_ms = now_ms;
        while worked.task.evaluation.is_none() && !worked.task.state.is_final() {
            let next = next_deadline(&worked.task);
            let is_before = events.peek().is_some_and(|Reverse((at_ms, _))| *at_ms <= next);
            let event = if is_before { events.pop() } else { None };
            now_ms = event.map_or(next, |Reverse((at_ms, _))| at_ms).max(now_ms);
            for miner in worked.task.tick(now_ms, &TERMS, members).unwrap_or_default() {
                let silent = self.hotkeys.iter().position(|hotkey| *hotkey == miner);
                if let Some(miner) = silent {
                    worked.leases.push((miner, false));
                    self.credit(miner, 0.0);
                }
                ask_all(&mut events, now_ms, random);
            }
            match event {
                Some(Reverse((_, Event::Ask(miner)))) => {
                    let Some((slot, token)) = self.claim(miner, &mut worked.task, now_ms, &mut events) else {
                        continue;
                    };
                    let own = Self::draw(miner, request, (agents, drifts), (&moment, &drawn), random);
                    let is_silent = random.chance(LOST) || self.denies(miner, random);
                    if let Some(answer) = own.filter(|_| !is_silent) {
                        events.push(Reverse((
                            now_ms + ms(answer.elapsed_s),
                            Event::Answer(miner, slot, token, drawn.len()),
                        )));
                        drawn.push(answer);
                    }
                }
                Some(Reverse((_, Event::Answer(miner, slot, token, at)))) => {
                    worked.leases.push((miner, true));
                    if !self.submit((miner, slot, token), drawn[at], now_ms, &mut worked) {
                        ask_all(&mut events, now_ms, random);
                    }
                }
                None => {}
            }
        }
        // Cut short by the first answer and the grace after it.
        let silent = worked.task.slots.iter().filter(|slot| slot.submission.is_none());
        let silent = silent.filter_map(|slot| slot.lease.as_ref());
        let silent = silent.filter_map(|lease| self.hotkeys.iter().position(|hotkey| *hotkey == lease.miner));
        worked.leases.extend(silent.map(|miner| (miner, false)));
        worked
    }

    /// A slot for a miner that asks, with its token; else it asks again when the rules say that it may.
    fn claim(
        &self,
        miner: usize,
        task: &mut Task,
        now_ms: i64,
        events: &mut BinaryHeap<Reverse<(i64, Event)>>,
    ) -> Option<(u8, u64)> {
        let coldkey = &self.coldkeys[miner];
        let quality = self.qualities[miner];
        let (hotkey, kinds) = (&self.hotkeys[miner], &[Kind::Transcription]);
        let claimant = Claimant { miner: hotkey, coldkey, kinds, voices: &[], capacity: 1, held: 0, quality };
        // Each asks when it is free; nobody waits at the proxy.
        let found = assign::assign(&claimant, &Situation::default(), [&*task].into_iter(), now_ms);
        let Some(offer) = found.offers.first() else {
            events.extend(found.next_at_ms.map(|at_ms| Reverse((at_ms, Event::Ask(miner)))));
            return None;
        };
        let (slot, claim_id) = (offer.slot, "claim".to_owned());
        let claim = Claim { slot, miner: self.hotkeys[miner].clone(), coldkey: coldkey.clone(), claim_id };
        task.claim(claim, now_ms, &TERMS).ok().map(|token| (slot, token))
    }

    fn draw(
        miner: usize,
        request: &Request,
        (agents, drifts): (&[Agent], &[f64]),
        (moment, drawn): (&Moment, &[Answer]),
        random: &mut Random,
    ) -> Option<Answer> {
        let agent = &agents[miner];
        let others: Vec<Answer> = match agent.conduct {
            // It waits until another one has answered.
            Conduct::Copies => drawn.to_vec(),
            Conduct::Relays(n) => relayed(n, request, (agents, drifts), moment, random),
            _ => Vec::new(),
        };
        agent.answer(request, moment.loads[miner], drifts[miner], &others, random)
    }

    fn denies(&self, miner: usize, random: &mut Random) -> bool {
        match self.proxy {
            Proxy::Honest => false,
            Proxy::DeniesOne => miner == 0 && random.chance(0.5),
            Proxy::DeniesAll => random.chance(0.2),
        }
    }

    /// Whether the answer passed the proxy's own check.
    fn submit(&self, (miner, slot, token): (usize, u8, u64), answer: Answer, now_ms: i64, worked: &mut Worked) -> bool {
        let response_id = ResponseId::from(format!("{slot}-{token}"));
        let checked = if answer.is_empty { Err("no words".to_owned()) } else { Ok(None) };
        let submit = Submit { response_id: response_id.clone(), digest: String::new(), checked };
        let holding = Holding { slot, token, miner: &self.hotkeys[miner] };
        let receipt = worked.task.submit(&holding, submit, now_ms);
        if receipt.as_ref().is_ok_and(|receipt| receipt.rejected.is_none()) {
            worked.answers.push((response_id, miner, answer));
        }
        // Late answers change nothing: the slot was lent to somebody else, or the task went on.
        !receipt.is_ok_and(|receipt| receipt.rejected.is_some())
    }
}

/// The answers that a relay can pass on: those of the first `n` good miners, asked by itself.
pub(super) fn relayed(
    n: usize,
    request: &Request,
    (agents, drifts): (&[Agent], &[f64]),
    moment: &Moment,
    random: &mut Random,
) -> Vec<Answer> {
    // To whom it relays, it is a user like others: a validator's key does not show.
    let request = Request { is_direct: false, ..*request };
    let one = |miner: usize| agents[miner].answer(&request, moment.loads[miner], drifts[miner], &[], random);
    (1..=n).filter_map(one).collect()
}

/// The next time at which time alone changes the task.
fn next_deadline(task: &Task) -> i64 {
    let leases = task.leases().map(|(_, lease)| lease.expires_at_ms).min();
    [leases, task.closes_at_ms(&TERMS)].into_iter().flatten().min().unwrap_or(task.deadline_ms).min(task.deadline_ms)
}

fn new_task(name: &str, request: &Request, now_ms: i64) -> Task {
    let duration_s = Some(request.duration_s);
    let new = NewTask {
        id: TaskId::from(name),
        owner: String::new(),
        kind: Kind::Transcription,
        options: Options::default(),
        input: Input { sha256: String::new(), bytes: 0, duration_s, name: None, characters: None },
        metadata: BTreeMap::default(),
        priority: 5,
        redundancy: REDUNDANCY,
        deadline_ms: now_ms + DEADLINE_MS,
    };
    Task::new(new, now_ms)
}
