//! The proxy's configuration: read once, never changed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::admin::Admin;
use super::door::Networks;
use super::homes::{BlobsHome, StoreHome};
use super::log::LogFormat;
use super::webhooks::Addresses;
use crate::subnet::task::Terms;

/// The HTTP service between users, miners and validators.
#[derive(Debug, Parser)]
#[command(name = "violet-proxy", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) config: Option<Config>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an API key, print it once, and add its hash to the file.
    NewKey {
        /// The user's name.
        name: String,
        /// File of API keys; made when it is not there.
        #[arg(long, value_name = "FILE")]
        api_keys: PathBuf,
    },
    /// Say something to a running proxy: keys, bans, tasks, pauses.
    Admin(Admin),
    /// Bring the store to the version that this build reads.
    Migrate(Box<Config>),
    /// Say what is configured, where each value comes from, and whether the proxy could start with it.
    CheckConfig(Box<Config>),
}

/// What one proxy needs to serve. Flat: clap does not tell whether an optional group is there that has a group in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Config {
    /// TOML file of these options, by their names with or without dashes; a flag and a variable win over it.
    #[arg(id = "config", long = "config", value_name = "FILE", env = "VIOLET_PROXY_CONFIG")]
    pub(crate) options_file: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, env = "VIOLET_PROXY_HOST", default_value = "127.0.0.1")]
    pub(crate) host: std::net::IpAddr,
    /// Port to listen on; 0 for a free one.
    #[arg(long, env = "VIOLET_PROXY_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Where tasks are: `sqlite:PATH` or `firestore:PROJECT`; default: violet.sqlite3 in the data directory.
    #[arg(long, value_name = "HOME", env = "VIOLET_PROXY_STORE")]
    pub(crate) store: Option<StoreHome>,
    /// Where audio is: `file:DIR` or `gs://BUCKET`; default: blobs in the data directory.
    #[arg(long, value_name = "HOME", env = "VIOLET_PROXY_BLOBS")]
    pub(crate) blobs: Option<BlobsHome>,
    /// File of the Google service account for firestore: and gs:.
    #[arg(long, value_name = "FILE", env = "VIOLET_PROXY_CREDENTIALS")]
    pub(crate) credentials: Option<PathBuf>,
    /// Directory of the proxy's key, of what is being uploaded, and of the database and the audio unless those are elsewhere.
    #[arg(long, value_name = "DIR", env = "VIOLET_PROXY_DATA_DIR", default_value = "violet-proxy-data")]
    pub(crate) data_dir: PathBuf,
    /// The metagraph file that a reader beside the proxy keeps up to date.
    #[arg(long, value_name = "FILE", env = "VIOLET_PROXY_METAGRAPH", required = true)]
    pub(crate) metagraph: PathBuf,
    /// URL under which miners and validators reach this proxy; default: the address it listens on.
    #[arg(long, value_name = "URL", env = "VIOLET_PROXY_PUBLIC_URL", value_parser = public_url)]
    pub(crate) public_url: Option<String>,
    /// Miners that do each task, unless its user says otherwise.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_REDUNDANCY", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) redundancy: u8,
    /// How long a lease lasts without a heartbeat, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_LEASE_S", default_value_t = 60.0, value_parser = duration_s)]
    pub(crate) lease_s: f64,
    /// How long the other miners have after the first answer, seconds; at least as long as that one took.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_GRACE_S", default_value_t = 20.0, value_parser = duration_s)]
    pub(crate) grace_s: f64,
    /// How long validators have to commit their scores, seconds; and as long as the audio lasts.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_COMMIT_S", default_value_t = 120.0, value_parser = duration_s)]
    pub(crate) commit_s: f64,
    /// How long validators have to reveal them after that, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_REVEAL_S", default_value_t = 60.0, value_parser = duration_s)]
    pub(crate) reveal_s: f64,
    /// Stake from which a validator with a permit judges.
    #[arg(long, value_name = "STAKE", env = "VIOLET_PROXY_MIN_STAKE", default_value_t = 1_000.0, value_parser = stake)]
    pub(crate) min_stake: f64,
    /// Largest input, bytes.
    #[arg(long, value_name = "BYTES", env = "VIOLET_PROXY_MAX_UPLOAD_BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub(crate) max_upload_bytes: u64,
    /// Whether each miner of a transcription hears a rendering of its own, with slightly other times, instead of the input.
    #[arg(long, value_name = "on|off", env = "VIOLET_PROXY_VARIANTS", default_value = "on")]
    pub(crate) variants: Switch,
    /// Longest audio, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_MAX_DURATION_S", default_value_t = 14_400.0, value_parser = duration_s)]
    pub(crate) max_duration_s: f64,
    /// How long ended tasks, uploads and blobs that nothing refers to are kept, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_RETENTION_S", default_value_t = 2_592_000.0, value_parser = duration_s)]
    pub(crate) retention_s: f64,
    /// Tasks that may be open at the same time.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_MAX_OPEN_TASKS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) max_open_tasks: u32,
    /// File of API keys; without it everybody may use the proxy.
    #[arg(long, value_name = "FILE", env = "VIOLET_PROXY_API_KEYS")]
    pub(crate) api_keys: Option<PathBuf>,
    /// Age from which the metagraph file is not trusted, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_METAGRAPH_MAX_AGE_S", default_value_t = 1_800.0, value_parser = duration_s)]
    pub(crate) metagraph_max_age_s: f64,
    /// How often time is let pass for leases and phases, ms.
    #[arg(long, value_name = "MS", env = "VIOLET_PROXY_TICK_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub(crate) tick_ms: u64,
    /// Requests a second of one API key, ten seconds of them at once; 0 for no limit.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_RATE_PER_KEY", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) rate_per_key: u32,
    /// Requests a second of one hotkey; 0 for no limit.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_RATE_PER_HOTKEY", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) rate_per_hotkey: u32,
    /// Requests a second of one address (of an IPv6 network of 64 bits); 0 for no limit.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_RATE_PER_ADDRESS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) rate_per_address: u32,
    /// Networks whose X-Forwarded-For is believed, with commas between; a request of theirs without one has no address.
    #[arg(long, value_name = "NETWORKS", env = "VIOLET_PROXY_TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1")]
    pub(crate) trusted_proxies: Networks,
    /// Tasks of one API key that may be open at the same time.
    #[arg(long, value_name = "N", env = "VIOLET_PROXY_OPEN_TASKS_PER_KEY", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) open_tasks_per_key: u32,
    /// Free space on the disk of the data directory below which nothing new is taken (507), bytes.
    #[arg(long, value_name = "BYTES", env = "VIOLET_PROXY_MIN_FREE_BYTES", default_value_t = 256 << 20)]
    pub(crate) min_free_bytes: u64,
    /// First pause before a webhook is tried again, seconds; each is four times the one before, ten hours at the most.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_WEBHOOK_RETRY_S", default_value_t = 5.0, value_parser = duration_s)]
    pub(crate) webhook_retry_s: f64,
    /// Addresses to which webhooks may lead: public, or any (for tests and local networks).
    #[arg(long, value_name = "WHICH", env = "VIOLET_PROXY_WEBHOOK_ADDRESSES", default_value = "public")]
    pub(crate) webhook_addresses: Addresses,
    /// Address of the operator's own listener, whose URL is then in admin.url and whose token is in admin.token of the data
    /// directory; a port of 0 for a free one; off for none.
    #[arg(long, value_name = "ADDRESS", env = "VIOLET_PROXY_ADMIN", default_value = "127.0.0.1:0")]
    pub(crate) admin: AdminHome,
    /// What to log, in the form of `RUST_LOG`.
    #[arg(long, value_name = "FILTER", env = "VIOLET_PROXY_LOG", default_value = "info,symphonia=off", value_parser = log_filter)]
    pub(crate) log: String,
    /// How a line of the log looks: text for people, or json, an object a line.
    #[arg(long, value_name = "text|json", env = "VIOLET_PROXY_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// How often a comment keeps a stream of events open that has nothing to say, seconds.
    #[arg(long, value_name = "S", env = "VIOLET_PROXY_EVENT_HEARTBEAT_S", default_value_t = 15.0, value_parser = heartbeat_s)]
    pub(crate) event_heartbeat_s: f64,
    /// File to write the URL into once the proxy listens.
    #[arg(long, value_name = "FILE", env = "VIOLET_PROXY_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// Where the operator's own listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminHome {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

