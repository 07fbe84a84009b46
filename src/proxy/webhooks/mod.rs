//! Messages to users' own servers when their tasks come to something, signed in the form of Standard Webhooks.
//!
//! A message is stored with the change of the task that it tells of, or not at all, so that no death of the proxy loses
//! one. Whoever delivers it takes it for a while first; what is not confirmed in that time is delivered again, under the
//! same id. Only the internet's addresses are called, and no redirect is followed.

mod address;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use metrics::counter;
use rand::Rng;
use reqwest::{StatusCode, Url};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub(crate) use address::Addresses;

use super::app::App;
use super::config::ms;
use super::error::{ApiError, ApiResult};
use super::store::{Delivery, Entry, EntryKind};
use super::{clock, fault, views};
use crate::subnet::task::{Task, TaskId, Webhook};

/// Longest URL, bytes.
const MAX_URL_BYTES: usize = 2_048;

/// What every secret begins with, and how many bytes it may have; as in Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Time for one delivery.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long whoever delivers a message has it for itself, ms.
const TAKEN_MS: i64 = 25_000;

/// Tries before a message is given up, and the longest pause between two, ms; each pause is four times the one before.
const TRIES: u32 = 10;
const LONGEST_PAUSE_MS: i64 = 36_000_000;

/// Deliveries at the same time.
const AT_ONCE: usize = 64;

/// How often it is looked for messages whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Where a task's user wants to hear of it, if anywhere; refuses what could not be called or signed.
pub(crate) fn wanted(url: Option<&str>, secret: Option<&str>, addresses: Addresses) -> ApiResult<Option<Webhook>> {
    let refused = |param, message: String| Err(ApiError::invalid("invalid_value", message).at(param));
    let (url, secret) = match (url, secret) {
        (None, None) => return Ok(None),
        (Some(url), Some(secret)) => (url, secret),
        (Some(_), None) => {
            let message = "webhook_url needs webhook_secret: whsec_ and 24 to 64 random bytes in base64";
            return refused("webhook_secret", message.to_owned());
        }
        (None, Some(_)) => return refused("webhook_url", "webhook_secret needs webhook_url".to_owned()),
    };
    let parsed = Url::parse(url).ok().filter(|parsed| url.len() <= MAX_URL_BYTES && is_callable(parsed));
    let Some(parsed) = parsed else {
        let message = format!("webhook_url is {url:.80}; expected https:// or http:// with a host, without a user");
        return refused("webhook_url", message);
    };
    if literal(&parsed).is_some_and(|address| !addresses.allow(address)) {
        return refused("webhook_url", format!("webhook_url leads to {url:.80}, which is no address of the internet"));
    }
    if key(secret).is_none() {
        let message = "webhook_secret must be whsec_ and 24 to 64 random bytes in base64";
        return refused("webhook_secret", message.to_owned());
    }
    Ok(Some(Webhook { url: parsed.into(), secret: secret.to_owned() }))
}

fn is_callable(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme()) && url.has_host() && url.username().is_empty() && url.password().is_none()
}

/// The address in a URL that names one instead of a host; no resolver sees it.
fn literal(url: &Url) -> Option<std::net::IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The bytes of a secret.
fn key(secret: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// The signature of a message: Standard Webhooks, version 1.
fn signature(key: &[u8], id: &str, at_s: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{at_s}.{body}").as_bytes());
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// The only client that calls where users say.
pub(crate) fn client(addresses: Addresses) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("violet-proxy/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(addresses))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
}

/// Delivers until the proxy ends.
pub(crate) async fn run(app: Arc<App>) {
    let (room, deliveries) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
    // What an earlier run took and did not confirm is nobody's, unless there are other proxies.
    let mut ahead_ms = if app.store.records().is_shared() { 0 } else { TAKEN_MS };
    while !app.shutdown.is_cancelled() {
        let due = app.store.records().entries(EntryKind::Delivery, clock::now_ms() + ahead_ms + 1, AT_ONCE).await;
        let due = due.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot see which webhooks are due; trying again");
            Vec::new()
        });
        ahead_ms = 0;
        let may_be_more = due.len() == AT_ONCE;
        for entry in due {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Some((entry, delivery)) = take(&app, entry).await else { continue };
            let app = Arc::clone(&app);
            deliveries.spawn(async move {
                deliver(&app, entry, delivery).await;
                drop(permit);
            });
        }
        if may_be_more {
            continue;
        }
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = app.hub.deliveries.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    deliveries.close();
    // What is not done by then is delivered at the next start.
    let _ = tokio::time::timeout(Duration::from_secs(5), deliveries.wait()).await;
}

/// Takes a message for this proxy; `None` if another was faster.
async fn take(app: &App, entry: Entry) -> Option<(Entry, Delivery)> {
    let delivery: Delivery = match serde_json::from_str(&entry.record) {
        Ok(delivery) => delivery,
        Err(error) => {
            tracing::error!(%error, delivery = entry.name, "a stored message cannot be read; it is given up");
            end(app, &entry).await;
            return None;
        }
    };
    let taken = Entry { version: entry.version + 1, due_ms: clock::now_ms() + TAKEN_MS, ..entry };
    match app.store.records().put_entry(&taken).await {
        Ok(true) => Some((taken, delivery)),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot take a message; trying again");
            None
        }
    }
}

