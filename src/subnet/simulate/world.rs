//! Epochs: validators challenge, users send tasks, everybody is judged, the chain pays.

use super::Settings;
use super::agents::{self, Agent, Conduct, Request};
use super::board::{Board, Proxy, Worked};
use super::outcome::{Collusion, LazyValidator, RuleSetOutcome, shares};
use super::random::Random;
use super::rules::RuleSet;
use super::validators::{Role, Validator, validators};
use crate::Result;
use crate::subnet::audit;
use crate::subnet::consensus::{self, Ballot, Candidate};
use crate::subnet::task::{Hotkey, Member, ResponseId, Score, Scores};
use crate::subnet::yuma::{self, Row, Subnet};

/// An epoch, seconds: 360 blocks of 12 s.
const EPOCH_S: f64 = 4_320.0;

/// Tasks in an epoch.
const TASKS: u32 = 40;

/// Tasks that are challenges.
const CHALLENGES: f64 = 0.18;

/// Rounds of direct challenges in an epoch, of each validator.
const ROUNDS: u32 = 4;

/// Audio that was sent before, among users' tasks.
const REPEATED: f64 = 0.05;

/// Most tasks within which a lying proxy is looked for.
const LOOKED_AT: u32 = 1_000;

struct World {
    rules: RuleSet,
    agents: Vec<Agent>,
    /// How far each miner's model is from its usual self: logarithms.
    drifts: Vec<f64>,
    validators: Vec<Validator>,
    board: Board,
    random: Random,
    n_tasks: u32,
    /// How far colluding validators moved each score of the verdicts.
    moves: Vec<f64>,
}

impl Request {
    pub(super) fn draw(is_direct: bool, random: &mut Random) -> Self {
        Self {
            duration_s: random.between(3.0, 30.0),
            difficulty: random.factor(0.3),
            is_direct,
            is_repeated: !is_direct && random.chance(REPEATED),
        }
    }
}

/// A rule set's outcome over all epochs.
pub(super) fn run(settings: &Settings, rules: RuleSet) -> Result<RuleSetOutcome> {
    let mut world = World::new(settings, rules, Proxy::Honest);
    let (n_miners, n) = (world.agents.len(), world.agents.len() + world.validators.len() + 1);
    let owner = n - 1;
    let mut stake = vec![0.0; n];
    for (at, validator) in world.validators.iter().enumerate() {
        stake[n_miners + at] = validator.stake;
    }
    let permits = yuma::permits(&stake, 64);
    let (mut bonds, mut revealed, mut agreed) = (vec![Row::new(); n], vec![Row::new(); n], Row::new());
    let (mut incentive, mut dividends) = (vec![0.0; n], vec![0.0; n]);
    for epoch in 0..settings.epochs {
        world.epoch(epoch);
        let committed = world.weights(&agreed, owner);
        // What was committed in this epoch is revealed for the next one.
        let weights = std::mem::replace(&mut revealed, committed);
        let subnet = Subnet {
            stake: stake.clone(),
            permits: permits.clone(),
            active: vec![true; n],
            weights,
            bonds,
            owner: Some(owner),
        };
        let found = yuma::epoch(&subnet, 1.0)?;
        bonds = found.bonds;
        agreed = found.consensus.iter().copied().enumerate().filter(|entry| entry.1 > 0.0).collect();
        // The first half is for miners to become known.
        if epoch >= settings.epochs / 2 {
            let n_counted = f64::from(settings.epochs - settings.epochs / 2);
            for uid in 0..n {
                incentive[uid] += found.incentive[uid] / n_counted;
                dividends[uid] += found.dividends[uid] / n_counted;
            }
        }
    }
    Ok(RuleSetOutcome {
        rules,
        miners: shares(&world.agents, &incentive),
        burned: incentive[owner],
        collusion: Collusion::new(&world.moves),
        lazy: LazyValidator {
            honest_dividends: world.dividends_per_stake(Role::Honest, &dividends),
            lazy_dividends: world.dividends_per_stake(Role::Lazy, &dividends),
        },
    })
}

