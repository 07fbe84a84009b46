//! `/v1/audio/speech`: text to audio.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{event_stream, first_answer, missing, models};
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::options::TaskOptions;
use crate::proxy::request::SMALL_BODY_BYTES;
use crate::proxy::routes::results::{converted, media_type, output};
use crate::proxy::{clock, inputs, request, tasks as work};

/// OpenAI's names of voices; each stands for one of the voices here.
const OPENAI_VOICES: [&str; 13] =
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"];

/// Audio in one event of a stream, bytes.
const EVENT_BYTES: usize = 24 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeechBody {
    model: Option<String>,
    input: Option<String>,
    voice: Option<VoiceName>,
    /// How to say it: accepted as OpenAI's `tts-1` does, without effect.
    #[allow(dead_code, reason = "the voices here have one way of speaking")]
    instructions: Option<String>,
    response_format: Option<String>,
    speed: Option<f64>,
    stream_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum VoiceName {
    Name(String),
    Custom { id: String },
}

/// Speaks a text and waits for the first accepted answer.
pub(in crate::proxy::routes) async fn speak(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    work::refuse_if_full(&app, &owner)?;
    if request::media_type(request.headers()) != "application/json" {
        let message = "this route takes application/json with model, input and voice";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let (parts, body) = request.into_parts();
    let body: SpeechBody = request::json(&request::read_body(&parts.headers, body, SMALL_BODY_BYTES).await?)?;
    let model = body.model.ok_or_else(|| missing("model", "the body has no model; send tts-1"))?;
    if model != models::SPEAKING_MODEL {
        return Err(models::not_found(&model, models::SPEAKING_MODEL));
    }
    let text = body.input.ok_or_else(|| missing("input", "the body has no input; send the text to speak"))?;
    let voice = match body.voice.ok_or_else(|| missing("voice", "the body has no voice; see GET /v1/audio/voices"))? {
        VoiceName::Name(name) | VoiceName::Custom { id: name } => here(&app, name),
    };
    let format = body.response_format.unwrap_or_else(|| "mp3".to_owned());
    check_format(&format)?;
    let is_event_stream = match body.stream_format.as_deref() {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(other) => {
            let message = format!("stream_format is {other:.40}; expected audio or sse");
            return Err(ApiError::invalid("invalid_value", message).at("stream_format"));
        }
    };
    let probed = inputs::text(&app, &owner, &text).await.map_err(|error| error.at("input"))?;
    let options = TaskOptions {
        kind: Some("synthesis".to_owned()),
        voice,
        speed: body.speed,
        format: Some(format.clone()),
        ..TaskOptions::default()
    };
    let (task, _) = work::create(&app, owner, options, probed, None).await?;
    let task = first_answer(&app, &task.id, task.deadline_ms).await?;
    let audio = converted(&app, output(&task)?, &format).await?;
    if is_event_stream {
        return Ok(events(&app, audio, text.chars().count()));
    }
    Ok(([(header::CONTENT_TYPE, media_type(&format))], audio).into_response())
}

/// Refuses before the work what could not be delivered after it.
fn check_format(format: &str) -> ApiResult<()> {
    let known = ["wav", "flac", "opus", "pcm", "mp3", "aac"];
    if known.contains(&format) {
        return Ok(());
    }
    let message = format!("response_format is {format:.40}; expected {}", known.join(", "));
    Err(ApiError::invalid("invalid_value", message).at("response_format"))
}

/// The voice here that a name means: itself, or for one of OpenAI's names one of those here, always the same.
fn here(app: &App, name: String) -> Option<String> {
    let Some(at) = OPENAI_VOICES.iter().position(|known| *known == name) else { return Some(name) };
    let voices = app.presence.voices(clock::now_ms()).unwrap_or_default();
    if voices.contains(&name) {
        return Some(name);
    }
    // While nobody here speaks, the miner that comes chooses.
    let n_voices = voices.len().max(1);
    voices.into_iter().nth(at % n_voices)
}

/// The audio as OpenAI's events.
fn events(app: &App, audio: Vec<u8>, n_characters: usize) -> Response {
    let (events, response) = event_stream(app);
    tokio::spawn(async move {
        for chunk in audio.chunks(EVENT_BYTES) {
            let audio = BASE64_STANDARD.encode(chunk);
            if events.send(&json!({"type": "speech.audio.delta", "audio": audio})).await.is_err() {
                return;
            }
        }
        // OpenAI's tokens have no counterpart here: characters in, bytes out.
        let (input_tokens, output_tokens) = (n_characters, audio.len());
        let usage = json!({"input_tokens": input_tokens, "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens});
        let _ = events.send(&json!({"type": "speech.audio.done", "usage": usage})).await;
    });
    response
}
