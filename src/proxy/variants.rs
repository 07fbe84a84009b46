//! What a miner hears: a rendering of the recording for it alone, so that an answer copied from another miner does not fit.
//!
//! Transcriptions only. An analysis is of the very samples: its values would be those of other audio.

use std::io::BufWriter;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::app::App;
use super::blobs::{About, CONDEMNED_MS};
use super::error::{ApiError, ApiResult};
use super::store::ResponseRow;
use super::{clock, fault, inputs};
use crate::audio;
use crate::subnet::task::{Holding, Hotkey, Kind, Task, Variant};
use crate::text::transcript::Transcript;

/// Seconds of audio that are rendered in a second at the least, by which a lease is longer until that is done.
const RENDERED_A_SECOND: f64 = 20.0;

/// A slot as lent.
pub(crate) type Lent = (Arc<Task>, u8);

/// Whether miners hear variants of this task's input.
pub(crate) fn has_variants(app: &App, task: &Task) -> bool {
    app.config.variants.is_on() && task.kind == Kind::Transcription
}

/// How much longer a lease is, until its variant is there, ms.
#[allow(clippy::cast_possible_truncation, reason = "a part of the longest audio's length")]
pub(crate) fn rendering_ms(app: &App, task: &Task) -> i64 {
    let longest_s = task.input.duration_s.unwrap_or(app.config.max_duration_s);
    if has_variants(app, task) { (longest_s / RENDERED_A_SECOND * 1_000.0) as i64 } else { 0 }
}

/// Makes the variants of slots that were lent, where they are not there yet. Those of which none can be made, or that
/// were taken back meanwhile, are left out.
pub(crate) async fn give(app: &App, lent: Vec<Lent>) -> ApiResult<Vec<Lent>> {
    let given = lent.into_iter().map(|(task, slot)| give_one(app, task, slot));
    Ok(futures::future::try_join_all(given).await?.into_iter().flatten().collect())
}

async fn give_one(app: &App, task: Arc<Task>, index: u8) -> ApiResult<Option<Lent>> {
    let slot = task.slots.get(usize::from(index));
    let Some((slot, lease)) = slot.and_then(|slot| Some((slot, slot.lease.as_ref()?))) else { return Ok(None) };
    if lease.variant.is_some() || !has_variants(app, &task) {
        return Ok(Some((task, index)));
    }
    let holding = Holding { slot: index, token: slot.token, miner: &lease.miner };
    let rendered = render(app, &task, &lease.miner).await?;
    fault::point("variant_rendered");
    let told = app.store.change(&task.id, |task, _| match &rendered {
        Ok(variant) => Ok(task.hand_over(&holding, variant, clock::now_ms(), &app.terms).is_ok()),
        Err(reason) => {
            // Who has lost the slot meanwhile has nothing to give back.
            let _ = task.fail(&holding, reason, clock::now_ms());
            Ok::<_, ApiError>(false)
        }
    });
    // None where the task was erased meanwhile.
    let told = told.await?;
    if let Ok(variant) = &rendered
        && told.as_ref().is_none_or(|(task, _)| !task.variants.contains(&variant.sha256))
    {
        app.blobs.condemn(&variant.sha256, clock::now_ms()).await?;
    }
    Ok(told.filter(|(_, is_given)| *is_given).map(|(task, _)| (task, index)))
}

