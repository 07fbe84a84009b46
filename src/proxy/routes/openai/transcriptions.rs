//! `/v1/audio/transcriptions` and `/v1/audio/translations`.

use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{first_answer, missing, models, transcript_stream};
use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::options::TaskOptions;
use crate::proxy::routes::results::answer;
use crate::proxy::{form, inputs, languages, request, tasks as work};
use crate::subnet::task::Target;
use crate::text::transcript::{Segment, SubtitleOptions, Transcript};

/// What the form asks for.
#[derive(Default)]
struct Wish {
    model: Option<String>,
    format: Option<String>,
    granularities: Vec<String>,
    is_streamed: bool,
    options: TaskOptions,
}

impl Wish {
    fn set(&mut self, name: &str, text: &str, target: Target) -> ApiResult<()> {
        let is_heard = target == Target::Transcribe;
        match name {
            "model" => self.model = Some(text.to_owned()),
            "response_format" => self.format = Some(text.to_owned()),
            "prompt" | "temperature" => self.options.set(name, text)?,
            "language" if is_heard => self.options.set(name, text)?,
            "timestamp_granularities[]" | "timestamp_granularities" if is_heard => {
                if !["word", "segment"].contains(&text) {
                    let message = format!("timestamp_granularities is {text:.40}; expected word or segment");
                    return Err(ApiError::invalid("invalid_value", message).at("timestamp_granularities"));
                }
                self.granularities.push(text.to_owned());
            }
            "stream" if is_heard => {
                self.is_streamed = match text {
                    "true" | "True" => true,
                    "false" | "False" | "" => false,
                    other => {
                        let message = format!("stream is {other:.40}; expected true or false");
                        return Err(ApiError::invalid("invalid_value", message).at("stream"));
                    }
                }
            }
            // Hints to later models of OpenAI's: they change nothing here, nor with whisper-1.
            "include[]" | "chunking_strategy" if is_heard => {}
            _ => return Err(ApiError::invalid("unknown_field", format!("field {name:.40} is not known here"))),
        }
        Ok(())
    }

    /// The format of the answer, once everything is said.
    fn format(&self) -> ApiResult<&str> {
        let format = self.format.as_deref().unwrap_or("json");
        if !["json", "text", "srt", "verbose_json", "vtt"].contains(&format) {
            let message = format!("response_format is {format:.40}; expected json, text, srt, verbose_json or vtt");
            return Err(ApiError::invalid("invalid_value", message).at("response_format"));
        }
        if self.is_streamed && !["json", "text"].contains(&format) {
            let message = format!("response_format is {format}; a stream is json or text");
            return Err(ApiError::invalid("invalid_value", message).at("response_format"));
        }
        if self.wants_words() && format != "verbose_json" {
            let message = format!("times of words come with response_format verbose_json, not with {format}");
            return Err(ApiError::invalid("invalid_value", message).at("timestamp_granularities"));
        }
        Ok(format)
    }

    fn wants_words(&self) -> bool {
        self.granularities.iter().any(|granularity| granularity == "word")
    }

    fn wants_segments(&self) -> bool {
        self.granularities.is_empty() || self.granularities.iter().any(|granularity| granularity == "segment")
    }
}

/// Transcribes a file and waits for the first accepted answer.
pub(in crate::proxy::routes) async fn transcribe(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    hear(app, request, Target::Transcribe).await
}

/// The same in English, whatever is spoken.
pub(in crate::proxy::routes) async fn translate(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    hear(app, request, Target::Translate).await
}

async fn hear(app: Arc<App>, request: Request, target: Target) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    work::refuse_if_full(&app, &owner)?;
    if request::media_type(request.headers()) != "multipart/form-data" {
        let message = "this route takes multipart/form-data with the parts file and model";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let body = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::malformed("malformed_multipart", error.body_text()))?;
    let form = form::read(&app, body).await?;
    let mut wish = Wish::default();
    for (name, text) in &form.fields {
        wish.set(name, text, target)?;
    }
    let model = wish.model.as_deref().ok_or_else(|| missing("model", "the body has no field model; send whisper-1"))?;
    models::check_hearing(&app, model)?;
    let format = wish.format()?;
    let file = form.file.ok_or_else(|| missing("file", "the body has no part named file; send the audio in it"))?;
    let probed = inputs::audio(&app, &owner, file.incoming, file.name).await?;
    let mut options = wish.options.clone();
    options.word_timestamps = wish.wants_words().then_some(true);
    options.task = (target == Target::Translate).then(|| "translate".to_owned());
    let (task, _) = work::create(&app, owner, options, probed, None).await?;
    if wish.is_streamed {
        return Ok(transcript_stream::stream(app, &task));
    }
    let task = first_answer(&app, &task.id, task.deadline_ms).await?;
    let transcript = Transcript::from_json(&answer(&app, &task).await?.result)?;
    Ok(render(&transcript, format, &wish, target))
}

/// The answer in `json` and, with the members that are not always there, `verbose_json`.
#[derive(Serialize)]
struct Transcription<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<Segment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<TimedWord>>,
    usage: Usage,
}

/// A word as OpenAI writes it: without the space before it.
#[derive(Serialize)]
struct TimedWord {
    word: String,
    start: f64,
    end: f64,
}

/// What is paid for at OpenAI.
#[derive(Serialize)]
pub(super) struct Usage {
    r#type: &'static str,
    seconds: f64,
}

impl Usage {
    pub(super) fn of(transcript: &Transcript) -> Self {
        Self { r#type: "duration", seconds: transcript.duration_s.ceil() }
    }
}

fn render(transcript: &Transcript, format: &str, wish: &Wish, target: Target) -> Response {
    let text = transcript.text.trim();
    // OpenAI's clients expect plain text for everything that is not JSON.
    let plain = |body: String| ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response();
    let is_verbose = format == "verbose_json";
    // A translation is in English, whatever was spoken; OpenAI says so too.
    let language = if target == Target::Translate { "en" } else { &transcript.language };
    match format {
        "text" => plain(format!("{text}\n")),
        "srt" => plain(transcript.to_srt(&SubtitleOptions::default())),
        "vtt" => plain(transcript.to_vtt(&SubtitleOptions::default())),
        _ => Json(Transcription {
            task: is_verbose.then_some(target),
            language: is_verbose.then(|| languages::name(language)),
            duration: is_verbose.then_some(transcript.duration_s),
            text,
            segments: (is_verbose && wish.wants_segments()).then(|| segments(transcript)),
            words: (is_verbose && wish.wants_words()).then(|| words(transcript)),
            usage: Usage::of(transcript),
        })
        .into_response(),
    }
}

/// The segments without their words, which OpenAI lists apart.
fn segments(transcript: &Transcript) -> Vec<Segment> {
    transcript.segments.iter().cloned().map(|segment| Segment { words: Vec::new(), ..segment }).collect()
}

fn words(transcript: &Transcript) -> Vec<TimedWord> {
    let words = transcript.segments.iter().flat_map(|segment| &segment.words);
    words.map(|word| TimedWord { word: word.word.trim().to_owned(), start: word.start, end: word.end }).collect()
}
