//! Whether a result can be a transcript of the input.

use super::{Usable, check_duration};
use crate::proxy::variants;
use crate::subnet::task::Task;
use crate::text::transcript::Transcript;
use crate::{Error, score};

pub(super) fn check(task: &Task, slot: u8, result: &str) -> Result<Usable, String> {
    let mut transcript = Transcript::from_json(result).map_err(|error: Error| error.to_string())?;
    let lease = task.slots.get(usize::from(slot)).and_then(|slot| slot.lease.as_ref());
    if let Some(variant) = lease.and_then(|lease| lease.variant.as_ref()) {
        transcript = variants::original(task, variant, transcript);
    }
    check_duration(task, transcript.duration_s)?;
    let spoken_s = task.input.duration_s.unwrap_or(transcript.duration_s);
    if let Some(reason) = score::degenerate(&transcript.text, spoken_s) {
        return Err(format!("the text is degenerate: {reason}"));
    }
    Ok(Usable { text: transcript.text, output: None })
}
