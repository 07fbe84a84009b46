//! `violet-proxy admin`: the operator's requests to a running proxy, by the URL and the token in its data directory.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// File in the data directory with the URL of the operator's listener.
pub(crate) const URL_FILE: &str = "admin.url";

/// File in the data directory with the token that its requests carry.
pub(crate) const TOKEN_FILE: &str = "admin.token";

/// What to say to which proxy.
#[derive(Debug, Args)]
pub(crate) struct Admin {
    /// Data directory of the running proxy.
    #[arg(long, value_name = "DIR", env = "VIOLET_PROXY_DATA_DIR", default_value = "violet-proxy-data")]
    data_dir: PathBuf,
    #[command(subcommand)]
    order: Order,
}

/// What the operator may say.
#[derive(Debug, Subcommand)]
enum Order {
    /// How things stand.
    Status,
    /// API keys, without the keys themselves.
    Keys,
    /// Make an API key and print it once; from the first one on the proxy asks for keys.
    CreateKey {
        /// The user: whose tasks they are that are made with it.
        name: String,
        /// What it may do: read, write; both unless given.
        #[arg(long, value_delimiter = ',')]
        scopes: Vec<String>,
    },
    /// End an API key.
    RevokeKey {
        /// Its id in the list of keys.
        id: String,
    },
    /// Hotkeys that are shut out.
    Bans,
    /// Shut a hotkey out.
    Ban {
        /// Its SS58 address.
        hotkey: String,
        /// Why; it is told.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a hotkey in again.
    Unban {
        /// Its SS58 address.
        hotkey: String,
    },
    /// Lend no work until resume; what is lent goes on.
    Pause,
    /// Lend work again.
    Resume,
    /// Show a task of any user.
    Task {
        /// The task's name.
        id: String,
    },
    /// Take the leases of an unanswered task back and let it begin anew.
    Requeue {
        /// The task's name.
        id: String,
    },
    /// End a task as failed.
    Kill {
        /// The task's name.
        id: String,
        /// Why; its user reads it.
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Order {
    fn request(&self) -> (Method, String, Option<Value>) {
        let path = |below: &str, name: &str| format!("/{below}/{}", encoded(name));
        match self {
            Self::Status => (Method::GET, String::new(), None),
            Self::Keys => (Method::GET, "/keys".to_owned(), None),
            Self::CreateKey { name, scopes } if scopes.is_empty() => {
                (Method::POST, "/keys".to_owned(), Some(json!({"name": name})))
            }
            Self::CreateKey { name, scopes } => {
                (Method::POST, "/keys".to_owned(), Some(json!({"name": name, "scopes": scopes})))
            }
            Self::RevokeKey { id } => (Method::DELETE, path("keys", id), None),
            Self::Bans => (Method::GET, "/bans".to_owned(), None),
            Self::Ban { hotkey, reason } => (Method::PUT, path("bans", hotkey), Some(json!({"reason": reason}))),
            Self::Unban { hotkey } => (Method::DELETE, path("bans", hotkey), None),
            Self::Pause => (Method::POST, "/pause".to_owned(), None),
            Self::Resume => (Method::POST, "/resume".to_owned(), None),
            Self::Task { id } => (Method::GET, path("tasks", id), None),
            Self::Requeue { id } => (Method::POST, path("tasks", id) + "/requeue", None),
            Self::Kill { id, reason } => (Method::POST, path("tasks", id) + "/kill", Some(json!({"reason": reason}))),
        }
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Sends the request; prints the answer as JSON, and nothing where it has none.
pub(crate) fn run(admin: &Admin) -> Result<(), Failure> {
    let url = read(&admin.data_dir, URL_FILE)?;
    let token = read(&admin.data_dir, TOKEN_FILE)?;
    let (method, path, body) = admin.order.request();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, text) = runtime.block_on(async {
        // The listener is this machine's, or named by its operator: no proxy between.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let request = client.request(method, format!("{url}/v1/admin{path}")).bearer_auth(token);
        let request = request.body(body.map(|body| body.to_string()).unwrap_or_default());
        let answer = request.send().await.map_err(|error| -> Failure {
            format!("no answer from {url} ({}); is the proxy of this data directory running?", error.without_url())
                .into()
        })?;
        Ok::<_, Failure>((answer.status(), answer.text().await?))
    })?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    if !status.is_success() {
        let message = answer["error"]["message"].as_str().map_or(text.as_str(), |message| message);
        return Err(format!("{status}: {message}").into());
    }
    if answer.is_null() {
        return Ok(());
    }
    Ok(writeln!(std::io::stdout(), "{answer:#}")?)
}

fn read(data_dir: &Path, name: &str) -> Result<String, Failure> {
    let path = data_dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| -> Failure {
        format!("{}: {error}; name the data directory of a running proxy whose --admin is not off", path.display())
            .into()
    })?;
    Ok(text.trim().to_owned())
}
