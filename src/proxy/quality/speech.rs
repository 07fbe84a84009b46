//! Whether a result can be the input's text spoken: decoded, as long as the text takes, audible, and nobody else's.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use serde::Deserialize;

use super::Usable;
use crate::analysis::{Analyzer, Field, Options};
use crate::audio::{self, Blocks, Limits};
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::inputs::{self, MAX_TEXT_BYTES};
use crate::score::reward::{Delivery, Synthesis, synthesis_refusal};
use crate::score::signal::likeness;
use crate::subnet::task::{Output, Task};

/// How much of two recordings is compared, seconds, and at which rate, Hz.
const COMPARED_S: f64 = 4.0;
const COMPARED_HZ: u32 = 4_000;

/// Likeness from which two recordings are one: two renderings of one text by one voice have less than 0.5.
const SAME_FROM: f64 = 0.9;

/// What a miner says about the speech that it made; what else there is (words, voice) is for the user.
#[derive(Deserialize)]
struct Speech {
    audio: Audio,
}

#[derive(Deserialize)]
struct Audio {
    sha256: String,
    bytes: u64,
}

pub(super) async fn check(app: &App, task: Arc<Task>, slot: u8, result: &str) -> ApiResult<Result<Usable, String>> {
    let audio = match serde_json::from_str::<Speech>(result) {
        Ok(speech) => speech.audio,
        Err(error) => return Ok(Err(format!("the result is no synthesis: {error}"))),
    };
    if app.blobs.store().meta(&audio.sha256).await?.map(|meta| meta.bytes) != Some(audio.bytes) {
        return Ok(Err("the audio was not stored: put it under the URL of /v1/miner/output first".to_owned()));
    }
    let Some(file) = app.blobs.open_file(&audio.sha256).await? else {
        return Ok(Err("the audio was not stored".to_owned()));
    };
    let mut others = Vec::new();
    for other in task.slots.iter().filter(|other| other.index != slot).filter_map(|slot| slot.submission.as_ref()) {
        let Some(output) = &other.output else { continue };
        others.extend(app.blobs.open_file(&output.sha256).await?);
    }
    let text = text(app, &task).await?;
    let limits = inputs::limits(app);
    app.on_cpu(move || {
        let output = measure(&task, &text, audio, file, others, &limits)?;
        Ok(Usable { text: String::new(), output: Some(output) })
    })
    .await
}

/// What was to be said.
async fn text(app: &App, task: &Task) -> ApiResult<String> {
    let missing = || ApiError::internal(format!("the text of {} is missing", task.id));
    let bytes = app.blobs.bytes(&task.input.sha256, MAX_TEXT_BYTES as u64).await?.ok_or_else(missing)?;
    String::from_utf8(bytes).map_err(ApiError::internal)
}

fn measure(
    task: &Task,
    text: &str,
    audio: Audio,
    file: File,
    others: Vec<File>,
    limits: &Limits,
) -> Result<Output, String> {
    let undecodable = |error: crate::Error| format!("the audio does not decode: {error}");
    let again = file.try_clone().map_err(|error| error.to_string())?;
    let mut blocks =
        Blocks::from_reader(file, "the audio", &audio::Options::mono(None, limits)).map_err(undecodable)?;
    let sample_rate = blocks.sample_rate();
    let wanted = Options { fields: BTreeSet::from([Field::Level]), ..Options::default() };
    let mut analyzer = Analyzer::new(sample_rate, 1, wanted).map_err(undecodable)?;
    for block in blocks.by_ref() {
        analyzer.push(&block.map_err(undecodable)?);
    }
    let (found, _) = analyzer.finish().map_err(undecodable)?;
    let level = found.level.ok_or("the audio has no level")?;
    let start = beginning(again, limits).map_err(undecodable)?;
    let mut is_duplicate = false;
    for other in others {
        // A file that was accepted decodes; one that does not any more is the proxy's loss, not this miner's.
        is_duplicate |= beginning(other, limits).is_ok_and(|other| likeness(&start, &other) >= SAME_FROM);
    }
    #[allow(clippy::cast_precision_loss, reason = "counts of samples are far below 2^52")]
    let clipped_share = level.clipped_samples as f64 / (found.duration_s * f64::from(sample_rate)).max(1.0);
    let refusal = synthesis_refusal(&Synthesis {
        text,
        language: task.options.language.as_deref().unwrap_or("en"),
        decodes: blocks.skipped_packets() == 0,
        sample_rate,
        clipped_share,
        level_dbfs: level.rms_dbfs.unwrap_or(f64::NEG_INFINITY),
        is_duplicate,
        // As long as it would be at the voice's own speed.
        delivery: Delivery { duration_s: found.duration_s * task.options.speed.unwrap_or(1.0), ..Delivery::default() },
        ..Synthesis::default()
    });
    match refusal {
        Some(reason) => Err(reason),
        None => Ok(Output { sha256: audio.sha256, bytes: audio.bytes, duration_s: found.duration_s, sample_rate }),
    }
}

/// The first seconds, at a low rate.
fn beginning(mut file: File, limits: &Limits) -> crate::Result<Vec<f32>> {
    std::io::Seek::rewind(&mut file).map_err(|source| crate::Error::Io { path: "the audio".into(), source })?;
    let options = audio::Options { duration_s: Some(COMPARED_S), ..audio::Options::mono(Some(COMPARED_HZ), limits) };
    Ok(audio::read_from(file, "the audio", &options)?.samples)
}
