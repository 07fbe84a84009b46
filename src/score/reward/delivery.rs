//! How a response came: valid or not, soon or late.

use super::breakdown::Reward;
use super::clip;

/// Part of the reward that speed cannot take.
const LATENCY_FLOOR: f64 = 0.8;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Speech to text.
    Transcription,
    /// Text to speech.
    Synthesis,
    /// Measurements of audio.
    Analysis,
}

impl Kind {
    /// The stable name: `transcription`, `synthesis`, `analysis`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcription => "transcription",
            Self::Synthesis => "synthesis",
            Self::Analysis => "analysis",
        }
    }

    /// Time within which an answer has its full latency factor, seconds, for `duration_s` seconds of audio.
    #[must_use]
    pub fn target_s(self, duration_s: f64) -> f64 {
        let per_second = match self {
            Self::Transcription => 0.15,
            Self::Synthesis => 0.5,
            Self::Analysis => 0.10,
        };
        1.0 + per_second * duration_s
    }
}

/// How a response came. The default is valid and in no time, for audio of no length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery {
    /// Whether it is well-formed and signed by the miner that it is from.
    pub is_valid: bool,
    /// Whether the miner passed what was hidden in the request to catch copies and fabrications.
    pub passed_canary: bool,
    /// The audio's length, seconds.
    pub duration_s: f64,
    /// Time from the request to the whole answer, seconds.
    pub elapsed_s: f64,
    /// Time from which on an answer is worth nothing, seconds; `None` if there is no such time.
    pub deadline_s: Option<f64>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { is_valid: true, passed_canary: true, duration_s: 0.0, elapsed_s: 0.0, deadline_s: None }
    }
}

impl Delivery {
    /// Notes the gates and the latency factor; returns the latter.
    pub(super) fn judge(&self, kind: Kind, reward: &mut Reward) -> f64 {
        let Self { is_valid, passed_canary, duration_s, elapsed_s, deadline_s } = *self;
        reward.gate("valid", is_valid, || "the response is not valid, or not the miner's own".to_owned());
        reward.gate("canary", passed_canary, || "the miner failed a canary".to_owned());
        let is_in_time = deadline_s.is_none_or(|deadline_s| elapsed_s <= deadline_s);
        reward.gate("in_time", is_in_time, || {
            format!("answered after {elapsed_s:.2} s, past the deadline of {:.2} s", deadline_s.unwrap_or_default())
        });
        let target_s = kind.target_s(duration_s);
        reward.measure("elapsed_s", elapsed_s);
        reward.measure("target_s", target_s);
        reward.part("latency", latency_factor(kind, duration_s, elapsed_s), || {
            format!("answered after {elapsed_s:.2} s; up to {target_s:.2} s would have cost nothing")
        })
    }
}

/// The latency factor L, 0 to 1: 1 up to the target time T, falling to 0 at 3 T. Faster than T earns nothing more.
#[must_use]
pub fn latency_factor(kind: Kind, duration_s: f64, elapsed_s: f64) -> f64 {
    let target_s = kind.target_s(duration_s);
    if !(duration_s >= 0.0 && target_s.is_finite()) {
        return 0.0;
    }
    clip((3.0 * target_s - elapsed_s) / (2.0 * target_s))
}

/// The reward r of a response, 0 to 1: `V * Q^2 * (0.8 + 0.2 L)`.
#[must_use]
pub fn response_reward(is_valid: bool, quality: f64, latency: f64) -> f64 {
    if !is_valid {
        return 0.0;
    }
    let quality = clip(quality);
    quality * quality * (LATENCY_FLOOR + (1.0 - LATENCY_FLOOR) * clip(latency))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }

    #[test]
    fn latency_worked_by_hand() {
        // 10 s of speech: T = 1 + 0.15 * 10 = 2.5 s.
        near(latency_factor(Kind::Transcription, 10.0, 2.5), 1.0);
        near(latency_factor(Kind::Transcription, 10.0, 0.1), 1.0);
        near(latency_factor(Kind::Transcription, 10.0, 5.0), 0.5);
        near(latency_factor(Kind::Transcription, 10.0, 7.5), 0.0);
        near(latency_factor(Kind::Synthesis, 10.0, 12.0), 0.5);
        near(latency_factor(Kind::Analysis, 10.0, 4.0), 0.5);
    }

    #[test]
    fn reward_worked_by_hand() {
        near(response_reward(true, 1.0, 1.0), 1.0);
        near(response_reward(true, 0.5, 0.0), 0.2);
        near(response_reward(false, 1.0, 1.0), 0.0);
    }

    #[test]
    fn what_is_not_a_number_earns_nothing() {
        near(response_reward(true, f64::NAN, 1.0), 0.0);
        near(response_reward(true, 1.0, f64::NAN), 0.8);
        near(latency_factor(Kind::Transcription, f64::NAN, 1.0), 0.0);
        near(latency_factor(Kind::Transcription, f64::INFINITY, 1.0), 0.0);
        near(latency_factor(Kind::Transcription, -1.0, 0.0), 0.0);
        near(latency_factor(Kind::Transcription, 1.0, f64::NAN), 0.0);
    }

    #[test]
    fn gates_close_one_by_one() {
        let table = [
            (Delivery::default(), 1.0),
            (Delivery { is_valid: false, ..Delivery::default() }, 0.0),
            (Delivery { passed_canary: false, ..Delivery::default() }, 0.0),
            (Delivery { elapsed_s: 1.0, deadline_s: Some(1.0), ..Delivery::default() }, 1.0),
            (Delivery { elapsed_s: 1.1, deadline_s: Some(1.0), ..Delivery::default() }, 0.0),
            (Delivery { elapsed_s: f64::NAN, deadline_s: Some(1.0), ..Delivery::default() }, 0.0),
        ];
        for (delivery, want) in table {
            let reward = Reward::new("transcription").delivered(Kind::Transcription, 1.0, &delivery);
            near(reward.value, want);
            assert_eq!(reward.reasons.is_empty(), want > 0.5, "{delivery:?}");
        }
    }
}
