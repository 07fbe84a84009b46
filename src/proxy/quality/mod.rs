//! The proxy's own cheap checks of a result, before anybody else spends time on it.

mod analysis;
mod speech;
mod transcript;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::app::App;
use super::auth::is_signed_by;
use super::error::{ApiError, ApiResult};
use crate::subnet::task::{Kind, Output, Task};

/// Largest result, bytes of its JSON text.
pub(crate) const MAX_RESULT_BYTES: usize = 4 << 20;

/// A transcript that is read in less time than it takes to hand it to another thread.
const SHORT_BYTES: usize = 4 << 10;

/// A miner's result as it came.
#[derive(Debug, Clone)]
pub(crate) struct Claimed<'a> {
    pub(crate) task_id: &'a str,
    pub(crate) slot: u8,
    pub(crate) result: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) signature: &'a str,
}

/// Refuses a result that is not the one that its miner signed.
pub(crate) fn check_signature(hotkey: &str, result: &Claimed<'_>) -> ApiResult<()> {
    if result.result.len() > MAX_RESULT_BYTES {
        let message = format!("result has {} bytes; the limit is {MAX_RESULT_BYTES}", result.result.len());
        return Err(ApiError::too_large("result_too_large", message).at("result"));
    }
    if hex::encode(Sha256::digest(result.result)) != result.digest {
        let message = "digest is not the SHA-256 of result in lower-case hex";
        return Err(ApiError::invalid("digest_mismatch", message).at("digest"));
    }
    let message = format!("violet/response/1\n{}\n{}\n{}", result.task_id, result.slot, result.digest);
    if !is_signed_by(hotkey, message.as_bytes(), result.signature) {
        let message = "signature is not the hotkey's over violet/response/1, task, slot and digest";
        return Err(ApiError::unauthenticated("bad_response_signature", message).at("signature"));
    }
    Ok(())
}

/// What a usable result brings: the text that is shown of it, and the audio that belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Usable {
    pub(crate) text: String,
    pub(crate) output: Option<Output>,
}

/// What a usable result brings; the inner `Err` says what is wrong with it.
pub(crate) async fn check_result(
    app: &App,
    task: Arc<Task>,
    slot: u8,
    result: Arc<str>,
) -> ApiResult<Result<Usable, String>> {
    match task.kind {
        Kind::Transcription if result.len() <= SHORT_BYTES => Ok(transcript::check(&task, slot, &result)),
        Kind::Transcription => app.on_cpu(move || transcript::check(&task, slot, &result)).await,
        Kind::Analysis => app.on_cpu(move || analysis::check(&task, &result)).await,
        Kind::Synthesis => speech::check(app, task, slot, &result).await,
    }
}

/// How far a result's duration may be from that of the input, seconds: containers round, and decoders trim their delay.
fn check_duration(task: &Task, got_s: f64) -> Result<(), String> {
    const SLACK_S: f64 = 2.0;
    match task.input.duration_s {
        Some(duration_s) if (got_s - duration_s).abs() > SLACK_S.max(duration_s * 0.02) => {
            Err(format!("the result is of {got_s:.1} s of audio; the input has {duration_s:.1} s"))
        }
        _ => Ok(()),
    }
}
