//! The `btauth/1` form of signed requests, as Bittensor's SDK 11 makes it.

use axum::http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use super::is_signed_by;
use crate::proxy::error::{ApiError, ApiResult};

/// How long after its nonce a request is accepted, ns.
pub(crate) const MAX_AGE_NS: u64 = 10_000_000_000;

/// How far a client's clock may be ahead, ns.
pub(crate) const MAX_AHEAD_NS: u64 = 2_000_000_000;

/// What the headers of a signed request claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) hotkey: String,
    pub(crate) receiver: String,
    pub(crate) nonce_ns: u64,
    pub(crate) signature: String,
}

impl Claims {
    /// The claims in these headers.
    pub(crate) fn from_headers(headers: &HeaderMap) -> ApiResult<Self> {
        let text = |name: &'static str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().ok_or_else(|| {
                ApiError::unauthenticated(
                    "missing_signature",
                    format!("header {name} is missing; sign the request with your hotkey"),
                )
                .at(name)
            })?;
            let value = value.to_str().ok().filter(|_| values.next().is_none());
            value.ok_or_else(|| bad(name, "must be given once, in ASCII"))
        };
        if text("x-bittensor-version")? != "1" {
            return Err(bad("x-bittensor-version", "must be 1"));
        }
        let nonce = text("x-bittensor-nonce")?;
        // `u64::from_str` would take a plus sign; the nonce is signed as text, so only one spelling may be accepted.
        let is_canonical = !nonce.is_empty() && !nonce.starts_with('0') && nonce.bytes().all(|b| b.is_ascii_digit());
        let nonce_ns = nonce.parse().ok().filter(|_| is_canonical);
        Ok(Self {
            hotkey: text("x-bittensor-hotkey")?.to_owned(),
            receiver: text("x-bittensor-receiver")?.to_owned(),
            nonce_ns: nonce_ns
                .ok_or_else(|| bad("x-bittensor-nonce", "must be nanoseconds since the epoch, in decimal"))?,
            signature: text("x-bittensor-signature")?.to_owned(),
        })
    }

    /// Refuses what is not meant for this proxy, or not for now.
    pub(crate) fn check(&self, receiver: &str, now_ns: u64, floor_ns: u64) -> ApiResult<()> {
        if self.receiver != receiver {
            let message =
                format!("X-Bittensor-Receiver is {:.60}; this proxy is {receiver} (GET /v1/network)", self.receiver);
            return Err(ApiError::unauthenticated("wrong_receiver", message).at("x-bittensor-receiver"));
        }
        let stale = |message: String| Err(ApiError::unauthenticated("stale_nonce", message).at("x-bittensor-nonce"));
        if self.nonce_ns < floor_ns {
            return stale("the nonce is from before the proxy started; sign the request again".to_owned());
        }
        if self.nonce_ns > now_ns.saturating_add(MAX_AHEAD_NS) {
            let ahead_ms = (self.nonce_ns - now_ns) / 1_000_000;
            return stale(format!(
                "the nonce is {ahead_ms} ms in the future; at most 2000 are accepted: check the clock"
            ));
        }
        if now_ns.saturating_sub(self.nonce_ns) > MAX_AGE_NS {
            let age_ms = (now_ns - self.nonce_ns) / 1_000_000;
            return stale(format!("the nonce is {age_ms} ms old; at most 10000 are accepted: check the clock"));
        }
        Ok(())
    }

    /// The bytes that are signed.
    pub(crate) fn message(&self, method: &Method, path_and_query: &str, body: &[u8]) -> Vec<u8> {
        let (method, body) = (method.as_str().to_ascii_uppercase(), hex::encode(Sha256::digest(body)));
        let (nonce, hotkey, receiver) = (self.nonce_ns, &self.hotkey, &self.receiver);
        format!("btauth/1\nsr25519\n{method}\n{path_and_query}\n{body}\n{nonce}\n{hotkey}\n{receiver}").into_bytes()
    }

    /// Refuses a signature that is not the hotkey's over `message`.
    pub(crate) fn verify(&self, message: &[u8]) -> ApiResult<()> {
        if is_signed_by(&self.hotkey, message, &self.signature) {
            return Ok(());
        }
        let message = "the signature is not the hotkey's over this request (btauth/1 with sr25519)";
        Err(ApiError::unauthenticated("bad_signature", message).at("x-bittensor-signature"))
    }
}

fn bad(name: &'static str, what: &str) -> ApiError {
    ApiError::unauthenticated("bad_signature_header", format!("header {name} {what}")).at(name)
}