impl FromStr for AdminHome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "expected an address with a port, such as 127.0.0.1:8081, or off".to_owned())
    }
}

/// Something that is done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Switch {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

impl Config {
    /// Where tasks are.
    pub(crate) fn store_home(&self) -> StoreHome {
        self.store.clone().unwrap_or_else(|| StoreHome::Sqlite(self.data_dir.join("violet.sqlite3")))
    }

    /// Where audio is.
    pub(crate) fn blobs_home(&self) -> BlobsHome {
        self.blobs.clone().unwrap_or_else(|| BlobsHome::Directory(self.data_dir.join("blobs")))
    }

    /// The times that rule every task.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            lease_ms: ms(self.lease_s),
            grace_ms: ms(self.grace_s),
            commit_ms: ms(self.commit_s),
            reveal_ms: ms(self.reveal_s),
        }
    }
}

/// Seconds as milliseconds.
#[allow(clippy::cast_possible_truncation, reason = "durations are checked to be at most 10 years")]
pub(crate) fn ms(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

fn duration_s(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.001..=315_360_000.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0.001 to 315360000 seconds".to_owned())
    }
}

/// At most as long as clients wait for a word.
fn heartbeat_s(text: &str) -> Result<f64, String> {
    let seconds = duration_s(text).ok().filter(|seconds| *seconds <= 30.0);
    seconds.ok_or_else(|| "expected 0.001 to 30 seconds".to_owned())
}

