//! Validators: what each knows, says and sets.

use super::Settings;
use super::agents::Conduct;
use super::agents::{Agent, Answer, Moment, Request};
use super::board::{Worked, relayed};
use super::random::Random;
use super::rules::{Knowledge, Route, RuleSet, Truth};
use crate::score::reward::Kind;
use crate::subnet::audit::Account;
use crate::subnet::consensus::Trust;
use crate::subnet::fingerprint;
use crate::subnet::task::{Hotkey, ResponseId, Score, Scores};
use crate::subnet::weights::Miner;
use crate::subnet::yuma::Row;

/// Most colluding hotkeys: with the honest and the lazy one, they fit the chain's 64 permits.
pub(super) const MAX_COLLUDERS: u16 = 40;

/// Stake of the honest validators, as shares of what the others leave.
const HONEST: [f64; 8] = [0.25, 0.17, 0.17, 0.12, 0.09, 0.08, 0.08, 0.04];

/// Stake of the lazy validator.
const LAZY_STAKE: f64 = 0.005;

/// How often a validator asks whether a miner is there, for each direct challenge.
const PROBES: u32 = 3;

/// Errors per word of a validator's own model.
const OWN_ERROR_RATE: f64 = 0.03;

/// How far validators' models are apart in that. Where two run the same model there is no difference at all.
const OWN_SPREAD: f64 = 0.1;

/// Share of one model's errors that another one does not make, on the same audio.
const OWN_ERRORS: f64 = 0.7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Honest,
    /// It gives all to one bad miner of its own: all its weight, and in tasks that this one answered the full score, and
    /// the others none. In other tasks it tells the truth, to be trusted.
    Colluding,
    /// It judges nothing, and sets the weights that the chain agreed on last.
    Lazy,
}

pub(super) struct Validator {
    pub hotkey: Hotkey,
    pub role: Role,
    pub stake: f64,
    pub trust: Trust,
    pub accounts: Vec<Account>,
    known: Vec<Knowledge>,
    /// By miner and round of direct challenges, seconds.
    latencies: Vec<Vec<Option<f64>>>,
}

/// Every validator; their stakes sum to 1.
pub(super) fn validators(settings: &Settings, n_miners: usize) -> Vec<Validator> {
    let Settings { colluding_stake, colluders, .. } = *settings;
    let new = |(at, (role, stake)): (usize, (Role, f64))| Validator {
        hotkey: Hotkey::from(format!("validator {at}")),
        role,
        stake,
        trust: Trust::default(),
        accounts: vec![Account::default(); n_miners],
        known: vec![Knowledge::default(); n_miners],
        latencies: vec![Vec::new(); n_miners],
    };
    let rest = 1.0 - LAZY_STAKE - colluding_stake;
    let honest = HONEST.iter().map(|share| (Role::Honest, rest * share));
    let each = colluding_stake / f64::from(colluders);
    let colluding = (0..colluders).filter(|_| each > 0.0).map(|_| (Role::Colluding, each));
    honest.chain([(Role::Lazy, LAZY_STAKE)]).chain(colluding).enumerate().map(new).collect()
}

impl Validator {
    /// Asks every miner directly, each something that only this validator knows.
    pub(super) fn challenge(
        &mut self,
        rules: RuleSet,
        (agents, drifts): (&[Agent], &[f64]),
        now_s: f64,
        random: &mut Random,
    ) {
        let moment = Moment::draw(agents, random);
        for (miner, agent) in agents.iter().enumerate() {
            let request = Request::draw(true, random);
            let others = match agent.conduct {
                Conduct::Relays(n) => relayed(n, &request, (agents, drifts), &moment, random),
                _ => Vec::new(),
            };
            let answer = agent.answer(&request, moment.loads[miner], drifts[miner], &others, random);
            let answer = answer.filter(|_| agent.is_there(random));
            let (known, account) = (&mut self.known[miner], &mut self.accounts[miner]);
            // Between two challenges it only asks whether the miner is there.
            let probes = (1..PROBES).map(|_| agent.is_there(random));
            for is_there in probes.chain([answer.is_some()]).collect::<Vec<_>>() {
                known.probes = known.probes.counting(is_there);
                account.direct = account.direct.counting(is_there);
            }
            self.latencies[miner]
                .push(answer.map(|answer| answer.elapsed_s / Kind::Transcription.target_s(request.duration_s)));
            if let Some(answer) = answer {
                known.add(&answer, rules.response(&answer, request.duration_s, Truth::Known), Route::Direct, now_s);
            }
        }
    }

    /// What it honestly thinks of a task's answers; `knows` whether it was its own challenge.
    pub(super) fn judge(
        &mut self,
        rules: RuleSet,
        worked: &Worked,
        (request, knows): (&Request, bool),
        now_s: f64,
        random: &mut Random,
    ) -> Scores {
        let between = |a: f64, b: f64| (a.max(b) + OWN_ERRORS * a.min(b)).min(1.0);
        let own = OWN_ERROR_RATE * request.difficulty * random.factor(OWN_SPREAD);
        let mut scores = Scores::new();
        for (id, miner, answer) in &worked.answers {
            let record = &mut self.known[*miner];
            let truth = if knows {
                Truth::Known
            } else {
                let peer = lower_median(peers(id, &worked.answers).map(|peer| between(answer.error_rate, peer)));
                Truth::Heard { own: between(answer.error_rate, own), peer }
            };
            let reward = rules.response(answer, request.duration_s, truth);
            record.add(answer, reward, if knows { Route::Challenge } else { Route::Work }, now_s);
            scores.insert(id.clone(), Score { score: reward, error_rate: None });
        }
        scores
    }

    /// The weights that it sets by what it knows.
    pub(super) fn weights(&self, rules: RuleSet, agents: &[Agent], burn_uid: u16) -> Row {
        let clusters = fingerprint::clusters(&self.latencies);
        let miner = |(at, agent): (usize, &Agent)| Miner {
            uid: at as u16,
            score: rules.score(&self.known[at]),
            coldkey: agent.coldkey.clone(),
            ip: Some(agent.ip.clone()),
            fingerprint: clusters[at],
        };
        let miners: Vec<Miner> = agents.iter().enumerate().map(miner).collect();
        rules.weights(&miners, burn_uid).into_iter().map(|(uid, weight)| (usize::from(uid), weight)).collect()
    }
}

fn peers<'a>(id: &'a ResponseId, answers: &'a [(ResponseId, usize, Answer)]) -> impl Iterator<Item = f64> + 'a {
    answers.iter().filter(move |(other, _, _)| other != id).map(|(_, _, answer)| answer.error_rate)
}

fn lower_median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}
