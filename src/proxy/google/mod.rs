//! Google Cloud over its JSON APIs: who the proxy is there, and requests that say so.
//!
//! Firestore's own `commit` takes many writes with preconditions as one atomic request and needs no transaction, and the
//! objects of Cloud Storage are plain HTTP: one small client serves both, on the TLS stack that is in the tree anyway.

mod account;
mod sign;
mod time;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;
use tokio::sync::Mutex;

pub(super) use account::ServiceAccount;
pub(super) use sign::Signed;
pub(super) use time::rfc3339;

/// Time for one request; a store that stalls for longer counts as away.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A token is renewed when it lasts no longer than this, s.
const TOKEN_SLACK_S: i64 = 120;

/// What is asked for: documents and objects.
const SCOPE: &str = "https://www.googleapis.com/auth/datastore https://www.googleapis.com/auth/devstorage.read_write";

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Google answered with an error.
    #[error("{status} {code}: {message}")]
    Answer {
        /// HTTP status.
        status: StatusCode,
        /// Google's word for it, such as `FAILED_PRECONDITION`; may be empty.
        code: String,
        /// What it says.
        message: String,
    },
    /// No answer came: what was sent may have been done.
    #[error("no answer: {0}")]
    Lost(String),
    /// The service account cannot be used.
    #[error("{0}")]
    Account(String),
}

impl Error {
    /// Whether the same again may succeed, without any change.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Answer { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Lost(_) => true,
            Self::Account(_) => false,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // A URL may carry a signature.
        Self::Lost(chain(&error.without_url()))
    }
}

/// An error with its causes; reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Who the proxy is at Google's.
pub(super) enum Caller {
    /// A service account with its key.
    Account(Box<ServiceAccount>),
    /// Whoever an emulator takes for the owner of everything.
    Emulator,
}

/// A client that says who it is.
pub(super) struct Google {
    http: reqwest::Client,
    caller: Caller,
    /// The last token and when it ends, s since the epoch.
    token: Mutex<Option<(String, i64)>>,
}

impl Google {
    /// A client for this caller.
    pub(super) fn new(caller: Caller) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, caller, token: Mutex::new(None) })
    }

    /// The service account, where there is one.
    pub(super) fn account(&self) -> Option<&ServiceAccount> {
        match &self.caller {
            Caller::Account(account) => Some(account),
            Caller::Emulator => None,
        }
    }

    /// A request that says who asks.
    pub(super) async fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, Error> {
        Ok(self.http.request(method, url).bearer_auth(self.token().await?))
    }

    /// Sends JSON and reads JSON.
    pub(super) async fn json(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value, Error> {
        let request = self.request(method, url).await?;
        let request = match body {
            // The emulator routes by the content type.
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(body.to_string()),
            None => request,
        };
        let answer = checked(request.send().await?).await?.bytes().await?;
        serde_json::from_slice(&answer).map_err(|error| Error::Lost(format!("the answer is not JSON: {error}")))
    }

    async fn token(&self) -> Result<String, Error> {
        let Caller::Account(account) = &self.caller else { return Ok("owner".to_owned()) };
        let now_s = super::clock::now_ms() / 1_000;
        // Held while a token is fetched: the others need the same one.
        let mut token = self.token.lock().await;
        if let Some((token, _)) = token.as_ref().filter(|(_, ends_s)| ends_s - now_s > TOKEN_SLACK_S) {
            return Ok(token.clone());
        }
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            account.assertion(SCOPE, now_s)?
        );
        let request = self.http.post(&account.token_uri).body(form);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = checked(request.send().await?).await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let (Some(fresh), Some(life_s)) = (answer["access_token"].as_str(), answer["expires_in"].as_i64()) else {
            return Err(Error::Account(format!("{} gave no access token", account.token_uri)));
        };
        *token = Some((fresh.to_owned(), now_s + life_s));
        Ok(fresh.to_owned())
    }
}

/// An answer that says that it succeeded.
pub(super) async fn checked(answer: reqwest::Response) -> Result<reqwest::Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    // A stream of answers wraps its error in a list.
    let error = if body.is_array() { &body[0]["error"] } else { &body["error"] };
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let message = word(&error["message"]).or_else(|| word(&body["error_description"]));
    Err(Error::Answer {
        status,
        code: word(&error["status"]).or_else(|| word(error)).unwrap_or_default(),
        message: message.unwrap_or_else(|| text.chars().take(200).collect()),
    })
}