/// After how many tasks the first honest validator flags this proxy; `None` if none does.
pub(super) fn tasks_until_flagged(settings: &Settings, proxy: Proxy) -> Option<u32> {
    let mut world = World::new(settings, RuleSet::Proposed, proxy);
    for epoch in 0..LOOKED_AT / TASKS {
        for task in 0..TASKS {
            world.step(epoch, task);
            let honest = world.validators.iter().filter(|validator| validator.role == Role::Honest);
            if honest.into_iter().any(|validator| audit::is_flagged(&validator.accounts)) {
                return Some(world.n_tasks);
            }
        }
    }
    None
}

impl World {
    fn new(settings: &Settings, rules: RuleSet, proxy: Proxy) -> Self {
        let agents = agents::miners();
        Self {
            rules,
            drifts: vec![0.0; agents.len()],
            validators: validators(settings, agents.len()),
            board: Board::new(&agents, proxy),
            random: Random::new(settings.seed, 1),
            n_tasks: 0,
            moves: Vec::new(),
            agents,
        }
    }

    fn epoch(&mut self, epoch: u32) {
        for task in 0..TASKS {
            self.step(epoch, task);
        }
    }

    /// One task, and before some of them a round of direct challenges.
    fn step(&mut self, epoch: u32, task: u32) {
        if task == 0 {
            // Better and worse days, a week long.
            self.drifts.iter_mut().for_each(|drift| *drift = 0.95 * *drift + 0.06 * self.random.normal());
        }
        let drifts: Vec<f64> = self.drifts.iter().map(|drift| libm::exp(*drift)).collect();
        let now_s = f64::from(epoch) * EPOCH_S + f64::from(task) * EPOCH_S / f64::from(TASKS);
        if task.is_multiple_of(TASKS / ROUNDS) {
            for validator in self.validators.iter_mut().filter(|validator| validator.role != Role::Lazy) {
                validator.challenge(self.rules, (&self.agents[..], &drifts[..]), now_s, &mut self.random);
            }
        }
        self.n_tasks += 1;
        let at_ms = (now_s * 1_000.0) as i64;
        let request = Request::draw(false, &mut self.random);
        let who = self.random.uniform();
        let owner = (who < CHALLENGES).then(|| (who / CHALLENGES * self.validators.len() as f64) as usize);
        let request = Request { is_repeated: request.is_repeated && owner.is_none(), ..request };
        let members: Vec<Member> = self.validators.iter().map(Validator::member).collect();
        let name = format!("task {}", self.n_tasks);
        let miners = (&self.agents[..], &drifts[..]);
        let mut worked = self.board.work(&name, &request, at_ms, &members, miners, &mut self.random);
        for (miner, answered) in &worked.leases {
            for validator in &mut self.validators {
                validator.accounts[*miner].proxy = validator.accounts[*miner].proxy.counting(*answered);
            }
        }
        self.judge(&mut worked, (&request, owner), now_s);
    }

