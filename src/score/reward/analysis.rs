//! The reward of measurements of audio.

use std::collections::BTreeMap;

use super::breakdown::Reward;
use super::clip;
use super::delivery::{Delivery, Kind};

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// None, such as the pitch of silence. What is not a number is none.
    None,
    /// Whether something holds.
    Flag(bool),
    /// In the field's unit.
    Number(f64),
    /// A name, such as a key or a language.
    Text(String),
    /// Several, such as a curve.
    List(Vec<Measure>),
    /// Several by name.
    Record(BTreeMap<String, Measure>),
}

/// How far a number may be from the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Tolerance {
    /// Not at all.
    #[default]
    Exact,
    /// So much in the field's unit.
    Absolute(f64),
    /// So large a share of the truth.
    Relative(f64),
    /// So much in the field's unit, and so large a share of the truth besides.
    Within {
        /// In the field's unit.
        absolute: f64,
        /// As a share of the truth.
        relative: f64,
    },
}

/// One field that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The truth, as far as the validator knows it.
    pub expected: Measure,
    /// The answer; `None` if it has no such field.
    pub got: Option<Measure>,
    /// How far numbers may be apart.
    pub tolerance: Tolerance,
    /// Whether the validator computed the truth itself, from the same audio and by the same formula: a value that is
    /// not right was then made up, and nothing beside it can be trusted.
    pub is_recomputed: bool,
}

/// Measurements, their truth, and how they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Every field that was asked for; their order does not matter.
    pub fields: Vec<Field>,
    /// How the response came.
    pub delivery: Delivery,
}

/// The reward of measurements: Q is the share of the fields that are right, 0 if a recomputed one is not.
///
/// A list is right if it is as long as the truth and every value is right, a record if it has the same names. An answer to nothing is worth nothing.
#[must_use]
pub fn analysis(response: &Analysis) -> Reward {
    let mut reward = Reward::new(Kind::Analysis.name());
    let mut made_up = Vec::new();
    let mut n_right = 0_usize;
    for Field { name, expected, got, tolerance, is_recomputed } in &response.fields {
        let is_right = got.as_ref().is_some_and(|got| agree(expected, got, *tolerance));
        n_right += usize::from(is_right);
        reward.part(format!("field:{name}"), f64::from(u8::from(is_right)), || match got {
            None => format!("{name} is missing"),
            Some(_) => format!("{name} is not within its tolerance"),
        });
        if *is_recomputed && !is_right {
            made_up.push(name.as_str());
        }
    }
    made_up.sort_unstable();
    reward.reasons.sort();
    reward.gate("recomputed", made_up.is_empty(), || {
        format!("{}: not what the validator computes from the same audio", made_up.join(", "))
    });
    reward.gate("asked", !response.fields.is_empty(), || "no field was asked for".to_owned());
    let quality = clip(n_right as f64 / response.fields.len().max(1) as f64);
    reward.delivered(Kind::Analysis, quality, &response.delivery)
}

/// Whether a value is right.
fn agree(expected: &Measure, got: &Measure, tolerance: Tolerance) -> bool {
    match (expected, got) {
        (Measure::Number(expected), Measure::Number(got)) => {
            let allowed = match tolerance {
                Tolerance::Exact => 0.0,
                Tolerance::Absolute(allowed) => allowed,
                Tolerance::Relative(share) => share * expected.abs(),
                Tolerance::Within { absolute, relative } => absolute + relative * expected.abs(),
            };
            // The first case is also that of infinities: silence is minus infinity decibels loud.
            #[allow(clippy::float_cmp, reason = "exact means exact")]
            let is_equal = expected == got || (expected.is_nan() && got.is_nan());
            is_equal || (expected.is_finite() && got.is_finite() && (expected - got).abs() <= allowed)
        }
        (Measure::Number(x), Measure::None) | (Measure::None, Measure::Number(x)) => x.is_nan(),
        (Measure::List(expected), Measure::List(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| agree(e, g, tolerance))
        }
        (Measure::Record(expected), Measure::Record(got)) => {
            let pairs = || expected.iter().zip(got);
            expected.len() == got.len() && pairs().all(|(e, g)| e.0 == g.0 && agree(e.1, g.1, tolerance))
        }
        _ => expected == got,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, expected: f64, got: Option<f64>, tolerance: Tolerance, is_recomputed: bool) -> Field {
        let (expected, got) = (Measure::Number(expected), got.map(Measure::Number));
        Field { name: name.to_owned(), expected, got, tolerance, is_recomputed }
    }

    fn value(fields: Vec<Field>) -> f64 {
        analysis(&Analysis { fields, ..Analysis::default() }).value
    }

    #[test]
    fn the_share_of_right_fields_is_squared() {
        let loudness = |got| field("loudness_lufs", -23.0, got, Tolerance::Absolute(0.1), false);
        let pitch = |got| field("pitch_hz", 200.0, got, Tolerance::Relative(0.01), false);
        assert!((value(vec![loudness(Some(-23.05)), pitch(Some(198.5))]) - 1.0).abs() < 1e-12);
        assert!((value(vec![loudness(Some(-22.5)), pitch(Some(198.5))]) - 0.25).abs() < 1e-12);
        assert!((value(vec![loudness(None), pitch(Some(200.0))]) - 0.25).abs() < 1e-12);
        assert_eq!(value(vec![]).to_bits(), 0);
    }

    #[test]
    fn a_recomputed_field_that_is_wrong_or_missing_takes_all() {
        let right = field("rms_dbfs", -20.0, Some(-20.0), Tolerance::Exact, false);
        for got in [Some(-20.1), None, Some(f64::NAN)] {
            let made_up = field("peak_dbfs", -3.0, got, Tolerance::Exact, true);
            let reward = analysis(&Analysis { fields: vec![right.clone(), made_up], ..Analysis::default() });
            assert_eq!((reward.value.to_bits(), reward.gates["recomputed"]), (0, false), "{reward:?}");
        }
    }

    #[test]
    fn values_agree_by_kind() {
        let list = |values: &[f64]| Measure::List(values.iter().copied().map(Measure::Number).collect());
        let near = Tolerance::Absolute(0.5);
        assert!(agree(&list(&[1.0, 2.0]), &list(&[1.4, 1.6]), near));
        assert!(!agree(&list(&[1.0, 2.0]), &list(&[1.0]), near));
        assert!(agree(&Measure::None, &Measure::Number(f64::NAN), near));
        assert!(agree(&Measure::Number(f64::NEG_INFINITY), &Measure::Number(f64::NEG_INFINITY), near));
        assert!(!agree(&Measure::Number(1.0), &Measure::Number(f64::INFINITY), Tolerance::Absolute(f64::INFINITY)));
        assert!(!agree(&Measure::Flag(true), &Measure::Number(1.0), near));
        assert!(agree(&Measure::Text("C".to_owned()), &Measure::Text("C".to_owned()), Tolerance::Exact));
    }
}
