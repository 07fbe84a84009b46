//! What tasks are about: audio whose header was looked at, or text to speak.

use super::app::App;
use super::blobs::{self, About, Incoming, Stored};
use super::error::{ApiError, ApiResult};
use crate::audio;
use crate::subnet::task::{Input, Kind};

/// Longest text, bytes: half an hour of speech.
pub(crate) const MAX_TEXT_BYTES: usize = 32 << 10;

/// An input that was looked at and kept.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub(crate) stored: Stored,
    pub(crate) name: Option<String>,
    pub(crate) content: Content,
}

/// What the bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Audio(audio::Info),
    Text { n_characters: u64 },
}

impl Probed {
    /// The input as the task's record has it; refuses audio where text is wanted, and the other way round.
    pub(crate) fn into_input(self, kind: Kind) -> ApiResult<Input> {
        let (duration_s, characters) = match (self.content, kind) {
            (Content::Audio(info), Kind::Transcription | Kind::Analysis) => (info.duration_s, None),
            (Content::Text { n_characters }, Kind::Synthesis) => (None, Some(n_characters)),
            (Content::Audio(_), Kind::Synthesis) => {
                let message = "a synthesis is made of text; send it as input.text, or as the field text";
                return Err(ApiError::invalid("invalid_value", message).at("input"));
            }
            (Content::Text { .. }, Kind::Transcription | Kind::Analysis) => {
                let message =
                    format!("a task of kind {} is about audio; text is the input of kind synthesis", kind.as_str());
                return Err(ApiError::invalid("invalid_value", message).at("input"));
            }
        };
        Ok(Input { sha256: self.stored.sha256, bytes: self.stored.bytes, duration_s, name: self.name, characters })
    }
}

/// Keeps an input that is audio.
pub(crate) async fn audio(app: &App, owner: &str, incoming: Incoming, name: Option<String>) -> ApiResult<Probed> {
    let (stored, info) = keep_audio(app, owner, incoming, name.as_deref()).await?;
    Ok(Probed { stored, name, content: Content::Audio(info) })
}

/// Looks at a file's header and keeps it if it is audio.
pub(crate) async fn keep_audio(
    app: &App,
    owner: &str,
    mut incoming: Incoming,
    name: Option<&str>,
) -> ApiResult<(Stored, audio::Info)> {
    if incoming.n_bytes() == 0 {
        return Err(ApiError::malformed("empty_file", "file is empty; send the bytes of an audio file").at("file"));
    }
    let info = probe(app, &mut incoming, name.unwrap_or("file")).await?;
    if info.duration_s.is_some_and(|duration_s| duration_s <= 0.0) {
        return Err(ApiError::malformed("no_audio", "file holds audio of zero length; send some sound").at("file"));
    }
    let media_type = blobs::media_type(&info.container).to_owned();
    let about = About { owner: owner.to_owned(), name: name.map(str::to_owned), media_type, keep_ms: None };
    Ok((app.blobs.keep(incoming, about).await?, info))
}

/// What the header of an incoming file says.
pub(crate) async fn probe(app: &App, incoming: &mut Incoming, name: &str) -> ApiResult<audio::Info> {
    incoming.flush().await?;
    let (limits, label) = (limits(app), name.to_owned());
    let path = incoming.path().to_owned();
    let info = app.on_cpu(move || {
        let file = std::fs::File::open(&path).map_err(|source| crate::Error::Io { path, source })?;
        audio::probe_reader(file, &label, &limits)
    });
    Ok(info.await??)
}

/// What audio may cost here.
pub(crate) fn limits(app: &App) -> audio::Limits {
    audio::Limits {
        max_duration_s: app.config.max_duration_s,
        max_bytes: app.config.max_upload_bytes,
        ..audio::Limits::default()
    }
}

/// Keeps a text that can be spoken.
pub(crate) async fn text(app: &App, owner: &str, text: &str) -> ApiResult<Probed> {
    let text = text.trim();
    let refuse = |code, message: String| Err(ApiError::invalid(code, message).at("text"));
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("text has {} bytes; the limit is {MAX_TEXT_BYTES}: send it in parts", text.len());
        return Err(ApiError::too_large("text_too_long", message).at("text"));
    }
    if text.is_empty() {
        return refuse("empty_text", "text is empty; send what is to be said".to_owned());
    }
    if !text.chars().any(char::is_alphanumeric) {
        return refuse("nothing_to_say", format!("text has no letter and no digit: {text:.40}"));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return refuse("invalid_value", format!("text has the control character {bad:?}; remove it"));
    }
    let media_type = "text/plain; charset=utf-8".to_owned();
    let about = About { owner: owner.to_owned(), name: None, media_type, keep_ms: None };
    let stored = app.blobs.keep_bytes(text.as_bytes().to_vec(), about).await?;
    let n_characters = text.chars().count() as u64;
    Ok(Probed { stored, name: None, content: Content::Text { n_characters } })
}
