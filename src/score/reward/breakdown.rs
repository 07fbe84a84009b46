//! A reward and how it came about.

use std::collections::BTreeMap;

use serde::Serialize;

use super::delivery::{Delivery, Kind};
use super::{VERSION, clip};

/// A reward in [0, 1], with all that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reward {
    /// The version of the rules, [`VERSION`].
    pub version: &'static str,
    /// What was rewarded: `transcription`, `synthesis`, `analysis` or `miner`.
    pub kind: &'static str,
    /// The reward, 0 to 1.
    pub value: f64,
    /// What multiplies or adds up to the value, each 0 to 1; parts that were not asked for are absent.
    pub parts: BTreeMap<String, f64>,
    /// What must hold for there to be a reward at all.
    pub gates: BTreeMap<&'static str, bool>,
    /// What the parts were made of, in its own units, such as `error_rate`; never not-a-number.
    pub measures: BTreeMap<&'static str, f64>,
    /// Why the value is below 1: one sentence for every gate that failed and every part below 1.
    pub reasons: Vec<String>,
}

impl Reward {
    /// A reward without parts, worth nothing.
    pub(crate) fn new(kind: &'static str) -> Self {
        Self {
            version: VERSION,
            kind,
            value: 0.0,
            parts: BTreeMap::new(),
            gates: BTreeMap::new(),
            measures: BTreeMap::new(),
            reasons: Vec::new(),
        }
    }

    /// Whether every gate is passed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.gates.values().all(|&passed| passed)
    }

    /// Notes a gate, and why it failed.
    pub(crate) fn gate(&mut self, name: &'static str, passed: bool, reason: impl FnOnce() -> String) {
        if !passed {
            self.reasons.push(reason());
        }
        self.gates.insert(name, passed);
    }

    /// Notes a part, clipped to [0, 1], and why it is below 1; returns it.
    pub(crate) fn part(&mut self, name: impl Into<String>, value: f64, reason: impl FnOnce() -> String) -> f64 {
        let value = clip(value);
        if value < 1.0 {
            self.reasons.push(reason());
        }
        self.parts.insert(name.into(), value);
        value
    }

    /// Notes a measurement, if it is a number.
    pub(crate) fn measure(&mut self, name: &'static str, value: f64) {
        if !value.is_nan() {
            self.measures.insert(name, value);
        }
    }

    /// The value of a response of this quality, which came as `delivery` says.
    pub(crate) fn delivered(mut self, kind: Kind, quality: f64, delivery: &Delivery) -> Self {
        let quality = clip(quality);
        self.parts.insert("quality".to_owned(), quality);
        let latency = delivery.judge(kind, &mut self);
        self.value = super::response_reward(self.is_valid(), quality, latency);
        self
    }
}
