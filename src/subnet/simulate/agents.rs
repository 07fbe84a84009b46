//! Miners: what each is like, and the answers that it draws.

use super::random::Random;
use crate::score::reward::Kind;

/// What is asked of a miner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// The audio's length, seconds.
    pub duration_s: f64,
    /// How hard the audio is: a factor of every model's error rate.
    pub difficulty: f64,
    /// Whether a validator asks by itself: its keys show that this is a challenge.
    pub is_direct: bool,
    /// Whether the same audio was sent before.
    pub is_repeated: bool,
}

/// What a miner answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    /// Errors per word against the truth.
    pub error_rate: f64,
    /// Time from the request to the answer, seconds.
    pub elapsed_s: f64,
    /// Whether there is no word in it.
    pub is_empty: bool,
}

/// How a miner comes by its answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Conduct {
    /// By its own model on its own machine.
    Honest,
    /// By its own model on the machine of this number, which others use too.
    Shares(usize),
    /// Makes words up.
    Garbage,
    /// Sends no words.
    Empty,
    /// Sends what it has stored, which is right only if the same audio came before.
    Cached,
    /// Sends another miner's answer to the same task; asked directly there is none to copy.
    Copies,
    /// Lets another miner do the work: one of the first `n` good ones.
    Relays(usize),
    /// Works well when it sees that it is challenged, else with a model this many times worse and faster.
    Detects(f64),
}

/// A miner.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    /// What it is called in the table; miners of one operator have the same name.
    pub name: &'static str,
    pub coldkey: String,
    pub ip: String,
    pub conduct: Conduct,
    /// Errors per word on audio of middling difficulty.
    pub error_rate: f64,
    /// Answering time as a share of the time that counts in full.
    pub pace: f64,
    /// How often it is there.
    pub availability: f64,
}

/// Errors per word of the good miners.
const GOOD_ERROR_RATE: f64 = 0.05;

/// What a made-up, or another audio's, text has of errors.
const WRONG: f64 = 0.95;

/// Number of good miners.
pub(super) const GOOD: usize = 6;

/// Number of hotkeys of the sybil operator that show its address, and of the one that hides it.
pub(super) const SYBILS: usize = 8;

/// Every miner. The good ones come second to `GOOD + 1`th.
pub(super) fn miners() -> Vec<Agent> {
    let own = |name: &'static str, conduct, error_rate, pace, availability| Agent {
        name,
        coldkey: String::new(),
        ip: String::new(),
        conduct,
        error_rate,
        pace,
        availability,
    };
    let good = |name, conduct| own(name, conduct, GOOD_ERROR_RATE, 0.5, 0.99);
    let mut all = vec![own("best", Conduct::Honest, 0.025, 0.4, 0.995)];
    all.extend((0..GOOD).map(|_| good("good", Conduct::Honest)));
    all.extend([
        own("slow", Conduct::Honest, GOOD_ERROR_RATE, 2.2, 0.99),
        own("70 % available", Conduct::Honest, GOOD_ERROR_RATE, 0.5, 0.70),
        own("fast garbage", Conduct::Garbage, WRONG, 0.05, 0.995),
        own("empty", Conduct::Empty, 1.0, 0.02, 0.995),
        own("cached answers", Conduct::Cached, WRONG, 0.02, 0.995),
        own("copier", Conduct::Copies, WRONG, 0.1, 0.99),
        own("relay", Conduct::Relays(GOOD), GOOD_ERROR_RATE, 0.6, 0.99),
        own("challenge detector", Conduct::Detects(6.0), GOOD_ERROR_RATE, 0.5, 0.99),
    ]);
    for (at, agent) in all.iter_mut().enumerate() {
        (agent.coldkey, agent.ip) = (format!("coldkey {at}"), format!("address {at}"));
    }
    // One operator that hides nothing but its coldkeys, and one that hides its address too.
    all.extend((0..SYBILS).map(|n| Agent {
        coldkey: format!("sybil {n}"),
        ip: "address of the sybils".to_owned(),
        ..good("8 sybils, one address", Conduct::Shares(0))
    }));
    all.extend((0..SYBILS).map(|n| Agent {
        coldkey: format!("hidden sybil {n}"),
        ip: format!("hidden address {n}"),
        ..good("8 sybils, hidden", Conduct::Shares(1))
    }));
    all
}

/// What all miners of one moment have in common.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Load of each miner's machine: a factor of its answering times.
    pub loads: Vec<f64>,
}

impl Moment {
    /// Draws how busy every machine is; that of several sybils is busy for all of them.
    pub(super) fn draw(agents: &[Agent], random: &mut Random) -> Self {
        let shared = [random.factor(0.25), random.factor(0.25)];
        let load = |agent: &Agent| {
            let own = random.factor(0.25);
            match agent.conduct {
                Conduct::Shares(machine) => shared[machine.min(1)] * random.factor(0.05),
                _ => own,
            }
        };
        Self { loads: agents.iter().map(load).collect() }
    }
}

impl Agent {
    pub(super) fn is_there(&self, random: &mut Random) -> bool {
        random.chance(self.availability)
    }

    /// Its answer, given those that others already gave; `None` if it has none to pass on. `drift` is how far its model is
    /// from its usual self today.
    pub(super) fn answer(
        &self,
        request: &Request,
        load: f64,
        drift: f64,
        others: &[Answer],
        random: &mut Random,
    ) -> Option<Answer> {
        let target_s = Kind::Transcription.target_s(request.duration_s);
        let noise = random.factor(0.3);
        let own = |error_rate: f64, pace: f64| Answer {
            error_rate: (error_rate * request.difficulty * drift * noise).min(1.0),
            elapsed_s: target_s * pace * load,
            is_empty: false,
        };
        let usual = own(self.error_rate, self.pace);
        Some(match self.conduct {
            Conduct::Honest | Conduct::Shares(_) => usual,
            Conduct::Empty => Answer { error_rate: 1.0, is_empty: true, ..usual },
            Conduct::Cached if request.is_repeated => Answer { error_rate: GOOD_ERROR_RATE, ..usual },
            Conduct::Cached | Conduct::Garbage => Answer { error_rate: WRONG, ..usual },
            Conduct::Copies | Conduct::Relays(_) => match random.pick(others) {
                Some(other) => Answer { elapsed_s: other.elapsed_s + usual.elapsed_s, ..*other },
                None if self.conduct == Conduct::Copies => Answer { error_rate: WRONG, ..usual },
                None => return None,
            },
            Conduct::Detects(_) if request.is_direct => usual,
            Conduct::Detects(times) => own(self.error_rate * times, self.pace / times),
        })
    }
}
