//! The TOML file of the proxy's options: its values become the defaults of the flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::OsStr;
use clap::{CommandFactory, FromArgMatches};

use super::config::Cli;

/// Largest file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Commands that take the options of the service.
const COMMANDS: [&str; 2] = ["migrate", "check-config"];

/// The command line with the file that it, or the environment, names below it: flag > variable > file > default.
///
/// # Errors
/// Wrong usage, as clap says it; a file that cannot be read, or names what is no option.
pub(crate) fn parse(argv: Vec<OsString>) -> Result<(Cli, clap::ArgMatches), clap::Error> {
    let mut command = Cli::command();
    for name in COMMANDS {
        // Whoever starts the proxy names the file of the reader beside it; these commands do without.
        command = command.mut_subcommand(name, |sub| sub.mut_arg("metagraph", |arg| arg.required(false).default_value("metagraph.json")));
    }
    if let Some(path) = named(&argv) {
        let values = read(&path).and_then(|values| known(&command, &path, values));
        let values = values.map_err(|message| command.error(clap::error::ErrorKind::InvalidValue, message))?;
        command = with_defaults(command, &values);
        for name in COMMANDS {
            command = command.mut_subcommand(name, |sub| with_defaults(sub, &values));
        }
    }
    let matches = command.try_get_matches_from(argv)?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}

/// The file of `--config`, which has to be known before the rest can be read.
fn named(argv: &[OsString]) -> Option<PathBuf> {
    let flag = argv.iter().enumerate().find_map(|(at, argument)| {
        let text = argument.to_str()?;
        match text.strip_prefix("--config=") {
            Some(path) => Some(PathBuf::from(path)),
            None if text == "--config" => argv.get(at + 1).map(PathBuf::from),
            None => None,
        }
    });
    flag.or_else(|| std::env::var_os("VIOLET_PROXY_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
}

fn read(path: &Path) -> Result<Vec<(String, String)>, String> {
    let failed = |reason: &dyn std::fmt::Display| format!("--config {}: {reason}", path.display());
    let bytes = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(failed(&format!("has {bytes} bytes; the limit is {MAX_FILE_BYTES}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    // The message alone: a line of the file may hold what is nobody's business.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(&error.message()))?;
    table
        .into_iter()
        .map(|(name, value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            toml::Value::Integer(number) => Ok((name, number.to_string())),
            toml::Value::Float(number) => Ok((name, number.to_string())),
            toml::Value::Boolean(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                Err(failed(&format!("{name} must be a text or a number")))
            }
        })
        .collect()
}

/// The values by the names of the options; refuses what is none.
fn known(command: &clap::Command, path: &Path, values: Vec<(String, String)>) -> Result<Vec<(String, String)>, String> {
    let is_option = |id: &str| id != "config" && command.get_arguments().any(|argument| argument.get_id() == id);
    let known = values.into_iter().map(|(name, value)| {
        let id = name.replace('-', "_");
        if is_option(&id) {
            return Ok((id, value));
        }
        Err(format!("--config {}: {name} is no option; see violet-proxy --help", path.display()))
    });
    known.collect()
}

fn with_defaults(command: clap::Command, values: &[(String, String)]) -> clap::Command {
    values.iter().fold(command, |command, (id, value)| {
        let value = OsStr::from(value.clone());
        command.mut_arg(id, |argument| argument.required(false).default_value(value))
    })
}
