//! `check-config`: what is configured, where each value comes from, and whether it can be used.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use super::auth::ApiKeys;
use super::config::{Cli, Config};
use super::homes::Homes;

/// The options as a TOML file would have them, each with where it comes from. They name files with secrets and hold none.
pub(crate) fn listed(matches: &ArgMatches) -> String {
    let mut text = String::new();
    for argument in Cli::command().get_arguments() {
        let id = argument.get_id().as_str();
        let Some(name) = argument.get_long().filter(|_| matches.ids().any(|known| known == id)) else { continue };
        let Some(value) = matches.get_raw(id).and_then(|mut values| values.next()) else { continue };
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "variable",
            _ if argument.get_default_values().iter().any(|default| default.as_os_str() == value) => "default",
            _ => "file",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name} = {:?} # {source}", value.to_string_lossy());
    }
    text
}

/// What keeps the proxy from starting, one line each.
pub(crate) async fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if config.data_dir.exists() && !config.data_dir.is_dir() {
        problems.push(format!("--data-dir {}: is no directory", config.data_dir.display()));
    }
    if let Some(error) = config.api_keys.as_deref().and_then(|path| ApiKeys::load(path).err()) {
        problems.push(format!("--api-keys: {error}"));
    }
    match Homes::new(config) {
        Err(error) => problems.push(error.to_string()),
        Ok(homes) => {
            problems.extend(homes.check_store().await.err().map(|error| error.to_string()));
            problems.extend(homes.check_blobs().await.err().map(|error| error.to_string()));
        }
    }
    problems
}