    /// Validators commit and reveal; the verdict counts for miners and validators.
    fn judge(&mut self, worked: &mut Worked, (request, owner): (&Request, Option<usize>), now_s: f64) {
        let Some(evaluation) = &worked.task.evaluation else { return };
        let (at_ms, members) = (evaluation.started_at_ms, evaluation.committee.clone());
        let crony = self.agents.iter().position(|agent| agent.conduct == Conduct::Garbage);
        let (mut honest, mut said) = (Vec::new(), Vec::new());
        for (at, validator) in self.validators.iter_mut().enumerate() {
            let is_member = members.iter().any(|member| member.validator == validator.hotkey);
            if validator.role == Role::Lazy || !is_member {
                continue;
            }
            let truth = validator.judge(self.rules, worked, (request, owner == Some(at)), now_s, &mut self.random);
            let lies = match (validator.role, crony) {
                (Role::Colluding, Some(crony)) => lies(&truth, worked, crony),
                _ => truth.clone(),
            };
            // The proxy compares hashes; any text that only the same scores have will do.
            let commitment = format!("{lies:?}");
            if worked.task.commit(&validator.hotkey, &commitment, at_ms).is_ok() {
                honest.push((validator.hotkey.clone(), truth));
                said.push((at, commitment, lies));
            }
        }
        let reveal_ms = worked.task.evaluation.as_ref().map_or(at_ms, |evaluation| evaluation.commit_by_ms);
        worked.task.tick(reveal_ms, &super::board::TERMS, &[]);
        for (at, commitment, scores) in &said {
            let hotkey = &self.validators[*at].hotkey;
            // Refused only if the reveals are closed; then it counts as not revealed.
            let _ = worked.task.reveal(hotkey, commitment, scores.clone(), reveal_ms);
        }
        let Some(verdict) = worked.task.verdict.clone() else { return };
        for (at, _, scores) in &said {
            self.validators[*at].trust = self.validators[*at].trust.after(scores, &verdict);
        }
        for (id, miner, _) in &worked.answers {
            verdict.scores.get(id).into_iter().for_each(|score| self.board.credit(*miner, *score));
        }
        let without_lies = without_lies(&members, &honest, worked);
        self.moves
            .extend(verdict.scores.iter().filter_map(|(id, score)| Some((score - without_lies.scores.get(id)?).abs())));
    }

    /// What each uid commits.
    fn weights(&self, agreed: &Row, owner: usize) -> Vec<Row> {
        let mut rows = vec![Row::new(); owner + 1];
        let crony = self.agents.iter().position(|agent| agent.conduct == Conduct::Garbage);
        for (at, validator) in self.validators.iter().enumerate() {
            rows[self.agents.len() + at] = match validator.role {
                Role::Honest => validator.weights(self.rules, &self.agents, owner as u16),
                Role::Colluding => crony.map(|crony| (crony, 1.0)).into_iter().collect(),
                Role::Lazy => agreed.clone(),
            };
        }
        rows
    }

    fn dividends_per_stake(&self, role: Role, dividends: &[f64]) -> f64 {
        let of_role = || self.validators.iter().enumerate().filter(move |(_, validator)| validator.role == role);
        let earned: f64 = of_role().map(|(at, _)| dividends[self.agents.len() + at]).sum();
        earned / of_role().map(|(_, validator)| validator.stake).sum::<f64>()
    }
}

impl Validator {
    fn member(&self) -> Member {
        Member { trust: self.trust, ..Member::new(self.hotkey.clone(), self.stake) }
    }
}

/// What a colluding validator reveals instead of the truth.
fn lies(truth: &Scores, worked: &Worked, crony: usize) -> Scores {
    let Some((crony, _, _)) = worked.answers.iter().find(|(_, miner, _)| *miner == crony) else { return truth.clone() };
    let lie = |id: &ResponseId| Score { score: f64::from(u8::from(id == crony)), error_rate: None };
    truth.keys().map(|id| (id.clone(), lie(id))).collect()
}

/// The verdict if nobody had lied.
fn without_lies(members: &[Member], honest: &[(Hotkey, Scores)], worked: &Worked) -> consensus::Verdict {
    let ballot = |member: &'_ Member| {
        let said = honest.iter().find(|(hotkey, _)| *hotkey == member.validator).map(|(_, scores)| scores);
        (member.validator.clone(), member.stake, member.trust.value(), said)
    };
    let all: Vec<_> = members.iter().map(ballot).collect();
    let ballots: Vec<Ballot<'_>> = all
        .iter()
        .map(|(validator, stake, trust, scores)| Ballot { validator, stake: *stake, trust: *trust, scores: *scores })
        .collect();
    let candidates: Vec<Candidate<'_>> =
        worked.answers.iter().map(|(response_id, _, _)| Candidate { response_id, submitted_at_ms: 0 }).collect();
    consensus::verdict(&ballots, &candidates)
}