/// The miner's variant of a task's input, stored; the inner `Err` says why there can be none.
async fn render(app: &App, task: &Task, miner: &Hotkey) -> ApiResult<Result<Variant, String>> {
    let drawn = audio::Variant::of(&seed(&app.identity.url_secret, task, miner));
    let (lead_s, speed) = (drawn.lead_s(), drawn.speed());
    let missing = || ApiError::internal(format!("the input of {} is missing", task.id));
    let input = app.blobs.open_file(&task.input.sha256).await?.ok_or_else(missing)?;
    let (mut incoming, limits) = (app.blobs.begin().await?, inputs::limits(app));
    let path = incoming.path().to_owned();
    let rendered = app.on_cpu(move || {
        let file = std::fs::OpenOptions::new().write(true).open(&path);
        let file = file.map_err(|source| crate::Error::Io { path, source })?;
        drawn.render(input, "the input", BufWriter::new(file), &limits)
    });
    let duration_s = match rendered.await? {
        Ok(duration_s) => duration_s,
        // The proxy's fault, not the recording's.
        Err(error @ crate::Error::Io { .. }) => return Err(error.into()),
        Err(error) => return Ok(Err(format!("the input cannot be decoded: {error}"))),
    };
    incoming.read_again().await?;
    let about = About {
        owner: miner.as_str().to_owned(),
        name: None,
        media_type: "audio/flac".to_owned(),
        // Nothing refers to it but the lease.
        keep_ms: Some((task.deadline_ms - clock::now_ms()).max(0) + CONDEMNED_MS),
    };
    let stored = app.blobs.keep(incoming, about).await?;
    Ok(Ok(Variant { sha256: stored.sha256, bytes: stored.bytes, duration_s, lead_s, speed }))
}

/// What a miner's variant of a task is drawn by: the same at every proxy of a store, and known to nobody else.
#[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn seed(secret: &[u8; 32], task: &Task, miner: &Hotkey) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("violet/variant/1\n{}\n{miner}", task.id).as_bytes());
    mac.finalize().into_bytes().into()
}

/// A response's result in the times of the recording: what everybody but the miner sees.
pub(crate) fn in_original_times(task: &Task, row: &ResponseRow) -> ApiResult<String> {
    let submission = task.submissions().find(|submission| submission.response_id == row.id);
    match submission.and_then(|submission| submission.variant.as_ref()) {
        Some(variant) => Ok(original(task, variant, Transcript::from_json(&row.result)?).to_json()?),
        None => Ok(row.result.clone()),
    }
}

/// A transcript of a variant in the times of the recording.
pub(crate) fn original(task: &Task, variant: &Variant, heard: Transcript) -> Transcript {
    let duration_s = match task.input.duration_s {
        // Who heard all of it heard all of the input; a length that is wrong stays as wrong, for the checks to see.
        Some(input_s) => (input_s + (heard.duration_s - variant.duration_s) * variant.speed).max(0.0),
        None => variant.original_s(heard.duration_s),
    };
    heard.in_times(duration_s, |at_s| variant.original_s(at_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subnet::task::NewTask;

    fn task(id: &str) -> Task {
        let mut new = NewTask::sample(id, 0);
        new.input.duration_s = Some(10.0);
        Task::new(new, 0)
    }

    #[test]
    fn a_variant_is_of_one_task_one_miner_and_one_secret() {
        let [a, b] = ["a", "b"].map(Hotkey::from);
        let seeds = [
            seed(&[1; 32], &task("t"), &a),
            seed(&[1; 32], &task("t"), &b),
            seed(&[1; 32], &task("u"), &a),
            seed(&[2; 32], &task("t"), &a),
        ];
        assert_eq!(seeds[0], seed(&[1; 32], &task("t"), &a));
        assert!((0..4).all(|i| (i + 1..4).all(|j| seeds[i] != seeds[j])));
    }

    #[test]
    fn times_go_back_and_a_wrong_length_stays_wrong() {
        let variant = Variant { sha256: String::new(), bytes: 1, duration_s: 10.1, lead_s: 0.1, speed: 1.0 };
        let heard = |duration_s| Transcript { duration_s, ..Transcript::default() };
        assert!((original(&task("t"), &variant, heard(10.1)).duration_s - 10.0).abs() < 1e-9);
        assert!((original(&task("t"), &variant, heard(5.1)).duration_s - 5.0).abs() < 1e-9);
        assert!(original(&task("t"), &variant, heard(0.0)).duration_s.abs() < 1e-9);
    }
}
