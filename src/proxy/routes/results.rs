//! `/v1/tasks/{id}/result` and `audio`: what became of a task, in the form that its user wants.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::ranges::{self, Source};
use super::tasks::owned;
use crate::audio::{self, Blocks, EncodeOptions};
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::options::audio_format;
use crate::proxy::request::{Name, Params};
use crate::proxy::{inputs, store, variants};
use crate::subnet::task::{Kind, Output, Task};
use crate::text::transcript::{SubtitleOptions, Transcript};

/// Format in which a synthesis is delivered unless its user says otherwise; the one that miners hand in.
const STORED_FORMAT: &str = "flac";

/// Sample rate of audio without a header, Hz; OpenAI's.
const PCM_HZ: u32 = 24_000;

/// Which form of the result.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Format {
    format: Option<String>,
}

/// The result.
pub(super) async fn result(
    State(app): State<Arc<App>>,
    Name(id): Name,
    Params(format): Params<Format>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let task = owned(&app, &headers, id).await?;
    let row = answer(&app, &task).await?;
    let media = |kind| [(header::CONTENT_TYPE, kind)];
    match (format.format.as_deref().unwrap_or("json"), task.kind) {
        ("json", _) => Ok((media("application/json"), row.result).into_response()),
        ("audio", Kind::Synthesis) => speech(&app, &task, None, &headers).await,
        (other, Kind::Transcription) => {
            let transcript = Transcript::from_json(&row.result)?;
            transcript_as(&transcript, other)
        }
        (other, Kind::Synthesis) => Err(wrong_format(other, "json or audio")),
        (other, Kind::Analysis) => Err(wrong_format(other, "json")),
    }
}

fn transcript_as(transcript: &Transcript, format: &str) -> ApiResult<Response> {
    let options = SubtitleOptions::default();
    let (kind, body) = match format {
        "verbose_json" => ("application/json", transcript.to_verbose_json()?),
        "text" => ("text/plain; charset=utf-8", format!("{}\n", transcript.text.trim())),
        "srt" => ("application/x-subrip; charset=utf-8", transcript.to_srt(&options)),
        "vtt" => ("text/vtt; charset=utf-8", transcript.to_vtt(&options)),
        other => return Err(wrong_format(other, "json, verbose_json, text, srt or vtt")),
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

fn wrong_format(got: &str, expected: &str) -> ApiError {
    ApiError::invalid("invalid_value", format!("format is {got:.40}; expected {expected} for this kind of task"))
        .at("format")
}

/// The audio of a task: of a synthesis the answer's, of the others the input's.
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    Name(id): Name,
    Params(format): Params<Format>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let task = owned(&app, &headers, id).await?;
    if task.kind == Kind::Synthesis {
        return speech(&app, &task, format.format.as_deref(), &headers).await;
    }
    if let Some(other) = &format.format {
        let message = format!("format is {other:.40}; the audio of this task is its input, which is sent as it came");
        return Err(ApiError::invalid("invalid_value", message).at("format"));
    }
    let source = Source::Blob { sha256: task.input.sha256.clone(), media_type: None };
    ranges::serve(&app, source, &headers).await
}

/// The audio of a synthesis in a format: the one that is asked for here, else the task's.
async fn speech(app: &App, task: &Task, format: Option<&str>, headers: &HeaderMap) -> ApiResult<Response> {
    let output = output(task)?;
    let format = format.or(task.options.format.as_deref()).unwrap_or(STORED_FORMAT);
    if format == STORED_FORMAT {
        let source = Source::Blob { sha256: output.sha256.clone(), media_type: Some(media_type(format)) };
        return ranges::serve(app, source, headers).await;
    }
    let bytes = converted(app, output, format).await?;
    ranges::serve(app, Source::Bytes { bytes, media_type: media_type(format) }, headers).await
}

/// The audio of a synthesis's answer.
pub(super) fn output(task: &Task) -> ApiResult<&Output> {
    let Some(id) = &task.answer else { return Err(not_answered(task)) };
    let submission = task.submissions().find(|submission| &submission.response_id == id);
    let output = submission.and_then(|submission| submission.output.as_ref());
    output.ok_or_else(|| ApiError::internal(format!("the audio of {} is missing", task.id)))
}

/// The media type of a format that [`audio_format`] knows.
pub(super) fn media_type(format: &str) -> &'static str {
    match format {
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "mp3" => "audio/mpeg",
        "aac" => "audio/aac",
        "opus" => "audio/ogg",
        _ => "audio/pcm",
    }
}

/// A miner's audio as a file of another format.
pub(super) async fn converted(app: &App, output: &Output, format: &str) -> ApiResult<Vec<u8>> {
    let options = EncodeOptions { format: audio_format("format", format)?, ..EncodeOptions::default() };
    let missing = || ApiError::internal(format!("the blob {} is missing", output.sha256));
    let file = app.blobs.open_file(&output.sha256).await?.ok_or_else(missing)?;
    let limits = inputs::limits(app);
    // Bare samples have no header: whoever asks for them, as OpenAI's clients do, expects their rate.
    let sample_rate = (options.format == audio::Format::Pcm).then_some(PCM_HZ);
    let encoded = app.on_cpu(move || {
        let mut blocks = Blocks::from_reader(file, "the answer", &audio::Options::mono(sample_rate, &limits))?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut encoder = audio::encoder(&mut bytes, "audio", blocks.sample_rate(), 1, &options)?;
        for block in blocks.by_ref() {
            encoder.write(&block?)?;
        }
        encoder.finish()?;
        Ok::<_, crate::Error>(bytes.into_inner())
    });
    encoded.await?.map_err(|error| match error {
        crate::Error::Unsupported(reason) => {
            let message = format!("{format} cannot be written here ({reason}); ask for wav, flac, opus or pcm");
            ApiError::invalid("unsupported_format", message).at("format")
        }
        other => other.into(),
    })
}

/// The response that the user gets, in the times of the recording.
pub(super) async fn answer(app: &App, task: &Task) -> ApiResult<store::ResponseRow> {
    let Some(id) = &task.answer else { return Err(not_answered(task)) };
    let row = app.store.records().response(id).await?;
    let row = row.ok_or_else(|| ApiError::internal(format!("the response of {} is missing", task.id)))?;
    let result = variants::in_original_times(task, &row)?;
    Ok(store::ResponseRow { result, ..row })
}

fn not_answered(task: &Task) -> ApiError {
    let reason = task.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let message = format!("the task has no answer; it is {}{reason}", task.state.as_str());
    ApiError::conflict("not_answered", message)
}
