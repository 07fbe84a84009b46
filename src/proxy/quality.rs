//! The proxy's own cheap checks of a result, before anybody else spends time on it.

use sha2::{Digest, Sha256};

use super::auth::is_signed_by;
use super::error::{ApiError, ApiResult};
use crate::subnet::task::{Kind, Task};
use crate::text::transcript::Transcript;
use crate::{Error, score};

/// Largest result, bytes of its JSON text.
pub(crate) const MAX_RESULT_BYTES: usize = 4 << 20;

/// How far a transcript's duration may be from that of the input: containers round, and decoders trim their delay.
const DURATION_SLACK_S: f64 = 2.0;

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

/// The text of a usable result; `Err` says what is wrong with it.
pub(crate) fn check_result(task: &Task, result: &str) -> Result<String, String> {
    match task.kind {
        Kind::Transcription => check_transcript(task, result),
    }
}

fn check_transcript(task: &Task, result: &str) -> Result<String, String> {
    let transcript = Transcript::from_json(result).map_err(|error: Error| error.to_string())?;
    if let Some(duration_s) = task.input.duration_s
        && (transcript.duration_s - duration_s).abs() > DURATION_SLACK_S.max(duration_s * 0.02)
    {
        let got_s = transcript.duration_s;
        return Err(format!("the transcript is of {got_s:.1} s of audio; the input has {duration_s:.1} s"));
    }
    let spoken_s = task.input.duration_s.unwrap_or(transcript.duration_s);
    if let Some(reason) = score::degenerate(&transcript.text, spoken_s) {
        return Err(format!("the text is degenerate: {reason}"));
    }
    Ok(transcript.text)
}
