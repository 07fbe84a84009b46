//! From the command line to a running proxy and to its exit code.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::app::App;
use super::auth::api_keys;
use super::config::{AdminHome, Command, Config};
use super::homes::Homes;
use super::identity::Identity;
use super::log::LogFormat;
use super::serve::Patience;
use super::{admin, check_config, config_file, log, reaper, routes, serve, sweep, webhooks};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the proxy with these command-line arguments (without the program's name) until a signal ends it.
///
/// Returns the exit code: 0 after a clean end, 1 after a failure, 2 for wrong usage. Failures are one line on stderr.
#[must_use]
pub fn run(argv: Vec<String>) -> i32 {
    let argv = std::iter::once("violet-proxy".to_owned()).chain(argv).map(Into::into).collect();
    let (cli, matches) = match config_file::parse(argv) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to stdout with 0, everything else to stderr with 2; a closed pipe changes neither.
            let _ = error.print();
            return error.exit_code();
        }
    };
    let format = cli.config.as_ref().map_or(LogFormat::Text, |config| config.log_format);
    let done = match (cli.command, cli.config) {
        (Some(Command::NewKey { name, api_keys }), _) => new_key(&api_keys, &name),
        (Some(Command::Admin(admin)), _) => admin::run(&admin),
        (Some(Command::Migrate(config)), _) => migrate(&config),
        (Some(Command::CheckConfig(config)), _) => check_config(&config, &matches),
        (None, Some(config)) => start(config),
        (None, None) => Err("no flags were given; see violet-proxy --help".into()),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            log::failed(&error, format);
            1
        }
    }
}

fn new_key(path: &Path, name: &str) -> Result<(), Failure> {
    let key = api_keys::create(path, name)?;
    let mut out = std::io::stdout();
    writeln!(out, "{key}")?;
    Ok(out.flush()?)
}

/// Brings the store to this build's version.
fn migrate(config: &Config) -> Result<(), Failure> {
    let _lock = Identity::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (before, after) = runtime.block_on(async { Homes::new(config)?.migrate().await })?;
    let store = config.store_home();
    let said = if before == after { format!("is at schema {after}") } else { format!("schema {before} -> {after}") };
    Ok(writeln!(std::io::stdout(), "{store} {said}")?)
}

/// Says what is configured and whether it holds.
fn check_config(config: &Config, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let matches = matches.subcommand_matches("check-config").ok_or("check-config has no options")?;
    let mut out = std::io::stdout();
    write!(out, "{}", check_config::listed(matches))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let problems = runtime.block_on(check_config::problems(config));
    for problem in &problems {
        writeln!(out, "# problem: {problem}")?;
    }
    match problems.len() {
        0 => Ok(writeln!(out, "# the proxy can start with this")?),
        n => Err(format!("{n} of the values above cannot be used; see the lines that begin with # problem").into()),
    }
}

fn start(config: Config) -> Result<(), Failure> {
    log::begin(&config.log, config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("violet-proxy").enable_all().build()?;
    let done = runtime.block_on(listen(config));
    // Whatever still runs on a blocking thread is only a read.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

async fn listen(config: Config) -> Result<(), Failure> {
    let asked = SocketAddr::new(config.host, config.port);
    let listener = TcpListener::bind(asked).await.map_err(|error| {
        format!("cannot listen on {asked}: {error}; is another program on it? choose another --port")
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let public_url = config.public_url.clone().unwrap_or_else(|| {
        if config.host.is_unspecified() {
            tracing::warn!("no --public-url: miners elsewhere cannot fetch their input");
            return format!("http://127.0.0.1:{}", listener.local_addr().map_or(config.port, |address| address.port()));
        }
        url.clone()
    });
    let ready_file = config.ready_file.clone();
    let app = App::open(config, public_url).await?;
    if app.operator.said().keys.is_none() {
        tracing::info!("no API keys: everybody who reaches this proxy may use it");
    }
    if app.metagraph.last().is_none() {
        tracing::warn!(path = %app.config.metagraph.display(), "no metagraph yet: miners and validators get 503 until its reader writes it");
    }
    let reaper = tokio::spawn(reaper::run(Arc::clone(&app)));
    let sweeper = tokio::spawn(sweep::run(Arc::clone(&app)));
    let messenger = tokio::spawn(webhooks::run(Arc::clone(&app)));
    let (store, mark, shutdown) = (app.store.clone(), app.mark.clone(), app.shutdown.clone());
    let follower = tokio::spawn(async move { store.follow(mark, shutdown).await });
    stop_on_signal(&app)?;
    let admin = listen_for_operator(&app).await?;
    let router = routes::router(Arc::clone(&app));
    tracing::info!("violet-proxy listening on {url}");
    if let Some(path) = ready_file {
        write_ready(&path, &url).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    serve::serve(listener, router, Patience::default(), app.shutdown.clone()).await;
    if let Some(admin) = admin {
        admin.await?;
    }
    reaper.await?;
    sweeper.await?;
    messenger.await?;
    follower.await?;
    app.store.close().await;
    tracing::info!("violet-proxy ended");
    Ok(())
}

/// Serves the operator's routes on their own listener, and says in the data directory where.
async fn listen_for_operator(app: &Arc<App>) -> Result<Option<JoinHandle<()>>, Failure> {
    let file = app.config.data_dir.join(admin::URL_FILE);
    let AdminHome::At(asked) = app.config.admin else {
        // One of an earlier run would lead somewhere else.
        let _ = std::fs::remove_file(&file);
        return Ok(None);
    };
    let listener = TcpListener::bind(asked).await.map_err(|error| {
        format!("cannot listen on {asked} for the operator: {error}; choose another --admin, or off")
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    write_ready(&file, &url).map_err(|error| format!("{}: {error}", file.display()))?;
    tracing::info!("the operator's routes are at {url}");
    let (router, shutdown) = (routes::admin_router(Arc::clone(app)), app.shutdown.clone());
    Ok(Some(tokio::spawn(serve::serve(listener, router, Patience::default(), shutdown))))
}

/// Ends the proxy on the first SIGINT or SIGTERM.
fn stop_on_signal(app: &Arc<App>) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shutdown = app.shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("ending: running requests have {} s", serve::DRAIN.as_secs());
        shutdown.cancel();
    });
    Ok(())
}

/// Whole or not at all, so that whoever waits for the file never reads half a URL.
fn write_ready(path: &Path, url: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, url)?;
    std::fs::rename(part, path)
}
