//! Whether a result can be an analysis of the input: every field that was asked for, in the form that it has.

use serde_json::Value;

use super::{Usable, check_duration};
use crate::analysis::{Analysis, VERSION};
use crate::subnet::task::Task;

pub(super) fn check(task: &Task, result: &str) -> Result<Usable, String> {
    let value: Value = serde_json::from_str(result).map_err(|error| format!("the result is not JSON: {error}"))?;
    for field in &task.options.fields {
        if value.get(field).is_none_or(Value::is_null) {
            return Err(format!("the analysis lacks the field {field}"));
        }
    }
    // Fields that models hear are not of this type: it takes the others, in their form.
    let analysis: Analysis =
        serde_json::from_value(value).map_err(|error| format!("the result is not an analysis: {error}"))?;
    if analysis.version != VERSION {
        return Err(format!("the analysis has version {}; expected {VERSION}", analysis.version));
    }
    check_duration(task, analysis.duration_s)?;
    Ok(Usable::default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::analysis::{Analyzer, Field, Options};
    use crate::subnet::task::{self, Kind, NewTask};

    fn task(fields: &[&str]) -> Task {
        let fields = fields.iter().map(|&field| field.to_owned()).collect();
        let options = task::Options { fields, ..task::Options::default() };
        let mut new = NewTask { kind: Kind::Analysis, options, ..NewTask::sample("t", 0) };
        new.input.duration_s = Some(1.0);
        Task::new(new, 0)
    }

    fn analysis(seconds: usize) -> Value {
        let options = Options { fields: BTreeSet::from([Field::Level, Field::Loudness]), ..Options::default() };
        let mut analyzer = Analyzer::new(8_000, 1, options).unwrap();
        analyzer.push(&vec![0.25; 8_000 * seconds]);
        serde_json::to_value(analyzer.finish().unwrap().0).unwrap()
    }

    fn error(fields: &[&str], result: &Value) -> String {
        check(&task(fields), &result.to_string()).unwrap_err()
    }

    #[test]
    fn an_analysis_has_the_fields_that_were_asked_for() {
        assert!(check(&task(&["level", "loudness"]), &analysis(1).to_string()).is_ok());
        assert_eq!(error(&["level", "pitch"], &analysis(1)), "the analysis lacks the field pitch");
        let mut heard = analysis(1);
        heard["language"] = serde_json::json!({"code": "en"});
        assert!(check(&task(&["language"]), &heard.to_string()).is_ok(), "fields of models are taken as they are");
    }

    #[test]
    fn made_up_forms_versions_and_lengths_are_refused() {
        let mut wrong = analysis(1);
        wrong["level"]["peak_dbfs"] = "loud".into();
        assert!(error(&["level"], &wrong).contains("not an analysis"));
        let mut other = analysis(1);
        other["version"] = 99.into();
        assert!(error(&["level"], &other).contains("version 99"));
        assert!(error(&["level"], &analysis(9)).contains("9.0 s of audio; the input has 1.0 s"));
        assert!(check(&task(&[]), "[]").is_err());
        assert!(check(&task(&[]), "{").is_err());
    }
}
