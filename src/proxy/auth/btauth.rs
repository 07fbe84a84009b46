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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde::Deserialize;

    use super::*;
    use crate::proxy::quality::{self, Claimed};

    /// Made by `bittensor_wallet`: see `tests/data/make_btauth.py`.
    const GOLDEN: &str = include_str!("../../../tests/data/btauth.json");

    #[derive(Deserialize)]
    struct Golden {
        now_ns: u64,
        receiver: String,
        requests: Vec<Case>,
        response: ResponseCase,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        expected: String,
        method: String,
        path_and_query: String,
        body: String,
        nonce_ns: u64,
        hotkey: String,
        receiver: String,
        signature: String,
    }

    #[derive(Deserialize)]
    struct ResponseCase {
        task_id: String,
        slot: u8,
        result: String,
        digest: String,
        hotkey: String,
        signature: String,
    }

    fn headers(case: &Case) -> HeaderMap {
        let nonce = case.nonce_ns.to_string();
        let pairs = [
            ("x-bittensor-version", "1"),
            ("x-bittensor-hotkey", &case.hotkey),
            ("x-bittensor-receiver", &case.receiver),
            ("x-bittensor-nonce", &nonce),
            ("x-bittensor-signature", &case.signature),
        ];
        pairs.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).into_iter().collect()
    }

    fn judge(case: &Case, golden: &Golden, floor_ns: u64) -> ApiResult<()> {
        let claims = Claims::from_headers(&headers(case))?;
        claims.check(&golden.receiver, golden.now_ns, floor_ns)?;
        let method = case.method.parse().unwrap();
        claims.verify(&claims.message(&method, &case.path_and_query, case.body.as_bytes()))
    }

    #[test]
    fn requests_of_the_wallet_are_judged_as_its_script_says() {
        let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
        assert!(golden.requests.len() >= 10);
        for case in &golden.requests {
            let got = judge(case, &golden, 0).map_or_else(|error| error.code(), |()| "accepted");
            assert_eq!(got, case.expected, "{}", case.name);
        }
    }

    #[test]
    fn a_nonce_from_before_the_start_is_stale() {
        let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
        let honest = &golden.requests[0];
        assert!(judge(honest, &golden, honest.nonce_ns).is_ok());
        assert_eq!(judge(honest, &golden, honest.nonce_ns + 1).unwrap_err().code(), "stale_nonce");
    }

    #[test]
    fn headers_that_are_missing_doubled_or_spelt_otherwise_are_refused() {
        let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
        let good = headers(&golden.requests[0]);
        for name in good.keys() {
            let mut without = good.clone();
            without.remove(name);
            assert_eq!(Claims::from_headers(&without).unwrap_err().code(), "missing_signature", "{name}");
            let mut twice = good.clone();
            twice.append(name, good[name].clone());
            assert_eq!(Claims::from_headers(&twice).unwrap_err().code(), "bad_signature_header", "{name}");
        }
        for (name, value) in [
            ("x-bittensor-version", "2"),
            ("x-bittensor-nonce", "+1"),
            ("x-bittensor-nonce", "01"),
            ("x-bittensor-nonce", "1e18"),
            ("x-bittensor-nonce", "99999999999999999999999"),
        ] {
            let mut changed = good.clone();
            changed.insert(name, HeaderValue::from_static(value));
            assert_eq!(Claims::from_headers(&changed).unwrap_err().code(), "bad_signature_header", "{name} {value}");
        }
    }

    #[test]
    fn a_response_signed_by_the_wallet_is_its_miners_and_no_other() {
        let response = serde_json::from_str::<Golden>(GOLDEN).unwrap().response;
        let claimed = Claimed {
            task_id: &response.task_id,
            slot: response.slot,
            result: &response.result,
            digest: &response.digest,
            signature: &response.signature,
        };
        let code = |claimed: &Claimed<'_>| quality::check_signature(&response.hotkey, claimed).map_err(|e| e.code());
        assert_eq!(code(&claimed), Ok(()));
        assert_eq!(code(&Claimed { slot: 1, ..claimed.clone() }), Err("bad_response_signature"));
        assert_eq!(code(&Claimed { task_id: "task_02", ..claimed.clone() }), Err("bad_response_signature"));
        assert_eq!(code(&Claimed { result: "{ }", ..claimed.clone() }), Err("digest_mismatch"));
    }
}
