//! The TOML file of the proxy's options: its values become the defaults of the flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStr, Resettable};
use clap::{Arg, CommandFactory, FromArgMatches};

use super::config::{Cli, Command};

/// Largest file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Commands that take the options of the service.
const COMMANDS: [&str; 2] = ["migrate", "check-config"];

/// The command line with the file that it, or the environment, names below it: flag > variable > file > default.
///
/// # Errors
/// Wrong usage, as clap says it; a file that cannot be read, or names what is no option.
pub(crate) fn parse(argv: Vec<OsString>) -> Result<(Cli, clap::ArgMatches), clap::Error> {
    let mut command = Cli::command().mut_args(without_empty).mut_subcommands(|sub| sub.mut_args(without_empty));
    for name in COMMANDS {
        // Whoever starts the proxy names the file of the reader beside it; these commands do without.
        command = command.mut_subcommand(name, |sub| {
            sub.mut_arg("metagraph", |arg| arg.required(false).default_value("metagraph.json"))
        });
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
    // A variable of the service's own must not make the other commands ask for the rest of its options.
    let cli = match matches.subcommand_name() {
        Some(_) => Cli { command: Some(Command::from_arg_matches(&matches)?), config: None },
        None => Cli::from_arg_matches(&matches)?,
    };
    Ok((cli, matches))
}

/// The option without its variable where that is empty, which is as good as none.
fn without_empty(option: Arg) -> Arg {
    let is_empty = option.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if is_empty { option.env(Resettable::<OsStr>::Reset) } else { option }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::config::Config;

    fn parsed(toml: &str, flags: &[&str]) -> Result<(Cli, clap::ArgMatches), clap::Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.toml");
        std::fs::write(&path, toml).unwrap();
        let config = path.to_str().unwrap().to_owned();
        let argv = ["violet-proxy"].iter().chain(flags).copied().chain(["--config", &config]);
        parse(argv.map(OsString::from).collect())
    }

    fn config(toml: &str, flags: &[&str]) -> Config {
        parsed(toml, flags).unwrap().0.config.unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let toml = "metagraph = 'm.json'\nport = 1\nlease-s = 2.5\nmax_open_tasks = 7\nstore = 'sqlite:x'";
        let config = config(toml, &["--port", "9"]);
        assert_eq!((config.port, config.max_open_tasks, config.redundancy), (9, 7, 3));
        assert_eq!((config.lease_s, config.store_home().to_string()), (2.5, "sqlite:x".to_owned()));
    }

    /// A value of every option that is not its default.
    const VALUES: [(&str, &str); 36] = [
        ("admin", "off"),
        ("api_keys", "keys"),
        ("blobs", "gs://bucket"),
        ("commit_s", "1.5"),
        ("credentials", "key.json"),
        ("data_dir", "data"),
        ("event_heartbeat_s", "10.5"),
        ("grace_s", "2.5"),
        ("host", "0.0.0.0"),
        ("lease_s", "3.5"),
        ("log", "warn"),
        ("log_format", "json"),
        ("max_duration_s", "4.5"),
        ("max_open_tasks", "11"),
        ("max_upload_bytes", "12"),
        ("metagraph", "m.json"),
        ("metagraph_max_age_s", "5.5"),
        ("min_free_bytes", "13"),
        ("min_stake", "6.5"),
        ("open_tasks_per_key", "14"),
        ("port", "15"),
        ("public_url", "https://proxy.example"),
        ("rate_per_address", "16"),
        ("rate_per_hotkey", "17"),
        ("rate_per_key", "18"),
        ("ready_file", "ready"),
        ("redundancy", "2"),
        ("retention_s", "7.5"),
        ("reveal_s", "8.5"),
        ("store", "firestore:project"),
        ("tick_ms", "19"),
        ("trusted_proxies", "10.0.0.0/8"),
        ("variants", "off"),
        ("webhook_addresses", "any"),
        ("webhook_retry_s", "9.5"),
        ("config", ""),
    ];

    #[test]
    fn every_option_is_a_flag_a_variable_and_a_key_of_the_file() {
        let command = Cli::command();
        let options: Vec<_> = command.get_arguments().collect();
        let mut named: Vec<&str> = options.iter().map(|option| option.get_id().as_str()).collect();
        named.sort_unstable();
        let mut tried = VALUES.map(|(id, _)| id);
        tried.sort_unstable();
        assert_eq!(named, tried, "a new option needs a value here");
        for option in options {
            let id = option.get_id().as_str();
            assert_eq!(option.get_long(), Some(id.replace('_', "-").as_str()));
            let variable = option.get_env().unwrap_or_else(|| panic!("{id} has no variable"));
            assert_eq!(variable, format!("VIOLET_PROXY_{}", id.to_uppercase()).as_str());
        }
        // The file itself is named by a flag or a variable alone.
        let values: Vec<_> = VALUES.into_iter().filter(|(id, _)| *id != "config").collect();
        let listed = |toml: &str, flags: &[&str]| {
            let (_, matches) = parsed(toml, flags).unwrap();
            crate::proxy::check_config::listed(matches.subcommand_matches("check-config").unwrap())
        };
        let has_all = |listed: &str, source: &str| {
            for (id, value) in &values {
                let line = format!("{} = {value:?} # {source}\n", id.replace('_', "-"));
                assert!(listed.contains(&line), "{line} is not in\n{listed}");
            }
        };
        let toml: Vec<String> = values.iter().map(|(id, value)| format!("{id} = {value:?}")).collect();
        has_all(&listed(&toml.join("\n"), &["check-config"]), "file");
        let flags: Vec<String> =
            values.iter().map(|(id, value)| format!("--{}={value}", id.replace('_', "-"))).collect();
        let flags: Vec<&str> = std::iter::once("check-config").chain(flags.iter().map(String::as_str)).collect();
        has_all(&listed("", &flags), "flag");
    }

    #[test]
    fn what_is_no_option_or_no_value_is_named() {
        let refused = |toml: &str| {
            let error = parsed(&format!("metagraph = 'm'\n{toml}"), &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(refused("colour = 'red'").contains("colour is no option"));
        assert!(refused("config = 'other.toml'").contains("config is no option"));
        assert!(refused("port = 70000").contains("--port"));
        assert!(refused("port = [1]").contains("port must be a text or a number"));
        assert!(refused("store = 'mysql:x'").contains("sqlite:PATH or firestore:PROJECT"));
        assert!(refused("blobs = 'ftp://x'").contains("file:DIR or gs://BUCKET"));
        assert!(refused("port = ").contains("proxy.toml"));
        let argv = ["violet-proxy", "--config", "/nowhere/proxy.toml"].map(OsString::from);
        assert!(parse(argv.to_vec()).unwrap_err().to_string().contains("/nowhere/proxy.toml"));
    }

    #[test]
    fn the_other_commands_read_it_too() {
        let (cli, matches) = parsed("port = 1\ncredentials = 'key.json'", &["check-config"]).unwrap();
        assert!(matches!(cli.command, Some(Command::CheckConfig(config)) if config.port == 1));
        let listed = crate::proxy::check_config::listed(matches.subcommand_matches("check-config").unwrap());
        assert!(listed.contains("port = \"1\" # file") && listed.contains("redundancy = \"3\" # default"), "{listed}");
        assert!(listed.contains("credentials = \"key.json\" # file"), "{listed}");
        let (cli, _) = parsed("store = 'sqlite:x'", &["migrate"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Migrate(_))));
    }
}