fn stake(text: &str) -> Result<f64, String> {
    let stake: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if stake.is_finite() && stake >= 0.0 { Ok(stake) } else { Err("expected a number from 0 up".to_owned()) }
}

fn public_url(text: &str) -> Result<String, String> {
    let uri: axum::http::Uri = text.parse().map_err(|_| "expected a URL such as https://proxy.example".to_owned())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    if !is_http || uri.query().is_some() {
        return Err("expected http:// or https://, a host, and no query".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["violet-proxy"].iter().chain(flags))
    }

    #[test]
    fn the_metagraph_is_all_that_must_be_given() {
        let config = parse(&["--metagraph", "m.json"]).unwrap().config.unwrap();
        assert_eq!((config.port, config.redundancy), (8080, 3));
        assert_eq!(config.terms().lease_ms, 60_000);
        let error = parse(&[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--metagraph"), "{error}");
    }

    #[test]
    fn an_impossible_value_names_its_flag() {
        for (flag, value) in [
            ("--redundancy", "0"),
            ("--redundancy", "9"),
            ("--lease-s", "-1"),
            ("--commit-s", "NaN"),
            ("--min-stake", "-0.1"),
            ("--public-url", "proxy.example"),
            ("--public-url", "ftp://proxy.example"),
            ("--port", "70000"),
            ("--max-open-tasks", "0"),
            ("--max-upload-bytes", "0"),
            ("--log", "a=b=c"),
            ("--log-format", "xml"),
            ("--event-heartbeat-s", "31"),
            ("--host", "nowhere"),
            ("--webhook-addresses", "private"),
            ("--admin", "8081"),
            ("--rate-per-key", "-1"),
            ("--trusted-proxies", "10.0.0.0/33"),
            ("--open-tasks-per-key", "0"),
            ("--variants", "true"),
        ] {
            let error = parse(&["--metagraph", "m.json", &format!("{flag}={value}")]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(flag), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn a_key_is_made_without_the_flags_of_the_service() {
        let cli = parse(&["new-key", "ann", "--api-keys", "keys"]).unwrap();
        assert!(matches!(cli.command, Some(Command::NewKey { name, .. }) if name == "ann"));
    }

    #[test]
    fn the_public_url_has_no_slash_at_its_end() {
        assert_eq!(public_url("https://proxy.example/violet/").unwrap(), "https://proxy.example/violet");
    }
}