/// Sends a message once; it is confirmed, or put off, or given up.
async fn deliver(app: &App, entry: Entry, delivery: Delivery) {
    let id = TaskId::from(entry.belongs_to.as_str());
    let then = match app.store.records().events(&id, delivery.event.saturating_sub(1), 1).await {
        Ok(mut events) => events.pop().filter(|task| task.last_event == delivery.event),
        // Its time comes again when what was taken is free.
        Err(error) => return tracing::warn!(%error, "cannot read what a message tells of; trying again"),
    };
    let Some((task, webhook)) = then.and_then(|task| task.webhook.clone().map(|webhook| (task, webhook))) else {
        // The task was erased.
        return end(app, &entry).await;
    };
    let (outcome, why) = match send(app, &entry.name, &task, &webhook).await {
        Ok(status) if status.is_success() => ("delivered", String::new()),
        Ok(StatusCode::GONE) => ("gone", "its receiver wants no more of them".to_owned()),
        Ok(status) => ("failed", format!("its receiver said {status}")),
        Err(reason) => ("failed", reason),
    };
    counter!("violet_webhook_attempts_total", "outcome" => outcome).increment(1);
    let attempts = delivery.attempts + 1;
    if outcome == "failed" && attempts < TRIES {
        tracing::info!(delivery = entry.name, attempts, why, "a webhook was not delivered; trying again");
        let record = json!({"event": delivery.event, "attempts": attempts}).to_string();
        let due_ms = clock::now_ms() + pause_ms(ms(app.config.webhook_retry_s), attempts);
        let later = Entry { version: entry.version + 1, due_ms, record, ..entry };
        if let Err(error) = app.store.records().put_entry(&later).await {
            tracing::warn!(%error, "cannot put a message off; trying again");
        }
        return;
    }
    if outcome != "delivered" {
        tracing::warn!(delivery = entry.name, attempts, why, "a webhook was given up");
    }
    fault::point("before_webhook_ack");
    end(app, &entry).await;
}

async fn end(app: &App, entry: &Entry) {
    if let Err(error) = app.store.records().delete_entry(entry).await {
        tracing::warn!(%error, "cannot confirm a message; it is delivered again");
    }
}

/// A pause that grows fourfold with each try, a fifth more or less so that those who failed together part.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "hours in ms")]
fn pause_ms(first_ms: i64, attempts: u32) -> i64 {
    let pause_ms = first_ms.saturating_mul(4_i64.saturating_pow(attempts - 1)).clamp(1, LONGEST_PAUSE_MS);
    (pause_ms as f64 * rand::rng().random_range(0.8..=1.2)) as i64
}

/// What a webhook is told.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    at_ms: i64,
    data: views::TaskView<'a>,
}

async fn send(app: &App, id: &str, task: &Task, webhook: &Webhook) -> Result<StatusCode, String> {
    let url = Url::parse(&webhook.url).map_err(|error| error.to_string())?;
    if literal(&url).is_some_and(|address| !app.config.webhook_addresses.allow(address)) {
        return Err("its URL leads to no address of the internet".to_owned());
    }
    let data = views::task(app, task).await.map_err(|error| format!("{error:?}"))?;
    let message = Message { kind: format!("task.{}", task.state.as_str()), at_ms: task.updated_at_ms, data };
    let body = serde_json::to_string(&message).map_err(|error| error.to_string())?;
    let at_s = clock::now_ms() / 1_000;
    let signed = key(&webhook.secret).and_then(|key| signature(&key, id, at_s, &body)).ok_or("its secret is none")?;
    let request = app.webhooks.post(url).header("content-type", "application/json");
    let request =
        request.header("webhook-id", id).header("webhook-timestamp", at_s).header("webhook-signature", signed);
    // Of the answer only the status is read: what it says is the receiver's own affair.
    let answer = request.body(body).send().await.map_err(|error| cause(&error.without_url()))?;
    Ok(answer.status())
}

/// The innermost reason, without the URL, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    format!("its receiver cannot be reached: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_message_is_signed_as_the_standards_own_library_does() {
        // Made by standardwebhooks 1.1.0 (PyPI): Webhook(SECRET).sign(id, datetime.fromtimestamp(1614265330, utc), body).
        let signed =
            signature(&key(SECRET).unwrap(), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn what_cannot_be_called_or_signed_is_refused_by_name() {
        let public = |url: &str| wanted(Some(url), Some(SECRET), Addresses::Public);
        assert_eq!(public("https://example.com/hook?x=1").unwrap().unwrap().url, "https://example.com/hook?x=1");
        for url in [
            "ftp://example.com",
            "https://",
            "example.com",
            "https://user@example.com/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]:8080/",
            "http://169.254.169.254/",
            &format!("https://example.com/{}", "x".repeat(3_000)),
        ] {
            let error = public(url).unwrap_err();
            assert_eq!(
                (error.code(), error.body()["error"]["param"].as_str()),
                ("invalid_value", Some("webhook_url")),
                "{url}"
            );
        }
        assert!(wanted(Some("http://127.0.0.1:9/"), Some(SECRET), Addresses::Any).unwrap().is_some());
        assert_eq!(wanted(None, None, Addresses::Public).unwrap(), None);
        for secret in [None, Some("x"), Some("whsec_"), Some("whsec_c2hvcnQ="), Some("whsec_*")] {
            let error = wanted(Some("https://example.com"), secret, Addresses::Public).unwrap_err();
            assert_eq!(error.body()["error"]["param"], "webhook_secret", "{secret:?}");
        }
        assert!(wanted(None, Some(SECRET), Addresses::Public).is_err());
    }

    #[test]
    fn pauses_grow_fourfold_to_a_longest() {
        for (attempts, middle_ms) in [(1, 5_000), (2, 20_000), (3, 80_000), (9, LONGEST_PAUSE_MS)] {
            let pause_ms = pause_ms(5_000, attempts);
            assert!((middle_ms * 4 / 5..=middle_ms * 6 / 5).contains(&pause_ms), "{attempts}: {pause_ms}");
        }
    }
}
